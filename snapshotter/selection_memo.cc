#include "snapshotter/selection_memo.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <span>

#include "base/fingerprint.h"
#include "base/fs.h"

namespace kiln::internal {
namespace {

constexpr uint64_t kMagic = 0x4b494c4e53454c31;  // "KILNSEL1", native byte order

std::array<std::byte, Digest::kBytes> raw(const Digest& digest) {
  std::array<std::byte, Digest::kBytes> out{};
  std::copy(digest.bytes().begin(), digest.bytes().end(), out.begin());
  return out;
}

}  // namespace

SelectionMemo::SelectionMemo(std::string file) : file_(std::move(file)) {
  state_.lock()->records = read(file_);
}

std::vector<SelectionMemo::Record> SelectionMemo::read(const std::string& file) {
  const auto text = read_file(file, sizeof(Header) + kMost * sizeof(Record));
  Header header{};
  if (!text || text->size() < sizeof(header)) return {};
  std::memcpy(&header, text->data(), sizeof(header));
  const std::string_view body = std::string_view(*text).substr(sizeof(header));
  if (header.magic != kMagic || body.size() % sizeof(Record) != 0 ||
      body.size() / sizeof(Record) != header.count || fingerprint(body) != header.checksum)
    return {};
  std::vector<Record> records(header.count);
  std::memcpy(records.data(), body.data(), body.size());
  return records;
}

std::optional<SelectionMemo::Known> SelectionMemo::find(const Digest& key) {
  const auto wanted = raw(key);
  auto state = state_.lock();
  const auto found = std::find_if(state->records.begin(), state->records.end(),
                                  [&](const Record& record) { return record.key == wanted; });
  if (found == state->records.end()) return std::nullopt;
  state->files_found += found->files;
  const Known known{Digest::from_bytes(found->digest), found->files};
  std::rotate(state->records.begin(), found, found + 1);
  return known;
}

void SelectionMemo::insert(const Digest& key, const Known& known) {
  auto state = state_.lock();
  state->records.insert(state->records.begin(), {raw(key), raw(known.digest), known.files});
  if (state->records.size() > kMost) state->records.pop_back();
  state->changed = true;
}

uint64_t SelectionMemo::files_found() {
  return state_.lock()->files_found;
}

Status SelectionMemo::save() {
  auto state = state_.lock();
  if (!state->changed) return {};
  state->changed = false;
  const std::string_view body(reinterpret_cast<const char*>(state->records.data()),
                              state->records.size() * sizeof(Record));
  const Header header{kMagic, state->records.size(), fingerprint(body)};
  std::string text(reinterpret_cast<const char*>(&header), sizeof(header));
  text += body;
  const std::string temp = file_ + "." + std::to_string(::getpid());
  KILN_TRY(write_file(temp, text));
  if (::rename(temp.c_str(), file_.c_str()) != 0) return fail_errno("replace", file_);
  return {};
}

}  // namespace kiln::internal
