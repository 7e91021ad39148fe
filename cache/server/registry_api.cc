#include "cache/server/registry_api.h"

#include <algorithm>
#include <charconv>

#include "cache/server/names.h"
#include "oci/descriptor.h"

namespace kiln::server {
namespace {

using Kind = Route::Kind;

bool is_read(const std::string& method) {
  return method == "GET" || method == "HEAD";
}

// What a request does to its repository. A client that pushes may ask for its uploads' state.
Action action_of(const Route& route, const std::string& method) {
  if (route.kind == Kind::kUpload || route.kind == Kind::kUploads) return Action::kPush;
  if (is_read(method)) return Action::kPull;
  return method == "DELETE" ? Action::kDelete : Action::kPush;
}

std::string_view word_of(Action action) {
  switch (action) {
    case Action::kPull:
      return "pull from";
    case Action::kPush:
      return "push to";
    case Action::kDelete:
      return "delete from";
  }
  return "";
}

std::optional<size_t> page_size(const std::string& text) {
  size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

ApiResult<BlobDigest> parse_digest(const std::string& text) {
  Result<BlobDigest> digest = BlobDigest::parse(text);
  if (!digest) return refuse(400, api::kDigestInvalid, digest.error().message());
  return *std::move(digest);
}

Response json_response(const Json& body) {
  return {200, {{"Content-Type", "application/json"}}, body.dump(), {}};
}

Started RegistryApi::start(const Request& request, const Principal& who) {
  const std::optional<Route> route = parse_route(request.path);
  if (!route) return error_response(ApiError(404, api::kUnsupported, "there is no such endpoint"));
  const Call call{request, who, *route};
  if (const ApiStatus allowed = authorize(call); !allowed) return error_response(allowed.error());
  Answer answer = dispatch(call);
  if (!answer) return error_response(answer.error());
  return *std::move(answer);
}

ApiStatus RegistryApi::authorize(const Call& call) const {
  if (call.route.kind == Kind::kPing || call.route.kind == Kind::kCatalog) return {};
  if (!is_repository_name(call.route.repository))
    return refuse(400, api::kNameInvalid,
                  "\"" + call.route.repository + "\" is no repository name");
  const Action action = action_of(call.route, call.request.method);
  if (call.who.may(action, call.route.repository)) return {};
  const std::string what = std::string(word_of(action)) + " \"" + call.route.repository + "\"";
  if (call.who.is_anonymous())
    return refuse(401, api::kUnauthorized, "authentication is needed to " + what);
  return refuse(403, api::kDenied, "\"" + call.who.name() + "\" may not " + what);
}

RegistryApi::Answer RegistryApi::dispatch(const Call& call) {
  struct Row {
    Kind kind;
    std::string_view method;
    Answer (RegistryApi::*handle)(const Call&);
  };
  static constexpr Row kTable[] = {
      {Kind::kPing, "GET", &RegistryApi::ping},
      {Kind::kCatalog, "GET", &RegistryApi::catalog},
      {Kind::kTags, "GET", &RegistryApi::list_tags},
      {Kind::kReferrers, "GET", &RegistryApi::list_referrers},
      {Kind::kBlob, "GET", &RegistryApi::get_blob},
      {Kind::kBlob, "DELETE", &RegistryApi::delete_blob},
      {Kind::kUploads, "POST", &RegistryApi::start_upload},
      {Kind::kUpload, "GET", &RegistryApi::upload_status},
      {Kind::kUpload, "PATCH", &RegistryApi::continue_upload},
      {Kind::kUpload, "PUT", &RegistryApi::finish_upload},
      {Kind::kUpload, "DELETE", &RegistryApi::drop_upload},
      {Kind::kManifest, "GET", &RegistryApi::get_manifest},
      {Kind::kManifest, "PUT", &RegistryApi::put_manifest},
      {Kind::kManifest, "DELETE", &RegistryApi::delete_manifest},
  };
  std::string_view method = call.request.method;
  if (method == "HEAD") method = "GET";
  if (method != "GET" && method != "DELETE" && is_mirrored(call))
    return refuse(405, api::kUnsupported,
                  "\"" + call.route.repository + "\" mirrors another registry: push it there");
  for (const Row& row : kTable)
    if (row.kind == call.route.kind && row.method == method) return (this->*row.handle)(call);
  return refuse(405, api::kUnsupported, "this endpoint does not take " + call.request.method);
}

bool RegistryApi::is_mirrored(const Call& call) const {
  return mirror_ != nullptr && !call.route.repository.empty() &&
         mirror_->covers(call.route.repository);
}

RegistryApi::Answer RegistryApi::ping(const Call&) {
  return json_response(Json::object());
}

ApiResult<size_t> RegistryApi::entries_wanted(const Call& call) const {
  const auto asked = call.request.parameter("n");
  if (!asked) return limits_.max_page;
  const std::optional<size_t> n = page_size(*asked);
  if (!n) return refuse(400, api::kPageInvalid, "n is not a number");
  return std::min(*n, limits_.max_page);
}

std::string RegistryApi::link_after(const Call& call, size_t wanted, const std::string& last) {
  std::string link =
      "<" + call.request.path + "?n=" + std::to_string(wanted) + "&last=" + percent_encode(last);
  if (const auto type = call.request.parameter("artifactType"))
    link += "&artifactType=" + percent_encode(*type);
  return link + ">; rel=\"next\"";
}

// distribution-spec, "Listing Tags": from after `last`, at most `n`; Link leads to the next page.
ApiResult<RegistryApi::Page> RegistryApi::page_of(const Call& call,
                                                  const std::vector<std::string>& names) const {
  KILN_TRY_ASSIGN(const size_t wanted, entries_wanted(call));
  Page page;
  if (const auto last = call.request.parameter("last"))
    page.first =
        static_cast<size_t>(std::upper_bound(names.begin(), names.end(), *last) - names.begin());
  page.end = std::min(names.size(), page.first + wanted);
  if (page.end < names.size() && page.end > page.first)
    page.link = link_after(call, wanted, names[page.end - 1]);
  return page;
}

RegistryApi::Answer RegistryApi::catalog(const Call& call) {
  KILN_TRY_ASSIGN(std::vector<std::string> names, registry_.repositories());
  std::erase_if(names, [&](const std::string& name) { return !call.who.may(Action::kPull, name); });
  KILN_TRY_ASSIGN(const Page page, page_of(call, names));
  Json list = Json::array();
  for (size_t i = page.first; i < page.end; ++i) list.push_back(names[i]);
  Response response = json_response(Json::object({{"repositories", std::move(list)}}));
  if (!page.link.empty()) response.headers.emplace_back("Link", page.link);
  return response;
}

RegistryApi::Answer RegistryApi::list_tags(const Call& call) {
  KILN_TRY_ASSIGN(const std::vector<std::string> names,
                  is_mirrored(call) ? mirror_->tags(call.route.repository)
                                    : registry_.tags(call.route.repository));
  KILN_TRY_ASSIGN(const Page page, page_of(call, names));
  Json list = Json::array();
  for (size_t i = page.first; i < page.end; ++i) list.push_back(names[i]);
  Response response =
      json_response(Json::object({{"name", call.route.repository}, {"tags", std::move(list)}}));
  if (!page.link.empty()) response.headers.emplace_back("Link", page.link);
  return response;
}

RegistryApi::Answer RegistryApi::list_referrers(const Call& call) {
  KILN_TRY_ASSIGN(const BlobDigest subject, parse_digest(call.route.rest));
  KILN_TRY_ASSIGN(const size_t wanted, entries_wanted(call));
  const auto type = call.request.parameter("artifactType");
  KILN_TRY_ASSIGN(
      Registry::Referrers found,
      registry_.referrers(call.route.repository,
                          {subject, type, call.request.parameter("last").value_or(""), wanted}));
  std::string link;
  if (found.more && !found.descriptors.empty())
    link = link_after(call, wanted, found.descriptors.back()["digest"].as_string());
  Json list = Json::array();
  for (Json& descriptor : found.descriptors) list.push_back(std::move(descriptor));
  Response response = json_response(Json::object({{"schemaVersion", 2},
                                                  {"mediaType", oci::media_type::kIndex},
                                                  {"manifests", std::move(list)}}));
  response.headers = {{"Content-Type", std::string(oci::media_type::kIndex)}};
  if (type) response.headers.emplace_back("OCI-Filters-Applied", "artifactType");
  if (!link.empty()) response.headers.emplace_back("Link", link);
  return response;
}

}  // namespace kiln::server
