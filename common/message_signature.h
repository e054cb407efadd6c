#pragma once

// HTTP Message Signatures (RFC 9421): the text that is signed, from the list of what it covers. The
// keys are in signature_key.h.

#include "common/error.h"
#include "common/structured_fields.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace ptth {

// Of which message a component is; kRequest in a response's signature is ";req".
enum class ComponentOf { kThisMessage, kRequest };

// Gives the value of a component: a derived one ("@status"), or a field by its name in lower case,
// several lines joined by a comma. Nothing: there is none.
using ComponentValue = std::function<std::optional<std::string>(std::string_view, ComponentOf)>;

// A component to be covered.
[[nodiscard]] structured::Item signature_component(std::string name, ComponentOf of);

// RFC 9421 section 2.5. covered: the components with the signature's parameters, in the order in
// which Signature-Input has them. kProtocol: a component that is no string, comes twice, has a
// parameter other than ;req, or has no value that fits on a line.
[[nodiscard]] Result<std::string> signature_base(const structured::InnerList& covered,
                                                 const ComponentValue& value_of);

// The value of Content-Digest for that body, by SHA-256 (RFC 9530).
[[nodiscard]] std::string content_digest(std::string_view body);

}  // namespace ptth
