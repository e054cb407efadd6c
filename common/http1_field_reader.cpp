#include "common/http1_field_reader.h"

namespace ptth {

void Http1FieldReader::start(Http1Section section, size_t fields_max) {
  section_ = section;
  fields_left_ = fields_max;
  host_.clear();
  upgrade_.clear();
  connection_.clear();
  content_length_.reset();
  host_count_ = 0;
  chunked_ = false;
  expects_continue_ = false;
  unknown_expectation_ = false;
  accepts_trailers_ = false;
}

Http1Fault Http1FieldReader::add_line(std::string_view line, FieldList& fields) {
  if (fields_left_ == 0) return Http1Fault::kTooManyFields;
  --fields_left_;
  if (line.front() == ' ' || line.front() == '\t') return Http1Fault::kFolding;
  if (name_.size() < line.size()) name_.resize(line.size());
  char* const lower_name = name_.data();
  size_t name_size = 0;
  for (; name_size < line.size(); ++name_size) {
    const char lower = lower_token_byte(line[name_size]);
    if (lower == 0) break;
    lower_name[name_size] = lower;
  }
  if (name_size == 0 || name_size == line.size() || line[name_size] != ':') {
    return Http1Fault::kFieldName;
  }
  const std::string_view name(lower_name, name_size);
  const std::string_view value = trim_whitespace(line.substr(name_size + 1));
  if (!is_field_value(value)) return Http1Fault::kFieldValue;

  const FieldRules& rules = field_rules(name);
  if (rules.id != FieldId::kOther && section_ != Http1Section::kTrailers) {
    const Http1Fault fault = note(rules.id, value);
    if (fault != Http1Fault::kNone) return fault;
  }
  if (belongs_to_list(rules)) fields.add(name, value);
  return Http1Fault::kNone;
}

bool Http1FieldReader::belongs_to_list(const FieldRules& rules) const {
  switch (section_) {
    case Http1Section::kRequestHead:
      return !rules.hop_by_hop && !rules.framing_lookalike && rules.id != FieldId::kHost;
    case Http1Section::kResponseHead:
      return !rules.hop_by_hop && !rules.framing_lookalike;
    case Http1Section::kResponseHeadWithoutLength:
      return !rules.hop_by_hop && !rules.framing_lookalike && rules.id != FieldId::kContentLength;
    case Http1Section::kTrailers:
      return !rules.forbidden_in_trailers;
  }
  return false;
}

Http1Fault Http1FieldReader::note(FieldId id, std::string_view value) {
  switch (id) {
    case FieldId::kConnection:
      return connection_.add(value) ? Http1Fault::kNone : Http1Fault::kConnection;
    case FieldId::kContentLength:
      // A repeated one is refused even when it says the same: who repeats it did not decide.
      if (content_length_.has_value()) return Http1Fault::kContentLength;
      content_length_ = parse_content_length(value);
      return content_length_.has_value() ? Http1Fault::kNone : Http1Fault::kContentLength;
    case FieldId::kTransferEncoding:
      if (chunked_ || !equals_ignoring_case(value, "chunked")) {
        return Http1Fault::kTransferEncoding;
      }
      chunked_ = true;
      return Http1Fault::kNone;
    case FieldId::kHost:
      ++host_count_;
      host_.assign(value);
      return Http1Fault::kNone;
    case FieldId::kExpect:
      if (equals_ignoring_case(value, "100-continue")) {
        expects_continue_ = true;
      } else {
        unknown_expectation_ = true;
      }
      return Http1Fault::kNone;
    case FieldId::kUpgrade:
      if (!upgrade_.empty()) upgrade_ += ", ";
      upgrade_ += value;
      return Http1Fault::kNone;
    case FieldId::kTe:
      note_te(value);
      return Http1Fault::kNone;
    case FieldId::kOther:
      return Http1Fault::kNone;
  }
  return Http1Fault::kNone;
}

void Http1FieldReader::note_te(std::string_view value) {
  while (const auto member = take_list_member(value))
    accepts_trailers_ |= equals_ignoring_case(*member, "trailers");
}

void Http1FieldReader::remove_nominated(FieldList& fields) const {
  if (!connection_.nominates_fields()) return;
  FieldList kept;
  kept.reserve(fields.size(), fields.list_size());
  for (const Field field : fields) {
    // Framing was decided by content-length; it is not the sender's to take back.
    if (field.name == "content-length" || !connection_.nominates(field.name)) {
      kept.add(field.name, field.value);
    }
  }
  fields = std::move(kept);
}

}  // namespace ptth
