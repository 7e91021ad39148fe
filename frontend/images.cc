#include "frontend/images.h"

namespace kiln::frontend {

Result<ResolvedImage> Images::resolve(const std::string& reference, const Platform& platform) {
  if (stop_.stop_requested()) return fail(Code::kCancelled, "stopped");
  const auto key = std::make_pair(reference, platform);
  if (const auto found = known_.find(key); found != known_.end()) return found->second;
  KILN_TRY_ASSIGN(ResolvedImage image, resolver_.resolve(reference, platform, mode_, stop_));
  return known_.emplace(key, std::move(image)).first->second;
}

llb::SourceOp Images::source(const ResolvedImage& image) const {
  llb::SourceOp op{"docker-image://" + pinned(image), {}};
  if (mode_ == ResolveMode::kPull) op.attrs["image.resolvemode"] = "pull";
  if (mode_ == ResolveMode::kLocal) op.attrs["image.resolvemode"] = "local";
  return op;
}

std::string pinned(const ResolvedImage& image) {
  if (!image.digest || image.reference.find('@') != std::string::npos) return image.reference;
  return image.reference + "@" + image.digest->to_string();
}

}  // namespace kiln::frontend
