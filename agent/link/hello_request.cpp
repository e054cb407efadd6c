#include "agent/link/hello_request.h"

#include "common/http1_writer.h"

namespace ptth {

std::string encode_channels(const std::vector<std::string>& channels) {
  std::string list;
  for (const std::string& id : channels)
    list += (list.empty() ? "" : ", ") + encode_alpn_id(id);
  return list;
}

Result<void> write_hello_request(const HelloSpec& spec, const HttpUri& uri,
                                 const std::vector<SecretField>& credentials, ByteQueue& out) {
  RequestHead head;
  head.method = spec.method;
  head.path = uri.target;
  head.authority = to_string(uri.authority);
  if (!spec.offer_field.empty()) head.fields.add(spec.offer_field, encode_channels(spec.channels));
  for (const Field field : spec.fields)
    head.fields.add(field.name, field.value);
  for (const SecretField& field : credentials)
    head.fields.add(field.name, field.value.reveal());
  // Its length is then 0.
  if (spec.states_no_body) head.body = BodyKind::kLength;
  Http1RequestOptions options;
  options.upgrade = spec.token;
  return write_request_head(head, options, out);
}

}  // namespace ptth
