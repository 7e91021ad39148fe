// Images in a fake registry's repository "app", as descriptors.
#pragma once

#include "oci/image.h"
#include "tests/fakes/fake_registry.h"

#include <string>
#include <string_view>

namespace kiln::oci {

class ImageRegistry : public fake::FakeRegistry {
 public:
  Descriptor add(std::string_view type, const std::string& bytes) {
    const Digest digest = Digest::of(bytes);
    (void)add_blob("app", bytes);
    return Descriptor{std::string(type), digest, bytes.size(), std::nullopt, {}};
  }
  /// A manifest or an index.
  Descriptor add_document(std::string_view type, const std::string& text) {
    (void)add_manifest("app", std::string(type), text);
    return Descriptor{std::string(type), Digest::of(text), text.size(), std::nullopt, {}};
  }
  void tag(const std::string& tag, const Descriptor& image) {
    const std::string text = manifest("app", image.digest.to_string()).value();
    (void)add_manifest("app", image.media_type, text, tag);
  }
  Descriptor add_image(const std::string& text) {
    const std::string config = R"({"os":"linux","about":")" + text + "\"}";
    Manifest manifest{std::string(media_type::kManifest), add(media_type::kConfig, config), {}, {}};
    manifest.layers = {add(media_type::kLayerGzip, text + " layer one"),
                       add(media_type::kLayerTar, text + std::string(300'000, 'x'))};
    return add_document(manifest.media_type, to_json_text(manifest));
  }
};

}  // namespace kiln::oci
