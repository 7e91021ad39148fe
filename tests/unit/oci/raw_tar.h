// Tar archives by hand, so that tests can write what TarWriter refuses to.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

namespace kiln::oci {

struct RawEntry {
  std::string name, link, data;
  char type = '0';
  uint32_t dev_major = 0, dev_minor = 0;
};

inline void put_raw_octal(std::string& block, size_t offset, size_t width, uint64_t value) {
  std::string digits(width - 1, '0');
  for (size_t i = width - 1; i-- > 0; value >>= 3U) {
    digits[i] = static_cast<char>('0' + (value & 7U));
  }
  block.replace(offset, digits.size(), digits);
}

inline std::string raw_entry(const RawEntry& entry) {
  std::string block(512, '\0');
  const std::string name = entry.name.substr(0, 100);
  block.replace(0, name.size(), name);
  put_raw_octal(block, 100, 8, 0644);
  put_raw_octal(block, 108, 8, 0);
  put_raw_octal(block, 116, 8, 0);
  put_raw_octal(block, 124, 12, entry.data.size());
  put_raw_octal(block, 136, 12, 0);
  block[156] = entry.type;
  block.replace(157, entry.link.size(), entry.link);
  block.replace(257, 5, "ustar");
  block.replace(263, 2, "00");
  put_raw_octal(block, 329, 8, entry.dev_major);
  put_raw_octal(block, 337, 8, entry.dev_minor);
  block.replace(148, 8, "        ");
  uint64_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put_raw_octal(block, 148, 7, sum);
  block[154] = '\0';
  return block + entry.data + std::string((512 - entry.data.size() % 512) % 512, '\0');
}

inline std::string raw_pax(const std::string& key, const std::string& value) {
  const std::string rest = " " + key + "=" + value + "\n";
  size_t total = rest.size() + 1;
  while (std::to_string(total).size() + rest.size() != total) ++total;
  RawEntry entry;
  entry.name = "PaxHeaders.0/x";
  entry.data = std::to_string(total) + rest;
  entry.type = 'x';
  return raw_entry(entry);
}

inline std::string raw_entry(const std::string& name, const std::string& data = {}, char type = '0',
                             const std::string& link = {}) {
  RawEntry entry;
  entry.name = name;
  entry.data = data;
  entry.type = type;
  entry.link = link;
  return raw_entry(entry);
}

inline const std::string kTarEnd(1024, '\0');

}  // namespace kiln::oci
