// Programs of other architectures, small enough to be written down here: each writes its
// architecture's name to "/made" and ends. No cross compiler is needed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kiln::e2e {

struct ElfTarget {
  uint16_t machine;  // e_machine
  int bits;
  std::string_view code;
};

/// Position independent code, from `clang --target=aarch64-linux-gnu` of openat, write, exit.
inline constexpr unsigned char kArm64Code[] = {
    0x60, 0x0c, 0x80, 0x92, 0x81, 0x01, 0x00, 0x10, 0x22, 0x08, 0x80, 0xd2, 0x83, 0x34, 0x80, 0xd2,
    0x08, 0x07, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0x01, 0x01, 0x00, 0x50, 0xc2, 0x00, 0x80, 0xd2,
    0x08, 0x08, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2,
    0x01, 0x00, 0x00, 0xd4, '/',  'm',  'a',  'd',  'e',  0x00, 'a',  'r',  'm',  '6',  '4',  '\n'};
/// The same with int $0x80.
inline constexpr unsigned char kI386Code[] = {
    0xe8, 0x00, 0x00, 0x00, 0x00, 0x5e, 0x8d, 0x9e, 0x35, 0x00, 0x00, 0x00, 0xb9, 0x41,
    0x00, 0x00, 0x00, 0xba, 0xa4, 0x01, 0x00, 0x00, 0xb8, 0x05, 0x00, 0x00, 0x00, 0xcd,
    0x80, 0x89, 0xc3, 0x8d, 0x8e, 0x3b, 0x00, 0x00, 0x00, 0xba, 0x06, 0x00, 0x00, 0x00,
    0xb8, 0x04, 0x00, 0x00, 0x00, 0xcd, 0x80, 0x31, 0xdb, 0xb8, 0x01, 0x00, 0x00, 0x00,
    0xcd, 0x80, '/',  'm',  'a',  'd',  'e',  0x00, 'i',  '3',  '8',  '6',  ' ',  '\n'};

template <size_t N>
std::string_view code_of(const unsigned char (&bytes)[N]) {
  return {reinterpret_cast<const char*>(bytes), N};
}

/// A static executable: one readable, executable segment. Little-endian.
inline std::string make_elf(const ElfTarget& target) {
  const bool wide = target.bits == 64;
  const uint64_t base = 0x400000;
  const uint64_t header = wide ? 64 : 52, segment = wide ? 56 : 32;
  const uint64_t start = header + segment, size = start + target.code.size();
  std::string out("\177ELF", 4);
  const auto put = [&out](uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
  };
  const size_t word = wide ? 8 : 4;
  put(wide ? 2 : 1, 1), put(1, 1), put(1, 1), put(0, 9);     // class, order, version
  put(2, 2), put(target.machine, 2), put(1, 4);              // executable
  put(base + start, word), put(header, word), put(0, word);  // entry, segments, sections
  put(0, 4), put(header, 2), put(segment, 2), put(1, 2);     // flags, sizes, one segment
  put(0, 2), put(0, 2), put(0, 2);                           // no sections
  put(1, 4);                                                 // load
  if (wide) put(5, 4);                                       // readable, executable
  put(0, word), put(base, word), put(base, word);            // offset, addresses
  put(size, word), put(size, word);                          // in the file, in memory
  if (!wide) put(5, 4);
  put(0x1000, word);
  return out + std::string(target.code);
}

}  // namespace kiln::e2e
