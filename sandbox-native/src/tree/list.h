// A tree without the contents of its files, for listings as they lie beside the archives of a cache.
#pragma once

#include <string>

#include "core/result.h"

namespace cloister {

/// The entries in the order of the archive, packed, all numbers little endian:
///     'f' or 'x' (executable)  u32 + name  u64 size  u64 offset of the contents in the archive
///     'l'                      u32 + name  u32 + target
///     'd'                      u32 + name  entries 'e'
/// The top has the name "". Failures as for NarSource.
Result<std::string> ListTree(int parent_fd, const char* name);

}  // namespace cloister
