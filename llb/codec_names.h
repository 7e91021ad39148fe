// Keys of OpMetadata.description that carry a field of Meta.
#pragma once

namespace kiln::llb {

inline constexpr char kNameKey[] = "llb.customname";  // BuildKit's: the vertex's display name
inline constexpr char kShmKey[] = "kiln.shm-bytes";   // LinuxResources has no field for it

}  // namespace kiln::llb
