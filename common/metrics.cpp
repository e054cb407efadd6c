#include "common/metrics.h"

#include "common/check.h"
#include "common/utf8.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <memory>

namespace ptth {

namespace {

constexpr std::array<double, 17> kLatencyBounds = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60};

bool is_name(std::string_view name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const auto allowed = [&letter](char c) { return letter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && letter(name.front()) && std::all_of(name.begin(), name.end(), allowed);
}

std::string_view unit_of(std::string_view name) {
  for (const std::string_view unit : {"seconds", "bytes", "ratio"}) {
    if (name.size() > unit.size() && name.ends_with(unit) &&
        name[name.size() - unit.size() - 1] == '_') {
      return unit;
    }
  }
  return {};
}

enum class Quotes { kEscaped, kPlain };

// Both formats want UTF-8 and these escapes in label values and help texts; only the help texts of
// the older one have quotes as they are.
void append_escaped(std::string& out, std::string_view text, Quotes quotes = Quotes::kEscaped) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Character character = decode_utf8(text.substr(at));
    if (character.size == 0) {
      out += "\xef\xbf\xbd";  // U+FFFD, the replacement character.
      ++at;
      continue;
    }
    if (character.code == '\n') {
      out += "\\n";
    } else {
      const bool quote = character.code == '"' && quotes == Quotes::kEscaped;
      if (character.code == '\\' || quote) out += '\\';
      out.append(text, at, character.size);
    }
    at += character.size;
  }
}

void append_count(std::string& out, uint64_t count) {
  std::array<char, 24> digits{};
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), count);
  out.append(digits.data(), written.ptr);
}

void append_real(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else {
    std::array<char, 32> digits{};
    const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), value);
    const std::string_view text(digits.data(), static_cast<size_t>(written.ptr - digits.data()));
    out += text;
    // The canonical form of OpenMetrics for whole numbers, which bounds of buckets should have.
    if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
  }
}

std::string format_labels(const Metrics::Labels& labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    if (!text.empty()) text += ',';
    text.append(name).append("=\"");
    append_escaped(text, value);
    text += '"';
  }
  return text;
}

// name{labels} up to and with the space before the value. extra: one more label, formatted.
void append_sample_name(std::string& out, std::string_view name, std::string_view suffix,
                        std::string_view labels, std::string_view extra = {}) {
  out.append(name).append(suffix);
  if (!labels.empty() || !extra.empty()) {
    out.append("{").append(labels);
    if (!labels.empty() && !extra.empty()) out += ',';
    out.append(extra).append("}");
  }
  out += ' ';
}

void append_histogram(std::string& out, std::string_view name, std::string_view labels,
                      const Histogram& histogram) {
  uint64_t count = 0;
  std::string bound;
  for (size_t index = 0; index < histogram.counts().size(); ++index) {
    bound = "le=\"";
    if (index < histogram.bounds().size()) {
      append_real(bound, histogram.bounds()[index]);
    } else {
      bound += "+Inf";
    }
    bound += '"';
    count += histogram.counts()[index];
    append_sample_name(out, name, "_bucket", labels, bound);
    append_count(out, count);
    out += '\n';
  }
  append_sample_name(out, name, "_sum", labels);
  append_real(out, histogram.sum());
  out += '\n';
  append_sample_name(out, name, "_count", labels);
  append_count(out, count);
  out += '\n';
}

}  // namespace

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds.begin(), bounds.end()), counts_(bounds.size() + 1) {
  const auto not_ascending = [](double left, double right) { return !(left < right); };
  CHECK_INVARIANT(std::adjacent_find(bounds_.begin(), bounds_.end(), not_ascending) ==
                  bounds_.end());
  CHECK_INVARIANT(std::all_of(bounds_.begin(), bounds_.end(),
                              [](double bound) { return std::isfinite(bound); }));
}

void Histogram::observe(double value) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  ++counts_[static_cast<size_t>(bucket - bounds_.begin())];
  sum_ += value;
}

std::span<const double> latency_bounds() {
  return kLatencyBounds;
}

// One name with one set of labels. Of the values only the one of its family's type is used.
struct Metrics::Series {
  Counter counter;
  Gauge gauge;
  std::unique_ptr<Histogram> histogram;
  std::function<double()> read;  // Instead of counter.
};

struct Metrics::Family {
  void describe(std::string& out, Exposition exposition) const;
  void append_samples(std::string& out) const;
  [[nodiscard]] std::string_view type_name() const;

  [[nodiscard]] std::string_view suffix() const { return type == Type::kCounter ? "_total" : ""; }

  std::string name;
  std::string help;
  Type type;
  // By the formatted labels. The nodes of a map stay where they are.
  std::map<std::string, Series, std::less<>> series;
  Series refused;
};

Metrics::Metrics()
    : refused_(&counter("ptth_metrics_series_refused",
                        "Requests for a new series of a metric that has reached its limit.")) {}

Metrics::~Metrics() = default;

Counter& Metrics::counter(std::string_view name, std::string_view help, Labels labels) {
  CHECK_INVARIANT(!name.ends_with("_total"));
  return series(family(name, help, Type::kCounter), std::move(labels)).counter;
}

Gauge& Metrics::gauge(std::string_view name, std::string_view help, Labels labels) {
  return series(family(name, help, Type::kGauge), std::move(labels)).gauge;
}

Histogram& Metrics::histogram(std::string_view name, std::string_view help,
                              std::span<const double> bounds, Labels labels) {
  for (const auto& [label, value] : labels)
    CHECK_INVARIANT(label != "le");
  Series& found = series(family(name, help, Type::kHistogram), std::move(labels));
  if (!found.histogram) found.histogram = std::make_unique<Histogram>(bounds);
  return *found.histogram;
}

void Metrics::counter_from(std::string_view name, std::string_view help,
                           std::function<double()> read) {
  counter(name, help);
  series(family(name, help, Type::kCounter), {}).read = std::move(read);
}

void Metrics::on_collect(std::function<void()> refresh) {
  refreshers_.push_back(std::move(refresh));
}

Metrics::Collector::Collector(Metrics& metrics, std::function<void()> refresh)
    : metrics_(metrics), refresh_(std::move(refresh)) {
  metrics_.collectors_.push_back(this);
}

Metrics::Collector::~Collector() {
  std::erase(metrics_.collectors_, this);
}

void Metrics::forget(std::string_view label, std::string_view value) {
  const std::string wanted = format_labels({{std::string(label), std::string(value)}});
  // A quote inside a value is escaped, so that the text can stand nowhere else.
  const auto has_label = [&](std::string_view labels) {
    const size_t at = labels.find(wanted);
    if (at == std::string_view::npos) return false;
    const size_t end = at + wanted.size();
    return (at == 0 || labels[at - 1] == ',') && (end == labels.size() || labels[end] == ',');
  };
  for (Family& family : families_)
    std::erase_if(family.series, [&](const auto& entry) { return has_label(entry.first); });
}

Metrics::Family& Metrics::family(std::string_view name, std::string_view help, Type type) {
  for (Family& known : families_) {
    if (known.name != name) continue;
    CHECK_INVARIANT(known.type == type);
    return known;
  }
  CHECK_INVARIANT(is_name(name));
  return families_.emplace_back(Family{std::string(name), std::string(help), type, {}, {}});
}

Metrics::Series& Metrics::series(Family& family, Labels labels) {
  std::sort(labels.begin(), labels.end());
  const auto same_name = [](const auto& left, const auto& right) {
    return left.first == right.first;
  };
  CHECK_INVARIANT(std::adjacent_find(labels.begin(), labels.end(), same_name) == labels.end());
  CHECK_INVARIANT(std::all_of(labels.begin(), labels.end(),
                              [](const auto& label) { return is_name(label.first); }));
  std::string key = format_labels(labels);
  const auto known = family.series.find(key);
  if (known != family.series.end()) return known->second;
  if (family.series.size() == kSeriesMax) {
    refused_->add();
    return family.refused;
  }
  return family.series.try_emplace(std::move(key)).first->second;
}

void Metrics::Family::describe(std::string& out, Exposition exposition) const {
  const bool open_metrics = exposition == Exposition::kOpenMetrics;
  // In the older format "_total" belongs to the counter's name.
  const std::string described = name + std::string(open_metrics ? "" : suffix());
  out.append("# TYPE ").append(described).append(" ").append(type_name()).append("\n");
  const std::string_view unit = unit_of(name);
  if (open_metrics && !unit.empty()) {
    out.append("# UNIT ").append(described).append(" ").append(unit).append("\n");
  }
  out.append("# HELP ").append(described).append(" ");
  append_escaped(out, help, open_metrics ? Quotes::kEscaped : Quotes::kPlain);
  out += '\n';
}

void Metrics::Family::append_samples(std::string& out) const {
  for (const auto& [labels, one] : series) {
    if (type == Type::kHistogram) {
      append_histogram(out, name, labels, *one.histogram);
      continue;
    }
    append_sample_name(out, name, suffix(), labels);
    if (one.read) {
      append_real(out, one.read());
    } else if (type == Type::kCounter) {
      append_count(out, one.counter.value());
    } else {
      append_real(out, one.gauge.value());
    }
    out += '\n';
  }
}

std::string_view Metrics::Family::type_name() const {
  switch (type) {
    case Type::kCounter:
      return "counter";
    case Type::kGauge:
      return "gauge";
    case Type::kHistogram:
      return "histogram";
  }
  return "unknown";
}

std::string Metrics::expose(Exposition exposition) {
  for (const auto& refresh : refreshers_)
    refresh();
  for (const Collector* collector : collectors_)
    collector->refresh_();
  std::string out;
  for (const Family& family : families_) {
    family.describe(out, exposition);
    family.append_samples(out);
  }
  if (exposition == Exposition::kOpenMetrics) out += "# EOF\n";
  return out;
}

}  // namespace ptth
