#include <mutex>
#include <unordered_map>

#include "base/clock.h"
#include "base/json.h"
#include "cmd/diagnostics.h"
#include "cmd/render.h"
#include "frontend/location_json.h"

namespace kiln::cmd {
namespace {

std::string base64(std::string_view bytes) {
  static constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j)
      group = group << 8U | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    for (size_t j = 0; j < 4; ++j)
      text.push_back(i + j <= bytes.size() ? kAlphabet[(group >> (18 - 6 * j)) & 63U] : '=');
  }
  return text;
}

// BuildKit's SolveStatus: {"vertexes":[…],"statuses":[…],"logs":[…],"warnings":[…]}, one object a
// line.
class RawJsonRenderer : public Renderer {
 public:
  RawJsonRenderer(std::FILE* err, const Clock& clock) : err_(err), clock_(clock) {}

  void on_event(const Event& event) noexcept override {
    const std::lock_guard hold(mutex_);
    std::visit([this](const auto& e) { on(e); }, event);
  }
  void finish(bool /*succeeded*/) noexcept override {
    const std::lock_guard hold(mutex_);
    (void)std::fflush(err_);
  }

 private:
  std::string now() const { return format_rfc3339(clock_.now()); }

  void write(const char* list, Json item) {
    Json line = Json::object();
    line.set(list, Json::array({std::move(item)}));
    const std::string text = line.dump() + "\n";
    (void)std::fwrite(text.data(), 1, text.size(), err_);  // a closed pipe must not fail the build
    (void)std::fflush(err_);
  }
  Json vertex(const Digest& digest) {
    Json item = Json::object();
    item.set("digest", digest.to_string());
    if (const auto it = names_.find(digest); it != names_.end()) item.set("name", it->second);
    if (const auto it = started_.find(digest); it != started_.end())
      item.set("started", it->second);
    return item;
  }

  void on(const VertexAdded& event) {
    names_[event.vertex] = event.name;
    Json item = vertex(event.vertex);
    Json inputs = Json::array();
    for (const Digest& input : event.inputs) inputs.push_back(input.to_string());
    item.set("inputs", std::move(inputs));
    write("vertexes", std::move(item));
  }
  void on(const VertexStarted& event) {
    names_.try_emplace(event.vertex, event.name);
    started_.try_emplace(event.vertex, now());
    write("vertexes", vertex(event.vertex));
  }
  void on(const VertexDone& event) {
    started_.try_emplace(event.vertex, now());
    Json item = vertex(event.vertex);
    item.set("completed", now());
    if (event.outcome == VertexOutcome::kCached) item.set("cached", true);
    if (event.outcome == VertexOutcome::kCancelled) item.set("error", "context canceled");
    if (event.outcome == VertexOutcome::kFailed)
      item.set("error", event.error ? event.error->message() : "failed");
    write("vertexes", std::move(item));
  }
  void on(const LogChunk& event) {
    Json item = Json::object();
    item.set("vertex", event.vertex.to_string());
    item.set("stream", event.stream);
    item.set("data", base64(event.bytes));
    item.set("timestamp", now());
    write("logs", std::move(item));
  }
  void on(const Transfer& event) {
    Json item = Json::object();
    item.set("id", event.what);
    item.set("vertex", event.vertex.to_string());
    item.set("name", event.what);
    item.set("current", event.done);
    if (event.total != 0) item.set("total", event.total);
    item.set("timestamp", now());
    if (event.complete) item.set("completed", now());
    write("statuses", std::move(item));
  }
  void on(const BuildWarning& event) {
    Json item = Json::object();
    if (event.vertex) item.set("vertex", event.vertex->to_string());
    item.set("level", 1);
    item.set("short", base64(warning_line(event)));
    if (!event.detail.empty()) item.set("detail", Json::array({base64(event.detail)}));
    if (!event.url.empty()) item.set("url", event.url);
    if (event.where.first_line > 0) {
      const Json location = frontend::location_json(event.where);
      item.set("range", location["ranges"]);
    }
    write("warnings", std::move(item));
  }

  // Not BuildKit's; its readers pass over what they do not know.
  void on(const CacheMiss& event) {
    Json item = Json::object();
    item.set("vertex", event.vertex.to_string());
    Json reasons = Json::array();
    for (const std::string& reason : event.reasons) reasons.push_back(reason);
    item.set("reasons", std::move(reasons));
    item.set("timestamp", now());
    write("cacheMisses", std::move(item));
  }

  std::mutex mutex_;  // everything below
  std::FILE* err_;
  const Clock& clock_;
  std::unordered_map<Digest, std::string> names_, started_;
};

}  // namespace

std::unique_ptr<Renderer> make_rawjson_renderer(std::FILE* err, const Clock& clock) {
  return std::make_unique<RawJsonRenderer>(err, clock);
}

}  // namespace kiln::cmd
