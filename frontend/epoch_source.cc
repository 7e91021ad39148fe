#include "frontend/epoch_source.h"

#include "base/strings.h"
#include "frontend/conversion.h"
#include "frontend/converter.h"
#include "frontend/remote_sources.h"
#include "frontend/source_date_epoch.h"
#include "frontend/source_text.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace kiln::frontend {
namespace {

constexpr char kEpoch[] = "SOURCE_DATE_EPOCH";

std::string step_of(const std::string& what) {
  return "[internal] resolve SOURCE_DATE_EPOCH " + what;
}

EpochSource from_repository(Plan plan, const Root& root) {
  EpochSource source;
  source.graph = std::move(plan).build(root, {});
  return source;
}

EpochSource from_download(const std::string& url, const std::string& name,
                          const std::string& step) {
  Plan plan;
  const Root root = add_download(plan, url, name, step);
  EpochSource source;
  source.graph = std::move(plan).build(root, {});
  source.file = name;
  return source;
}

/// Its vertex is the one that the build itself has, so that it is fetched once.
Result<EpochSource> from_context(const Conversion& c, const ContextRef& ref,
                                 const std::string& step) {
  const bool is_main = &ref == &c.request.context;
  switch (ref.kind) {
    case ContextRef::Kind::kGit: {
      Plan plan;
      KILN_TRY_ASSIGN(const Root root, add_repository(plan, c.request, ref.identifier, step));
      return from_repository(std::move(plan), root);
    }
    case ContextRef::Kind::kHttp:
      return from_download(ref.identifier, is_main ? kDownloadName : url_file_name(ref.identifier),
                           step);
    case ContextRef::Kind::kLocal:
    case ContextRef::Kind::kImage:
    case ContextRef::Kind::kOciLayout:
      break;
  }
  return EpochSource();
}

/// A stage that stands for its one source, read without converting it.
class SourceStage {
 public:
  SourceStage(const Conversion& c, const Stage& stage)
      : c_(c), stage_(stage), environment_(c.global_args) {
    environment_.erase(kEpoch);
  }

  Result<EpochSource> source() {
    if (stage_.base_name != "scratch")
      return refuse("SOURCE_DATE_EPOCH stage must use FROM scratch");
    const dockerfile::Add* add = nullptr;
    for (const Command& command : stage_.commands) {
      const auto& kind = command.instruction->kind;
      if (const auto* arg = std::get_if<dockerfile::Arg>(&kind)) {
        KILN_TRY(declare(*arg));
      } else if (const auto* found = std::get_if<dockerfile::Add>(&kind); found && !add) {
        add = found;
        KILN_TRY(read(*add));
      } else if (found != nullptr) {
        return refuse(kOneAdd);
      } else {
        return refuse(
            "SOURCE_DATE_EPOCH stage does not meet source-only requirements: unsupported " +
            command.instruction->name + " instruction");
      }
    }
    if (add == nullptr) return refuse(kOneAdd);
    return std::move(source_);
  }

 private:
  static constexpr char kOneAdd[] = "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD";

  static tl::unexpected<Error> refuse(const std::string& message) {
    return tl::unexpected(
        Error(Code::kInvalidArgument, message)
            .hint("such a stage is FROM scratch, ARGs and one ADD of an http(s) URL or a "
                  "repository: its time is the build's"));
  }

  Result<std::string> expanded(const std::string& word) const {
    dockerfile::ExpandOptions options;
    options.escape = c_.escape;
    KILN_TRY_ASSIGN(dockerfile::Expansion expansion,
                    dockerfile::expand(word, environment_.lookup(), options));
    return std::move(expansion.text);
  }

  Status declare(const dockerfile::Arg& arg) {
    for (const dockerfile::Arg::Item& item : arg.items) {
      if (const auto given = c_.build_args.find(item.key); given != c_.build_args.end()) {
        environment_.set(item.key, given->second);
      } else if (item.value) {
        KILN_TRY_ASSIGN(const std::string value, expanded(*item.value));
        environment_.set(item.key, value);
      }
    }
    return {};
  }

  Status read(const dockerfile::Add& add) {
    const auto& sources = add.transfer.sources;
    if (sources.size() != 1 || !add.transfer.files.empty())
      return refuse("SOURCE_DATE_EPOCH stage must contain exactly one remote ADD source");
    KILN_TRY_ASSIGN(const std::string url, expanded(sources.front()));
    KILN_TRY_ASSIGN(const std::string checksum, expanded(add.checksum));
    KILN_TRY_ASSIGN(std::optional<GitRef> git, parse_git_ref(url));
    const std::string step = step_of("source stage " + stage_.name);
    if (git) {
      KILN_TRY(apply_add_flags({add.keep_git_dir, checksum}, *git));
      Plan plan;
      const Root root = add_repository(plan, *git, step);
      source_ = from_repository(std::move(plan), root);
      return {};
    }
    if (!is_http_url(url))
      return refuse("SOURCE_DATE_EPOCH stage source must be a single HTTP(S) or Git ADD");
    // Without the checksum: what is pinned may come from the cache, which would give the time of
    // whichever server had it first.
    source_ = from_download(url, url_file_name(url), step);
    if (!checksum.empty()) {
      KILN_TRY_ASSIGN(source_.checksum, Digest::parse(checksum));
    }
    return {};
  }

  const Conversion& c_;
  const Stage& stage_;
  dockerfile::Environment environment_;
  EpochSource source_;
};

Error names_nothing(const Conversion& c, const std::string& name) {
  std::vector<std::string> known = c.stages.names();
  for (const auto& [key, ref] : c.request.named_contexts) known.push_back(key);
  known.emplace_back("context");
  return Error(Code::kInvalidArgument,
               "invalid SOURCE_DATE_EPOCH: " + printable(name) + did_you_mean(name, known))
      .hint(
          "give seconds since 1970 (git log -1 --format=%ct prints those of the last commit), "
          "context, or the name of a context or stage whose time it is");
}

/// Spares most builds a second look at the file.
bool may_name_a_source(const FrontendRequest& request) {
  std::optional<std::string> given;
  for (const auto& [key, value] : request.build_args) {
    if (key == kEpoch) given = value;
  }
  if (given) return !given->empty() && !parse_source_date_epoch(*given);
  return request.dockerfile.find(kEpoch) != std::string::npos;
}

}  // namespace

Result<std::optional<EpochSource>> epoch_source(const FrontendRequest& request,
                                                ImageConfigResolver& resolver,
                                                std::stop_token stop) {
  if (!may_name_a_source(request)) return std::nullopt;
  SourceText source = read_source(request);
  KILN_TRY(source.status);
  return convert_for_epoch(
      {request, source.instructions, source.escape, resolver, source.linter, std::move(stop)});
}

Result<EpochSource> find_epoch_source(const Conversion& c, const std::string& name) {
  if (name == "context") {
    KILN_TRY_ASSIGN(EpochSource source,
                    from_context(c, c.request.context, remote_context_step(c.request.context)));
    source.is_main_context = true;
    return source;
  }
  if (const auto context = c.contexts.find(name, c.platform))
    return from_context(c, *context->ref, step_of("named context " + context->name));
  const auto& stages = c.stages.all();
  const auto stage = std::find_if(stages.begin(), stages.end(), [&name](const auto& each) {
    return !each->external && equal_fold(each->name, name);
  });
  if (name.empty() || stage == stages.end()) return tl::unexpected(names_nothing(c, name));
  Result<EpochSource> source = SourceStage(c, **stage).source();
  if (!source) return tl::unexpected(source.error().at((*stage)->where));
  return source;
}

}  // namespace kiln::frontend
