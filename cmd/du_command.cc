// `kiln du`: what a root holds, as `docker buildx du` prints it.
#include <cstdio>

#include "base/strings.h"
#include "cmd/commands.h"
#include "cmd/image_lookup.h"
#include "cmd/item_filter.h"
#include "cmd/rows.h"
#include "cmd/store_items.h"

namespace kiln::cmd {
namespace {

const std::vector<Column>& columns() {
  static const std::vector<Column> kColumns = {{"ID", "ID"},
                                               {"Reclaimable", "RECLAIMABLE"},
                                               {"Size", "SIZE"},
                                               {"LastUsedSince", "LAST ACCESSED"},
                                               {"Type", "TYPE"},
                                               {"Description", "DESCRIPTION"},
                                               {"Parents", "PARENTS"},
                                               {"CreatedAt", "CREATED AT"},
                                               {"CreatedSince", "CREATED"},
                                               {"InUse", "IN USE"},
                                               {"Mutable", "MUTABLE"},
                                               {"Shared", "SHARED"},
                                               {"SizeBytes", "SIZE IN BYTES"},
                                               {"LastUsedAt", "LAST USED"},
                                               {"UsageCount", "USAGE COUNT"}};
  return kColumns;
}
constexpr size_t kShown = 6;  // of them, in the table

Json row_of(const StoreItem& item) {
  const StoreItem::Time now = Clock::system().now();
  const bool known = item.last_used != StoreItem::Time{};
  Json row = Json::object();
  row.set("ID", item.id);
  row.set("Parents", Json::array_of(item.parents));
  row.set("CreatedAt", item.created == StoreItem::Time{} ? "" : format_rfc3339(item.created));
  row.set("CreatedSince", item.created == StoreItem::Time{} ? "" : ago(now - item.created));
  row.set("Mutable", item.changes);
  row.set("Reclaimable", item.reclaimable);
  row.set("InUse", item.in_use);
  row.set("Shared", item.shared);
  row.set("Size", human_bytes(item.bytes));
  row.set("SizeBytes", item.bytes);
  row.set("Description", printable(item.description));
  row.set("UsageCount", item.uses);
  row.set("LastUsedAt", known ? format_rfc3339(item.last_used) : "");
  row.set("LastUsedSince", known ? ago(now - item.last_used) : "");
  row.set("Type", item.type);
  return row;
}

// The marks of buildx: a star after the ID of what changes, and after the size of what is shared.
Result<std::string> table_of(const std::vector<StoreItem>& items) {
  constexpr size_t kLongest = 60;  // of a description, bytes
  std::vector<Json> rows;
  for (const StoreItem& item : items) {
    Json row = row_of(item);
    if (item.changes) row.set("ID", item.id + "*");
    if (item.shared) row.set("Size", human_bytes(item.bytes) + "*");
    std::string text = row["Description"].as_string();
    if (text.size() > kLongest) {
      size_t end = kLongest - 1;
      while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
      row.set("Description", text.substr(0, end) + "…");
    }
    rows.push_back(std::move(row));
  }
  return format_rows(rows, {columns().begin(), columns().begin() + kShown}, columns(), "table");
}

std::string pretty(const std::vector<StoreItem>& items) {
  static const std::vector<std::pair<const char*, const char*>> kLines = {
      {"ID", "ID"},
      {"Parents", "Parents"},
      {"Created at", "CreatedAt"},
      {"Mutable", "Mutable"},
      {"Reclaimable", "Reclaimable"},
      {"Shared", "Shared"},
      {"In use", "InUse"},
      {"Size", "Size"},
      {"Description", "Description"},
      {"Usage count", "UsageCount"},
      {"Last used", "LastUsedSince"},
      {"Type", "Type"}};
  constexpr size_t kWidth = 16;
  std::string text;
  for (const StoreItem& item : items) {
    const Json row = row_of(item);
    for (const auto& [name, field] : kLines) {
      const Json& value = row[field];
      std::string shown = value.is_array() ? join(value.strings(), ", ") : value.as_string();
      if (value.is_bool()) shown = value.as_bool() ? "true" : "false";
      if (value.is_number()) shown = std::to_string(value.as_uint());
      if (shown.empty()) continue;
      std::string line = std::string(name) + ":";
      line.resize(kWidth, ' ');
      text += line + shown + "\n";
    }
    text += "\n";
  }
  return text;
}

std::string sums(const std::vector<StoreItem>& items) {
  uint64_t shared = 0, reclaimable = 0, total = 0;
  for (const StoreItem& item : items) {
    total += item.bytes;
    if (item.shared) shared += item.bytes;
    if (item.reclaimable) reclaimable += item.bytes;
  }
  std::vector<std::vector<std::string>> lines;
  if (shared > 0) {
    lines.push_back({"Shared:", human_bytes(shared)});
    lines.push_back({"Private:", human_bytes(total - shared)});
  }
  lines.push_back({"Reclaimable:", human_bytes(reclaimable)});
  lines.push_back({"Total:", human_bytes(total)});
  return align_columns(lines);
}

Result<std::string> shown(const std::vector<StoreItem>& items, const DuOptions& options) {
  if (options.verbose || options.format == "pretty") return pretty(items) + sums(items);
  if (options.format.empty() || options.format == "table") {
    KILN_TRY_ASSIGN(const std::string table, table_of(items));
    return table + sums(items);
  }
  std::vector<Json> rows;
  rows.reserve(items.size());
  for (const StoreItem& item : items) rows.push_back(row_of(item));
  return format_rows(rows, columns(), columns(), options.format);
}

}  // namespace

CommandResult run_du(const DuOptions& options, const Invocation& invocation) {
  const auto filter = ItemFilter::parse(options.filters, Clock::system().now());
  if (!filter) return usage_failure(filter.error());
  KILN_CMD_TRY_ASSIGN(const std::unique_ptr<Engine> engine,
                      open_engine(options.global, Need::kBuild, invocation));
  KILN_CMD_TRY_ASSIGN(std::vector<StoreItem> items, store_items(*engine));
  std::erase_if(items, [&](const StoreItem& item) { return !filter->accepts(item); });
  const Result<std::string> text = shown(items, options);
  if (!text) return usage_failure(text.error());
  (void)std::fputs(text->c_str(), stdout);  // main sees whether it arrived
  return {};
}

}  // namespace kiln::cmd
