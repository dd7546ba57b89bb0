// How much a tree takes on its disk, while somebody else may be changing it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cloister {

struct TreeSize {
  uint64_t bytes = 0;   // of blocks on disk
  uint64_t inodes = 0;  // without the top
  bool whole = true;    // false: given up at a limit, or at a part that is nested too deep to be measured
};

struct MeasureOptions {
  /// Given up when one of them is passed; 0: none.
  uint64_t most_bytes = 0;
  uint64_t most_inodes = 0;
  /// Entries of the top that are left out, sorted.
  const std::vector<std::string>* without = nullptr;
};

/// Adds the tree below the held directory to `size`. Names are looked up in directories that are held open, and no symlink
/// is followed. What vanishes meanwhile is not counted, nor is a file that has no name any more.
void MeasureTree(int directory_fd, const MeasureOptions& options, TreeSize& size);

}  // namespace cloister
