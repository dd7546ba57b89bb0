// Walks a tree in the order of an archive, depth first, names by their bytes, on held descriptors and without recursion.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/unique-fd.h"
#include "tree/entry.h"

namespace cloister {

/// Where the walk is.
struct WalkPlace {
  int parent_fd;          // of the directory that holds the entry
  const char* name;       // in that directory
  std::string_view path;  // below the top; "" is the top
};

/// What a walk asks and tells on its way. The base class walks any readable tree and changes nothing.
class WalkPolicy {
 public:
  virtual ~WalkPolicy() = default;
  /// A file or directory cannot be opened (EACCES); true if it may be tried again.
  virtual Result<bool> MakeReadable(const WalkPlace& place);
  /// An entry is about to be given out. `fd` is invalid for a symlink; for a file it may be replaced, `status` with it.
  virtual Result<void> Enter(const WalkPlace& place, UniqueFd& fd, struct stat& status);
  /// A file was read, a directory left, a symlink given out.
  virtual Result<void> Leave(const WalkPlace& place, int fd, const struct stat& status);
  /// Asked about what no archive can hold, devices, FIFOs and sockets, and what lies too deep: true leaves it out.
  virtual bool LeaveOut(const WalkPlace& place);
  virtual const char* CodeSpecialFile() const { return "TREE_SPECIAL_FILE"; }
  virtual const char* CodeTooDeep() const { return "TREE_TOO_DEEP"; }
};

class TreeWalk {
 public:
  enum class Event { kFile, kSymlink, kDirectory, kEndOfDirectory, kDone };

  /// `parent_fd` and `name` must stay as long as the walk.
  TreeWalk(int parent_fd, const char* name, WalkPolicy* policy);

  /// Fails with TREE_SPECIAL_FILE, TREE_TOO_DEEP, TREE_CHANGED (another type than a moment ago), TREE_SYSTEM_CALL and
  /// whatever the policy fails with.
  Result<Event> Next();

  /// Of the last file, symlink or directory event. The name is "" at the top.
  const std::string& name() const { return name_; }
  std::string_view path() const { return path_; }
  const struct stat& status() const { return status_; }
  const std::string& target() const { return target_; }
  /// Open at its start until the next call: the file of the last event.
  int file_fd() const { return file_.get(); }
  /// Directories that are open.
  size_t depth() const { return levels_.size(); }

 private:
  struct Level {
    UniqueFd fd;
    struct stat status;
    std::vector<DirectoryEntry> entries;
    size_t next;
    std::string name;  // in its parent
  };

  Result<Event> Step();
  Result<Event> Open(const std::string& name, unsigned char type);
  Result<Event> OpenSymlink(const WalkPlace& place);
  Result<Event> OpenFileOrDirectory(const WalkPlace& place, bool is_directory);
  void TrimPath(const std::string& name);
  Result<void> LeaveFile();
  Result<Event> LeaveDirectory();
  int HoldingDirectory() const { return levels_.empty() ? parent_fd_ : levels_.back().fd.get(); }

  int parent_fd_;
  const char* top_name_;
  WalkPolicy* policy_;
  bool started_ = false;
  bool left_out_ = false;  // the last step gave nothing
  std::vector<Level> levels_;
  std::string name_;
  std::string path_;
  std::string target_;
  struct stat status_ = {};
  UniqueFd file_;
};

}  // namespace cloister
