#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "oci/tar.h"

namespace kiln::oci {
namespace {

constexpr size_t kBlock = 512;
constexpr std::array<std::byte, 2 * kBlock> kZeros{};

// POSIX pax(1), "ustar Interchange Format".
struct UstarHeader {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
  char magic[6], version[2], user[32], group[32], dev_major[8], dev_minor[8], prefix[155], rest[12];
};
static_assert(sizeof(UstarHeader) == kBlock);

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0; });
}

// The largest number an octal field of `width` bytes holds beside its NUL.
constexpr uint64_t octal_limit(size_t width) {
  return (uint64_t{1} << (3 * (width - 1))) - 1;
}

template <size_t kWidth>
void put_octal(char (&field)[kWidth], uint64_t value) {
  for (size_t i = kWidth - 1; i-- > 0; value >>= 3U) {
    field[i] = static_cast<char>('0' + (value & 7U));
  }
  field[kWidth - 1] = '\0';
}

template <size_t kWidth>
void put_text(char (&field)[kWidth], std::string_view text) {
  text.copy(field, kWidth);
}

char type_flag(EntryType type) {
  switch (type) {
    case EntryType::kFile:
      return '0';
    case EntryType::kHardlink:
      return '1';
    case EntryType::kSymlink:
      return '2';
    case EntryType::kCharDevice:
      return '3';
    case EntryType::kBlockDevice:
      return '4';
    case EntryType::kDirectory:
      return '5';
    case EntryType::kFifo:
      return '6';
  }
  return '0';
}

struct SplitName {
  std::string_view prefix, name;
};

// As long a prefix as fits, cut at a "/": the way Go's archive/tar and GNU tar do it. False: ustar
// cannot hold `path`.
bool split_name(std::string_view path, SplitName& out) {
  constexpr size_t kName = sizeof UstarHeader::name;
  constexpr size_t kPrefix = sizeof UstarHeader::prefix;
  if (path.size() <= kName) {
    out = {{}, path};
    return true;
  }
  size_t length = path.size();
  if (length > kPrefix + 1) {
    length = kPrefix + 1;
  } else if (path.back() == '/') {
    --length;
  }
  const size_t slash = path.substr(0, length).rfind('/');
  if (slash == std::string_view::npos || slash == 0) return false;
  out = {path.substr(0, slash), path.substr(slash + 1)};
  return !out.name.empty() && out.name.size() <= kName;
}

// "<length> <key>=<value>\n", where length counts itself. POSIX pax(1), "pax Extended Header".
void append_record(std::string& records, std::string_view key, std::string_view value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t total = rest + std::to_string(rest).size();
  total = rest + std::to_string(total).size();
  records.append(std::to_string(total)).append(" ").append(key).append("=").append(value);
  records.push_back('\n');
}

std::string ascii_only(std::string_view text) {
  std::string kept;
  std::ranges::copy_if(text, std::back_inserter(kept), [](char c) { return c > 0; });
  return kept;
}

void seal(UstarHeader& header) {
  std::memset(header.checksum, ' ', sizeof header.checksum);
  uint64_t sum = 0;
  for (const unsigned char c : std::span(reinterpret_cast<const unsigned char*>(&header), kBlock)) {
    sum += c;
  }
  char digits[7];
  put_octal(digits, sum);
  std::memcpy(header.checksum, digits, sizeof digits);  // six digits, NUL, space
}

void put_magic(UstarHeader& header) {
  std::memcpy(header.magic, "ustar", sizeof header.magic);
  std::memcpy(header.version, "00", sizeof header.version);
}

std::span<const std::byte> bytes_of(const UstarHeader& header) {
  return std::as_bytes(std::span(&header, 1));
}

uint64_t padding_of(uint64_t size) {
  return (kBlock - size % kBlock) % kBlock;
}

Status write_pax_header(Sink& to, std::string_view path, std::string_view records) {
  UstarHeader header{};
  const size_t slash = path.rfind('/', path.empty() ? 0 : path.size() - 2);
  const std::string_view directory =
      slash == std::string_view::npos ? "" : path.substr(0, slash + 1);
  std::string name = ascii_only(std::string(directory) + "PaxHeaders.0/" +
                                std::string(path.substr(directory.size())));
  while (!name.empty() && name.back() == '/') name.pop_back();
  put_text(header.name, name);
  put_octal(header.mode, 0);
  put_octal(header.uid, 0);
  put_octal(header.gid, 0);
  put_octal(header.size, records.size());
  put_octal(header.mtime, 0);
  header.type = 'x';
  put_magic(header);
  put_octal(header.dev_major, 0);
  put_octal(header.dev_minor, 0);
  seal(header);
  KILN_TRY(to.write(bytes_of(header)));
  KILN_TRY(to.write(as_bytes(records)));
  return to.write(std::span(kZeros).first(padding_of(records.size())));
}

// One entry's header and, if ustar cannot hold a value, the records before it. Keys in bytewise
// order, as Go writes them.
class EntryHeader {
 public:
  explicit EntryHeader(const TarEntry& entry) : entry_(entry) {
    path_ = entry.path.is_root() ? "." : entry.path.str();
    if (entry.type == EntryType::kDirectory) path_.push_back('/');
    size_ = entry.type == EntryType::kFile ? entry.size : 0;
  }

  Status write(Sink& to) {
    KILN_TRY(check());
    SplitName split;
    const bool name_fits = is_ascii(path_) && split_name(path_, split);
    if (name_fits && only_ustar()) {
      // The hot path: nothing is allocated but `path_`, and that only when it is long.
      fill(split);
    } else {
      KILN_TRY(write_pax_header(to, path_, records(!name_fits)));
      const std::string plain = name_fits ? std::string() : ascii_only(path_);
      fill(name_fits ? split : SplitName{{}, plain});
    }
    return to.write(bytes_of(header_));
  }

  uint64_t size() const { return size_; }

 private:
  bool link_fits() const {
    return entry_.link_target.size() <= sizeof header_.link && is_ascii(entry_.link_target);
  }
  bool only_ustar() const {
    return entry_.xattrs.empty() && link_fits() && entry_.uid <= octal_limit(8) &&
           entry_.gid <= octal_limit(8) && size_ <= octal_limit(12) && entry_.mtime >= 0 &&
           static_cast<uint64_t>(entry_.mtime) <= octal_limit(12);
  }

  Status check() const {
    const auto refuse = [&](std::string_view why) {
      return fail(Code::kInvalidArgument,
                  "tar entry \"" + entry_.path.str() + "\": " + std::string(why));
    };
    if (entry_.link_target.find('\0') != std::string::npos) return refuse("NUL in its link target");
    if (entry_.dev_major > octal_limit(8) || entry_.dev_minor > octal_limit(8)) {
      return refuse("its device number is too large for tar");
    }
    for (const auto& [name, value] : entry_.xattrs) {
      if (name.empty() || name.find_first_of(std::string_view("=\0", 2)) != std::string::npos) {
        return refuse("the name of an extended attribute has \"=\" or NUL");
      }
    }
    return {};
  }

  std::string records(bool with_path) const {
    std::string records;
    for (const auto& [name, value] : entry_.xattrs) {
      append_record(records, "SCHILY.xattr." + name, value);
    }
    if (entry_.gid > octal_limit(8)) append_record(records, "gid", std::to_string(entry_.gid));
    if (!link_fits()) append_record(records, "linkpath", entry_.link_target);
    if (entry_.mtime < 0 || static_cast<uint64_t>(entry_.mtime) > octal_limit(12)) {
      append_record(records, "mtime", std::to_string(entry_.mtime));
    }
    if (with_path) append_record(records, "path", path_);
    if (size_ > octal_limit(12)) append_record(records, "size", std::to_string(size_));
    if (entry_.uid > octal_limit(8)) append_record(records, "uid", std::to_string(entry_.uid));
    return records;
  }

  // Values that do not fit are zero here: the records say what they are.
  void fill(const SplitName& split) {
    const auto or_zero = [](uint64_t value, size_t width) {
      return value <= octal_limit(width) ? value : 0;
    };
    put_text(header_.name, split.name);
    put_text(header_.prefix, split.prefix);
    put_octal(header_.mode, entry_.mode & 07777U);
    put_octal(header_.uid, or_zero(entry_.uid, 8));
    put_octal(header_.gid, or_zero(entry_.gid, 8));
    put_octal(header_.size, or_zero(size_, 12));
    put_octal(header_.mtime,
              entry_.mtime < 0 ? 0 : or_zero(static_cast<uint64_t>(entry_.mtime), 12));
    header_.type = type_flag(entry_.type);
    if (link_fits()) {
      put_text(header_.link, entry_.link_target);
    } else {
      put_text(header_.link, ascii_only(entry_.link_target));
    }
    put_magic(header_);
    put_octal(header_.dev_major, entry_.dev_major);
    put_octal(header_.dev_minor, entry_.dev_minor);
    seal(header_);
  }

  const TarEntry& entry_;
  std::string path_;
  uint64_t size_ = 0;
  UstarHeader header_{};
};

}  // namespace

Status TarWriter::add(const TarEntry& entry) {
  if (left_ > 0) {
    return fail(Code::kFailedPrecondition, "tar: the entry before \"" + entry.path.str() +
                                               "\" lacks " + std::to_string(left_) + " bytes");
  }
  EntryHeader header(entry);
  KILN_TRY(header.write(to_));
  left_ = header.size();
  padding_ = padding_of(left_);
  return {};
}

Status TarWriter::data(std::span<const std::byte> bytes) {
  if (bytes.size() > left_) {
    return fail(Code::kFailedPrecondition, "tar: more data than the entry's size");
  }
  KILN_TRY(to_.write(bytes));
  left_ -= bytes.size();
  if (left_ > 0 || padding_ == 0) return {};
  return to_.write(std::span(kZeros).first(std::exchange(padding_, 0)));
}

Status TarWriter::finish() {
  if (left_ > 0) {
    return fail(Code::kFailedPrecondition,
                "tar: the last entry lacks " + std::to_string(left_) + " bytes");
  }
  return to_.write(kZeros);
}

}  // namespace kiln::oci
