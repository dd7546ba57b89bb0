#include "tree/remove.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "core/defences.h"
#include "core/unique-fd.h"
#include "tree/entry.h"

namespace cloister {
namespace {

/// Directories held open at once; what lies deeper is moved up to the top first and removed from there.
constexpr size_t kMaxHeld = 32;

/// Looks again without any progress: then somebody fills the tree as fast as it is emptied.
constexpr int kMaxRetries = 1000;

class Remover {
 public:
  Remover(int parent_fd, const char* name) : parent_fd_(parent_fd), top_name_(name) {}

  Result<RemovedTree> Run() {
    struct stat status;
    if (fstatat(parent_fd_, top_name_, &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return removed_;
      return CallFailed("stat", "");
    }
    removed_.existed = true;
    if (!S_ISDIR(status.st_mode)) {
      if (!Unlink(parent_fd_, top_name_, status)) return CallFailed("unlink", "");
      return removed_;
    }
    if (!Enter(parent_fd_, top_name_, status)) return CallFailed("open directory", "");
    while (!levels_.empty()) {
      if (auto step = Step(); !step) return step.failure();
    }
    return removed_;
  }

 private:
  struct Level {
    UniqueFd fd;
    std::string name;
    uint64_t bytes;
    std::vector<std::string> directories;  // still to be entered
    bool listed = false;
  };

  /// One listing of the innermost directory, or one step down or up.
  Result<void> Step() {
    Level& level = levels_.back();
    if (!level.listed) return UnlinkFiles(level);
    if (!level.directories.empty()) return Descend();

    const int parent = levels_.size() == 1 ? parent_fd_ : levels_[levels_.size() - 2].fd.get();
    const char* name = levels_.size() == 1 ? top_name_ : level.name.c_str();
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0) {
      removed_.freed_bytes += level.bytes;
      retries_ = 0;
    } else if (errno == ENOTEMPTY || errno == EEXIST) {
      // Some file systems skip entries in a listing that is emptied meanwhile; or something came in. Look again.
      if (++retries_ > kMaxRetries) return CallFailed("rmdir", Path());
      level.listed = false;
      return {};
    } else if (errno == ENOTDIR && levels_.size() > 1) {
      // Somebody put something else in its place: the parent's next listing sees what.
    } else if (errno != ENOENT) {
      return CallFailed("rmdir", Path());
    }
    levels_.pop_back();
    return {};
  }

  /// Unlinks all that is no directory and notes the directories.
  Result<void> UnlinkFiles(Level& level) {
    entries_.clear();
    if (lseek(level.fd.get(), 0, SEEK_SET) < 0 || !ReadEntries(level.fd.get(), entries_)) {
      return CallFailed("list directory", Path());
    }
    level.listed = true;
    for (const DirectoryEntry& entry : entries_) {
      if (entry.type == DT_DIR) {
        level.directories.push_back(entry.name);
        continue;
      }
      struct stat status;
      if (fstatat(level.fd.get(), entry.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) continue;
        return CallFailed("stat", JoinPath(Path(), entry.name));
      }
      if (S_ISDIR(status.st_mode)) {
        level.directories.push_back(entry.name);
      } else if (!Unlink(level.fd.get(), entry.name.c_str(), status)) {
        if (errno == EISDIR) continue;  // swapped in between: the next listing sees a directory
        return CallFailed("unlink", JoinPath(Path(), entry.name));
      }
    }
    return {};
  }

  Result<void> Descend() {
    Level& level = levels_.back();
    const std::string name = std::move(level.directories.back());
    level.directories.pop_back();
    struct stat status;
    if (fstatat(level.fd.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      return errno == ENOENT ? Result<void>() : CallFailed("stat", JoinPath(Path(), name));
    }
    if (HasDefence(Defence::kNoSymlinkFollowed) && !S_ISDIR(status.st_mode)) return {};  // swapped in between: the next listing sees it
    if (levels_.size() >= kMaxHeld) return MoveUp(name, status);
    if (!Enter(level.fd.get(), name.c_str(), status)) {
      if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ESTALE) {
        return ++retries_ > kMaxRetries ? CallFailed("open directory", JoinPath(Path(), name)) : Result<void>();
      }
      return CallFailed("open directory", JoinPath(Path(), name));
    }
    return {};
  }

  /// Puts a directory of the innermost level into the top, where it is removed like the others there.
  Result<void> MoveUp(const std::string& name, const struct stat& status) {
    const int from = levels_.back().fd.get();
    // A directory that gets another parent is written to (its ".."), so it must be writable itself.
    if ((status.st_mode & 0700) != 0700 && !ChangeMode(from, name.c_str(), status, 0700)) {
      return CallFailed("chmod", JoinPath(Path(), name));
    }
    for (;;) {
      char moved[48];
      std::snprintf(moved, sizeof moved, ".removing-%lu", moved_up_++);
      if (renameat2(from, name.c_str(), levels_.front().fd.get(), moved, RENAME_NOREPLACE) == 0) {
        levels_.front().directories.push_back(moved);
        return {};
      }
      if (errno == ENOENT) return {};
      if (errno != EEXIST) return CallFailed("move up", JoinPath(Path(), name));
    }
  }

  /// Opens a directory and makes it one that may be emptied. False with errno.
  bool Enter(int parent_fd, const char* name, const struct stat& status) {
    UniqueFd fd = OpenEntry(parent_fd, name, O_RDONLY | O_DIRECTORY);
    if (!fd && errno == EACCES && ChangeMode(parent_fd, name, status, 0700)) {
      fd = OpenEntry(parent_fd, name, O_RDONLY | O_DIRECTORY);
    }
    if (!fd) return false;
    struct stat held;
    if (fstat(fd.get(), &held) != 0) return false;
    // Without the capability that overrides modes this is needed; who has the capability may lack it for this owner.
    if ((held.st_mode & 0700) != 0700 && fchmod(fd.get(), 0700) != 0 && errno != EPERM) return false;
    levels_.push_back({std::move(fd), name, static_cast<uint64_t>(held.st_blocks) * 512, {}});
    return true;
  }

  bool Unlink(int parent_fd, const char* name, const struct stat& status) {
    if (unlinkat(parent_fd, name, 0) != 0) return errno == ENOENT;
    if (status.st_nlink <= 1) removed_.freed_bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    return true;
  }

  std::string Path() const {
    std::string path;
    for (size_t i = 1; i < levels_.size(); ++i) path = JoinPath(path, levels_[i].name);
    return path;
  }

  int parent_fd_;
  const char* top_name_;
  RemovedTree removed_;
  std::vector<Level> levels_;
  std::vector<DirectoryEntry> entries_;
  unsigned long moved_up_ = 0;
  int retries_ = 0;
};

}  // namespace

Result<RemovedTree> RemoveTree(int parent_fd, const char* name) { return Remover(parent_fd, name).Run(); }

}  // namespace cloister
