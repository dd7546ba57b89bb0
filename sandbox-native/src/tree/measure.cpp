#include "tree/measure.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "core/unique-fd.h"
#include "tree/entry.h"

namespace cloister {
namespace {

/// Directories held open at once. An output may be a quarter as deep; who nests deeper than this hides something.
constexpr size_t kMaxHeld = 256;
constexpr uint64_t kBlock = 512;  // of st_blocks, whatever the file system's is

class Measurer {
 public:
  Measurer(const MeasureOptions& options, TreeSize& size) : options_(options), size_(size) {}

  void Run(int directory_fd) {
    Enter(openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    while (!levels_.empty() && size_.whole) {
      Level& level = levels_.back();
      if (level.directories.empty()) {
        levels_.pop_back();
        continue;
      }
      const std::string name = std::move(level.directories.back());
      level.directories.pop_back();
      if (levels_.size() == kMaxHeld) {
        size_.whole = false;
        return;
      }
      Enter(openat(level.fd.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    }
  }

 private:
  struct Level {
    UniqueFd fd;
    std::vector<std::string> directories;  // still to be entered
  };

  void Enter(int fd) {
    if (fd < 0) return;
    Level& level = levels_.emplace_back();
    level.fd.Reset(fd);
    entries_.clear();
    if (!ReadEntries(fd, entries_)) return;
    for (DirectoryEntry& entry : entries_) {
      if (levels_.size() == 1 && IsLeftOut(entry.name)) continue;
      struct stat status{};
      if (fstatat(fd, entry.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
      if (S_ISDIR(status.st_mode)) level.directories.push_back(std::move(entry.name));
      if (!S_ISDIR(status.st_mode) && status.st_nlink > 1 && !linked_.insert({status.st_dev, status.st_ino}).second) continue;
      size_.bytes += static_cast<uint64_t>(status.st_blocks) * kBlock;
      ++size_.inodes;
      if (IsPast(options_.most_bytes, size_.bytes) || IsPast(options_.most_inodes, size_.inodes)) {
        size_.whole = false;
        return;
      }
    }
  }

  bool IsLeftOut(const std::string& name) const {
    return options_.without != nullptr && std::binary_search(options_.without->begin(), options_.without->end(), name);
  }

  static bool IsPast(uint64_t limit, uint64_t value) { return limit != 0 && value > limit; }

  const MeasureOptions& options_;
  TreeSize& size_;
  std::vector<Level> levels_;
  std::vector<DirectoryEntry> entries_;
  std::set<std::pair<dev_t, ino_t>> linked_;
};

}  // namespace

void MeasureTree(int directory_fd, const MeasureOptions& options, TreeSize& size) { Measurer(options, size).Run(directory_fd); }

}  // namespace cloister
