#include "frontend/outline_notes.h"

#include "base/strings.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>
#include <utility>

namespace kiln::frontend {
namespace {

using dockerfile::TypedInstruction;
using Names = std::vector<std::string>;

Names variables_of(const Conversion& c, std::string_view word) {
  dockerfile::ExpandOptions options;
  options.escape = c.escape;
  const auto expansion = dockerfile::expand(word, c.global_args.lookup(), options);
  return expansion ? expansion->used : Names();
}

/// An ARG before the first FROM.
struct Global {
  Outline::Arg arg;
  Names uses;  // other arguments in its default
};

/// The text's part of the outline: what stands before the stages, and what each FROM uses.
struct Text {
  std::map<std::string, Global> globals;
  std::vector<Names> from_uses;        // of each stage of the file
  std::vector<std::string> described;  // its description
};

void read_globals(const Conversion& c, const TypedInstruction& instruction,
                  const dockerfile::Arg& arg, Text& text) {
  for (const dockerfile::Arg::Item& item : arg.items) {
    Global global;
    global.arg = {item.key, description_of(instruction.comments, item.key),
                  std::string(c.global_args.get(item.key).value_or("")), instruction.where};
    if (item.value && !c.build_args.contains(item.key)) {
      global.uses = variables_of(c, *item.value);
    }
    text.globals.insert_or_assign(item.key, std::move(global));
  }
}

Text read_text(const Conversion& c, const std::vector<TypedInstruction>& instructions) {
  Text text;
  for (const TypedInstruction& instruction : instructions) {
    if (const auto* from = std::get_if<dockerfile::From>(&instruction.kind)) {
      Names uses = variables_of(c, from->base);
      const Names more = variables_of(c, from->platform);
      uses.insert(uses.end(), more.begin(), more.end());
      text.from_uses.push_back(std::move(uses));
      text.described.push_back(description_of(instruction.comments, from->stage));
    } else if (const auto* arg = std::get_if<dockerfile::Arg>(&instruction.kind);
               arg != nullptr && text.from_uses.empty()) {
      read_globals(c, instruction, *arg, text);
    }
  }
  return text;
}

class Collector {
 public:
  Collector(const Conversion& c, const Text& text, Outline& outline)
      : c_(c), text_(text), outline_(outline) {
    for (size_t i = 0; i < c.stages.declared(); ++i) places_[c.stages.all()[i].get()] = i;
  }

  /// Nearer stages come first: what they say about a name counts.
  void add(const Stage& stage) {
    if (!seen_.insert(&stage).second) return;
    add_args(stage);
    for (const SecretUse& use : stage.secrets) add_secret(use);
    if (stage.base != nullptr) add(*stage.base);
    for (const Stage* other : stage.deps) add(*other);
  }

 private:
  void add_args(const Stage& stage) {
    const auto place = places_.find(&stage);
    if (place == places_.end()) return;  // an image of a --from
    size_t own = 0;
    for (const Command& command : stage.commands) own += items_of(command).size();
    // The stage's own arguments are the last of those in scope.
    size_t next = stage.args.size() - std::min(own, stage.args.size());
    for (const Command& command : stage.commands) {
      for (const dockerfile::Arg::Item& item : items_of(command)) {
        const auto value = next < stage.args.size() ? stage.args[next].value : std::nullopt;
        ++next;
        add_arg(command, item, value.value_or(""));
      }
    }
    for (const std::string& name : text_.from_uses[place->second]) add_global(name);
  }

  static const std::vector<dockerfile::Arg::Item>& items_of(const Command& command) {
    static const std::vector<dockerfile::Arg::Item> kNone;
    const auto* arg = std::get_if<dockerfile::Arg>(&command.instruction->kind);
    return arg == nullptr ? kNone : arg->items;
  }

  /// Without a value of its own it stands for the global one of that name.
  void add_arg(const Command& command, const dockerfile::Arg::Item& item,
               const std::string& value) {
    const bool inherited =
        !item.value && (text_.globals.contains(item.key) || c_.global_args.get(item.key));
    if (inherited) {
      add_global(item.key);
    } else if (args_.insert(item.key).second) {
      outline_.args.push_back({item.key, description_of(command.instruction->comments, item.key),
                               value, command.instruction->where});
    }
  }

  void add_global(const std::string& name) {
    const auto found = text_.globals.find(name);  // platform arguments are given, not asked for
    if (found == text_.globals.end() || !args_.insert(name).second) return;
    outline_.args.push_back(found->second.arg);
    for (const std::string& other : found->second.uses) add_global(other);
  }

  void add_secret(const SecretUse& use) {
    const bool ssh = use.type == llb::MountType::kSsh;
    if (!(ssh ? sockets_ : secrets_).insert(use.id).second) return;
    (ssh ? outline_.ssh : outline_.secrets).push_back({use.id, use.required, use.where});
  }

  const Conversion& c_;
  const Text& text_;
  Outline& outline_;
  std::map<const Stage*, size_t> places_;
  std::unordered_set<const Stage*> seen_;
  std::set<std::string> args_, secrets_, sockets_;
};

template <class Items>
void sort_by_line(Items& items) {
  std::stable_sort(items.begin(), items.end(), [](const auto& a, const auto& b) {
    return a.where.first_line < b.where.first_line;
  });
}

}  // namespace

std::string description_of(const dockerfile::Comments& comments, const std::string& name) {
  if (name.empty()) return "";
  for (const std::string& line : comments.lines) {
    if (line.starts_with(name + " ")) return std::string(trim(line.substr(name.size() + 1)));
  }
  return "";
}

Outline make_outline(const Conversion& c, const Stage& target,
                     const std::vector<TypedInstruction>& instructions) {
  const Text text = read_text(c, instructions);
  Outline outline;
  outline.name = target.name;
  for (size_t i = 0; i < c.stages.declared(); ++i) {
    if (c.stages.all()[i].get() == &target) outline.description = text.described[i];
  }
  Collector(c, text, outline).add(target);
  sort_by_line(outline.args);
  sort_by_line(outline.secrets);
  sort_by_line(outline.ssh);
  return outline;
}

}  // namespace kiln::frontend
