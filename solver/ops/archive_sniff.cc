#include "solver/ops/archive_sniff.h"

#include "base/io.h"
#include "oci/compression.h"

namespace kiln {

Result<std::unique_ptr<oci::TarReader>> open_archive(const TreeView& source, const RelPath& path) {
  FileScratch scratch;
  KILN_TRY_ASSIGN(Fd fd, source.open_file(path, scratch));
  KILN_TRY(source.check_unchanged(path, fd));
  KILN_TRY_ASSIGN(auto plain,
                  oci::decompress(std::make_unique<FdSource>(std::move(fd), path.absolute())));
  return oci::TarReader::open(std::move(plain));
}

Result<bool> is_archive(const TreeView& source, const CopyMatch& match) {
  if (!S_ISREG(match.st.st_mode) || match.st.st_size == 0) return false;
  {
    FileScratch scratch;
    KILN_TRY_ASSIGN(const Fd readable, source.open_file(match.path, scratch));
    KILN_TRY(source.check_unchanged(match.path, readable));
  }
  auto reader = open_archive(source, match.path);
  if (!reader) return false;
  const auto first = (*reader)->next();
  if (first) return first->has_value();
  // A tar whose first entry must be refused is a tar: unpacking it is what reports that.
  return first.error().code() == Code::kInvalidArgument;
}

}  // namespace kiln
