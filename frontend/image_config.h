// The image config that a stage builds up (image-spec config.md with Docker's fields), on a JSON
// document so that fields kiln does not know survive from the base image. What is left to the
// exporter: frontend.h, FrontendResult.
#pragma once

#include "base/json.h"
#include "base/platform.h"
#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::frontend {

enum class Layer : uint8_t { kNo, kYes };  // does the instruction make one?

class ImageConfig {
 public:
  ImageConfig() = default;
  /// A base image's config, without "created" and "rootfs". kInvalidArgument: not a JSON object.
  static Result<ImageConfig> parse(std::string_view text);
  /// FROM scratch: working directory "/" and the default PATH.
  static ImageConfig empty(const Platform& platform);

  std::vector<std::string> env() const { return config_["Env"].strings(); }
  const std::string& working_dir() const { return config_["WorkingDir"].as_string(); }
  const std::string& user() const { return config_["User"].as_string(); }
  std::vector<std::string> onbuild() const { return config_["OnBuild"].strings(); }
  std::vector<std::string> shell() const { return config_["Shell"].strings(); }
  Platform platform() const;
  /// False for an image whose root file system is empty: no diff IDs, and no history entry that
  /// claims a layer.
  bool has_layers() const { return has_layers_; }

  void set_platform(const Platform& platform);
  void set_author(std::string_view author) { document_.set("author", author); }
  /// Replaces in place, or appends.
  void set_env(std::string_view key, std::string_view value);
  /// Config members: an empty value removes the member, as Go's omitempty does.
  void set_text(std::string_view key, const std::string& value);
  void set_list(std::string_view key, const std::vector<std::string>& values);
  void set(std::string_view key, Json value) { config_.set(key, std::move(value)); }
  /// An entry of an object such as Labels or ExposedPorts; entries are kept in order of keys.
  void set_entry(std::string_view key, std::string_view entry, Json value);
  void erase(std::string_view key) { config_.erase(key); }
  void add_onbuild(std::string trigger);

  /// `epoch`: seconds; nullopt leaves "created" to the exporter.
  void add_history(std::string created_by, Layer layer, std::optional<int64_t> epoch);

  std::string to_json() const;

 private:
  Json document_ = Json::object();  // without the members below
  Json config_ = Json::object();
  Json history_ = Json::array();
  bool has_layers_ = false;
};

/// "/usr/local/sbin:/usr/local/bin:…", what PATH is if a base image has none.
extern const char kDefaultPath[];

}  // namespace kiln::frontend
