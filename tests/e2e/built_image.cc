#include "tests/e2e/built_image.h"

#include <gtest/gtest.h>

#include <ctime>
#include <map>
#include <set>
#include <vector>

#include "base/fs.h"
#include "base/json.h"
#include "base/process.h"
#include "base/strings.h"

namespace kiln::e2e {
namespace {

constexpr uint64_t kLimit = 256U << 20U;
constexpr int64_t kYoung = 1'700'000'000;  // what the build itself dates is later

std::string run(const std::string& script, const std::vector<std::string>& arguments,
                std::string_view input) {
  ProcessSpec spec;
  spec.argv = {"/bin/sh", "-c", script, "sh"};
  spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
  spec.env = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"};
  const auto done = run_captured(spec, input, kLimit, {});
  EXPECT_TRUE(done && done->exit.ok()) << script << ": " << (done ? done->err : "");
  return done ? done->out : std::string();
}

class Archive {
 public:
  explicit Archive(const std::string& file)
      : directory_(TempDir::create("/var/tmp", "kiln-image-").value()) {
    (void)run("tar -xf \"$1\" -C " + directory_.path(), {file}, "");
    const Json index = parse("index.json");
    const Json manifest = blob(index["manifests"].elements().at(0)["digest"].as_string());
    config = blob(manifest["config"]["digest"].as_string());
    for (const Json& layer : manifest["layers"].elements())
      layers.push_back(path_of(layer["digest"].as_string()));
  }
  Json config;
  std::vector<std::string> layers;  // files

 private:
  std::string path_of(const std::string& digest) const {
    return directory_.path() + "/blobs/sha256/" + digest.substr(digest.find(':') + 1);
  }
  Json blob(const std::string& digest) const { return read(path_of(digest)); }
  Json parse(const std::string& name) const { return read(directory_.path() + "/" + name); }
  static Json read(const std::string& path) {
    const auto json = Json::parse(read_file(path, kLimit).value_or("null"));
    EXPECT_TRUE(json) << path;
    return json.value_or(Json());
  }
  TempDir directory_;
};

// GNU tar's verbose listing does not quote safely enough: this prints one entry a line itself.
constexpr const char* kLister = R"(
import hashlib, sys, tarfile
def shown(data):
    text = data.decode("utf-8", "replace")
    if len(data) <= 200 and text.isprintable() or len(data) <= 200 and all(c.isprintable() or c in "\n\t" for c in text):
        return repr(text)
    return "sha256:" + hashlib.sha256(data).hexdigest()[:16] + " %d bytes" % len(data)
for layer in sys.argv[1:]:
    tar = tarfile.open(layer)
    for m in tar:
        kind = {"5": "d", "2": "l", "1": "h", "6": "p", "3": "c", "4": "b"}.get(m.type.decode(), "f")
        rest = {"l": m.linkname, "h": m.linkname}.get(kind, "")
        if kind == "f": rest = shown(tar.extractfile(m).read())
        if kind in "cb": rest = "%d:%d" % (m.devmajor, m.devminor)
        xattrs = " ".join(k[len("SCHILY.xattr."):] for k in sorted(m.pax_headers) if k.startswith("SCHILY.xattr."))
        print("\t".join([kind, m.name, "%04o" % m.mode, "%d:%d" % (m.uid, m.gid), str(int(m.mtime)), rest, xattrs]))
)";

// Always there, or told elsewhere, or this machine's.
const std::set<std::string> kNotTold = {"architecture", "config", "created",
                                        "history",      "os",     "rootfs"};

using Files = std::map<std::string, std::string>;  // path -> line

void remove_below(Files& files, const std::string& path) {
  for (auto at = files.lower_bound(path + "/");
       at != files.end() && at->first.starts_with(path + "/");)
    at = files.erase(at);
}

void add_entry(Files& files, const std::vector<std::string>& fields) {
  std::string path = fields[1];
  const size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "" : path.substr(0, slash + 1);
  const std::string name = path.substr(parent.size());
  if (name.starts_with(".wh.")) {
    path = parent + name.substr(4);
    files.erase(path);
    remove_below(files, path);
    files[path] = "! " + path;
    return;
  }
  if (fields[0] != "d") remove_below(files, path);
  std::string line = fields[0] + " " + path;
  if (fields[0] != "l") line += " " + fields[2];
  line += " " + fields[3];
  const int64_t mtime = std::stoll(fields[4]);
  if (mtime < kYoung) line += " @" + fields[4];
  if (!fields[5].empty()) line += (fields[0] == "l" || fields[0] == "h" ? " -> " : " ") + fields[5];
  if (!fields[6].empty()) line += " xattrs " + fields[6];
  files[path] = line;
}

std::string describe_files(const Archive& image, const std::string& base_diff_id) {
  Files files;
  const std::vector<std::string> diff_ids = image.config["rootfs"]["diff_ids"].strings();
  std::vector<std::string> layers;
  for (size_t i = 0; i < image.layers.size(); ++i)
    if (diff_ids.at(i) != base_diff_id) layers.push_back(image.layers[i]);
  if (!layers.empty())
    for (const std::string& line : split(run("python3 - \"$@\"", layers, kLister), '\n'))
      if (!line.empty()) add_entry(files, split(line, '\t'));
  std::string out;
  for (const auto& [path, line] : files) out += line + "\n";
  return out;
}

std::string describe_config(const Json& config) {
  std::string out;
  for (const auto& [key, value] : config.members()) {
    if (kNotTold.contains(key)) continue;
    out += key + ": " + value.dump() + "\n";
  }
  for (const auto& [key, value] : config["config"].members())
    out += "config." + key + ": " + value.dump() + "\n";
  return out;
}

std::string describe_history(const Json& config) {
  std::string out;
  for (const Json& entry : config["history"].elements())
    out += (entry["empty_layer"].as_bool() ? "- " : "+ ") + entry["created_by"].as_string() + "\n";
  return out;
}

}  // namespace

std::string describe_image(const std::string& archive, const std::string& base_diff_id) {
  const Archive image(archive);
  return "== config\n" + describe_config(image.config) + "== history\n" +
         describe_history(image.config) + "== files\n" + describe_files(image, base_diff_id);
}

}  // namespace kiln::e2e
