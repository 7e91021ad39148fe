// What every start needs of memory, asked for in two calls instead of page by page: a page fault
// costs up to 20 us under a hypervisor, and there were 770 in a build of which nothing is left to
// do. Runs before the first constructor of a global, none of which it uses.
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>

// Where the linker says that the code begins and ends.
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" const char __executable_start;
// NOLINTNEXTLINE(readability-identifier-naming)
extern "C" const char etext;

namespace kiln::cmd {
namespace {

constexpr size_t kPageBytes = 4096;

struct Pages {
  uintptr_t begin, end;
  void* address() const { return reinterpret_cast<void*>(begin); }
  size_t bytes() const { return end - begin; }
};

Pages whole_pages(const char* begin, const char* end) {
  const auto up = [](const char* at) {
    return (reinterpret_cast<uintptr_t>(at) + kPageBytes - 1) / kPageBytes * kPageBytes;
  };
  return {up(begin), std::max(up(begin), up(end) - kPageBytes)};
}

// Memory that was used once is used again, so it is not handed back in between: that was 350 calls
// in a build of thirty steps.
void keep_freed_memory() {
  constexpr int kKeptBytes = 32 << 20, kStepBytes = 512 << 10, kMappedAloneBytes = 4 << 20;
  (void)::mallopt(M_MMAP_THRESHOLD, kMappedAloneBytes);  // each is a wish
  (void)::mallopt(M_TRIM_THRESHOLD, kKeptBytes);
  (void)::mallopt(M_TOP_PAD, kStepBytes);
}

// What parsing arguments and starting the libraries takes, and some of a small build.
void fill_heap() {
  constexpr size_t kBytes = 704 << 10;
  auto* const block = static_cast<char*>(std::malloc(kBytes));
  if (block == nullptr) return;
  const Pages pages = whole_pages(block, block + kBytes);
  (void)::madvise(pages.address(), pages.bytes(), MADV_POPULATE_WRITE);  // since Linux 5.14
  std::free(block);
}

// Only if nothing must be read from the disk for it.
void map_code() {
  constexpr size_t kMostPages = 16384;
  static std::array<unsigned char, kMostPages> in_memory;
  const Pages code = whole_pages(&__executable_start, &etext);
  const size_t count = code.bytes() / kPageBytes;
  if (count > kMostPages || ::mincore(code.address(), code.bytes(), in_memory.data()) != 0) return;
  const std::span<const unsigned char> seen(in_memory.data(), count);
  if (std::all_of(seen.begin(), seen.end(), [](unsigned char page) { return (page & 1U) != 0; }))
    (void)::madvise(code.address(), code.bytes(), MADV_POPULATE_READ);
}

[[gnu::constructor(101)]] void warm_start() {
  keep_freed_memory();
  fill_heap();
  map_code();
}

}  // namespace
}  // namespace kiln::cmd
