#include "agent/link/hello_request.h"

#include "common/http1_writer.h"

namespace ptth {

Result<void> write_hello_request(const HelloSpec& spec, const HttpUri& uri,
                                 const std::vector<SecretField>& credentials, ByteQueue& out) {
  RequestHead head;
  head.method = spec.method;
  head.path = uri.target;
  head.authority = to_string(uri.authority);
  if (!spec.offer_field.empty()) {
    std::string offer;
    for (const std::string& id : spec.channels)
      offer += (offer.empty() ? "" : ", ") + encode_alpn_id(id);
    head.fields.add(spec.offer_field, offer);
  }
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
