// Any bytes as what a registry answers: JSON, manifest, index, image config. What is accepted is
// the same once it has been written and read back.
#include <string_view>

#include "base/json.h"
#include "oci/image.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view text = kiln::fuzz::view(bytes, size);
  if (const auto manifest = kiln::oci::parse_manifest(text))
    KILN_CHECK(kiln::oci::parse_manifest(kiln::oci::to_json_text(*manifest)));
  if (const auto index = kiln::oci::parse_index(text)) {
    KILN_CHECK(kiln::oci::parse_index(kiln::oci::to_json_text(*index)));
    (void)kiln::oci::select_platform(*index, {"linux", "arm64", "v8"});  // only that it returns
  }
  const auto json = kiln::Json::parse(text);
  if (!json) return 0;
  const auto again = kiln::Json::parse(json->dump());
  KILN_CHECK(again && *again == *json);
  (void)kiln::oci::config_facts(*json);  // only that it returns
  return 0;
}
