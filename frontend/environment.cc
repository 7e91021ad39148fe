#include "frontend/environment.h"

#include <algorithm>

namespace kiln::dockerfile {

Environment Environment::from_strings(const std::vector<std::string>& items) {
  Environment environment;
  for (const std::string& item : items) {
    const size_t equals = item.find('=');
    const std::string_view text = item;
    environment.set(text.substr(0, equals),
                    equals == std::string::npos ? std::string_view() : text.substr(equals + 1));
  }
  return environment;
}

void Environment::set(std::string_view key, std::string_view value) {
  const auto [it, added] = index_.try_emplace(std::string(key), items_.size());
  if (added) {
    items_.emplace_back(key, value);
  } else {
    items_[it->second].second = value;
  }
}

void Environment::erase(std::string_view key) {
  const auto it = index_.find(std::string(key));
  if (it == index_.end()) return;
  items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(it->second));
  index_.clear();
  for (size_t i = 0; i < items_.size(); ++i) index_.emplace(items_[i].first, i);
}

std::optional<std::string_view> Environment::get(std::string_view key) const {
  const auto it = index_.find(std::string(key));
  if (it == index_.end()) return std::nullopt;
  return items_[it->second].second;
}

std::vector<std::string> Environment::to_strings() const {
  std::vector<std::string> strings;
  strings.reserve(items_.size());
  for (const auto& [key, value] : items_) {
    strings.push_back(key);
    strings.back().append("=").append(value);
  }
  return strings;
}

EnvLookup Environment::lookup() const {
  return [this](std::string_view name) { return get(name); };
}

}  // namespace kiln::dockerfile
