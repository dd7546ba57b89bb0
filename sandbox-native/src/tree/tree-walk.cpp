#include "tree/tree-walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "tree/nar-words.h"

namespace cloister {
namespace {

unsigned char TypeOf(mode_t mode) { return static_cast<unsigned char>(IFTODT(mode)); }

WalkPolicy& ReadOnly() {
  static WalkPolicy policy;
  return policy;
}

}  // namespace

Result<bool> WalkPolicy::MakeReadable(const WalkPlace&) { return false; }
Result<void> WalkPolicy::Enter(const WalkPlace&, UniqueFd&, struct stat&) { return {}; }
bool WalkPolicy::LeaveOut(const WalkPlace&) { return false; }
Result<void> WalkPolicy::Leave(const WalkPlace&, int, const struct stat&) { return {}; }

TreeWalk::TreeWalk(int parent_fd, const char* name, WalkPolicy* policy)
    : parent_fd_(parent_fd), top_name_(name), policy_(policy != nullptr ? policy : &ReadOnly()) {}

Result<TreeWalk::Event> TreeWalk::Next() {
  for (;;) {
    auto event = Step();
    if (!event || !left_out_) return event;
    left_out_ = false;
  }
}

Result<TreeWalk::Event> TreeWalk::Step() {
  if (file_) {
    if (auto left = LeaveFile(); !left) return left.failure();
  }
  if (!started_) {
    started_ = true;
    return Open("", DT_UNKNOWN);
  }
  if (levels_.empty()) return Event::kDone;
  Level& level = levels_.back();
  if (level.next == level.entries.size()) return LeaveDirectory();
  const DirectoryEntry& entry = level.entries[level.next++];
  return Open(entry.name, entry.type);
}

Result<TreeWalk::Event> TreeWalk::Open(const std::string& name, unsigned char type) {
  const bool is_top = levels_.empty();
  name_ = name;
  if (!is_top) {
    if (levels_.size() > 1) path_.push_back('/');
    path_.append(name);
  }
  const WalkPlace place{HoldingDirectory(), is_top ? top_name_ : name_.c_str(), path_};
  const auto refuse = [&](const char* code) -> Result<Event> {
    if (is_top || !policy_->LeaveOut(place)) return Failure{code, "walk", 0, path_, 0};
    TrimPath(name_);
    left_out_ = true;
    return Event::kDone;
  };
  if (levels_.size() >= kMaxLevels) return refuse(policy_->CodeTooDeep());

  if (type == DT_UNKNOWN) {
    struct stat status;
    if (fstatat(place.parent_fd, place.name, &status, AT_SYMLINK_NOFOLLOW) != 0) return CallFailed("stat", path_);
    type = TypeOf(status.st_mode);
  }
  auto event = type == DT_LNK   ? OpenSymlink(place)
               : type == DT_DIR ? OpenFileOrDirectory(place, true)
               : type == DT_REG ? OpenFileOrDirectory(place, false)
                                : refuse(policy_->CodeSpecialFile());
  if (event && *event == Event::kSymlink) TrimPath(name_);
  return event;
}

Result<TreeWalk::Event> TreeWalk::OpenSymlink(const WalkPlace& place) {
  if (fstatat(place.parent_fd, place.name, &status_, AT_SYMLINK_NOFOLLOW) != 0) return CallFailed("stat", path_);
  if (!S_ISLNK(status_.st_mode)) return Failure{"TREE_CHANGED", "walk", 0, path_, 0};
  UniqueFd none;
  if (auto entered = policy_->Enter(place, none, status_); !entered) return entered.failure();
  char target[kMaxTargetBytes + 1];
  const ssize_t size = readlinkat(place.parent_fd, place.name, target, sizeof target);
  if (size < 0) return CallFailed("readlink", path_);
  if (static_cast<size_t>(size) > kMaxTargetBytes) {
    return Failure{"TREE_SYSTEM_CALL", "readlink", ENAMETOOLONG, path_, 0};
  }
  target_.assign(target, static_cast<size_t>(size));
  if (auto left = policy_->Leave(place, -1, status_); !left) return left.failure();
  return Event::kSymlink;
}

Result<TreeWalk::Event> TreeWalk::OpenFileOrDirectory(const WalkPlace& place, bool is_directory) {
  const int flags = O_RDONLY | (is_directory ? O_DIRECTORY : 0);
  UniqueFd fd = OpenEntry(place.parent_fd, place.name, flags);
  if (!fd && errno == EACCES) {
    auto readable = policy_->MakeReadable(place);
    if (!readable) return readable.failure();
    errno = EACCES;
    if (*readable) fd = OpenEntry(place.parent_fd, place.name, flags);
  }
  if (!fd) {
    if (errno == ELOOP || errno == ENOTDIR) return Failure{"TREE_CHANGED", "open", errno, path_, 0};
    return CallFailed("open", path_);
  }
  if (fstat(fd.get(), &status_) != 0) return CallFailed("stat", path_);
  if (is_directory ? !S_ISDIR(status_.st_mode) : !S_ISREG(status_.st_mode)) {
    return Failure{"TREE_CHANGED", "open", 0, path_, 0};
  }
  if (auto entered = policy_->Enter(place, fd, status_); !entered) return entered.failure();
  if (!is_directory) {
    file_ = std::move(fd);
    return Event::kFile;
  }

  Level level{std::move(fd), status_, {}, 0, name_};
  if (!ReadEntries(level.fd.get(), level.entries)) return CallFailed("list directory", path_);
  std::sort(level.entries.begin(), level.entries.end(),
            [](const DirectoryEntry& a, const DirectoryEntry& b) { return a.name < b.name; });
  levels_.push_back(std::move(level));
  return Event::kDirectory;
}

/// The walk is done with this entry of the directory that is open now.
void TreeWalk::TrimPath(const std::string& name) {
  if (levels_.empty()) return;
  path_.resize(path_.size() - name.size() - (levels_.size() > 1 ? 1 : 0));
}

Result<void> TreeWalk::LeaveFile() {
  const WalkPlace place{HoldingDirectory(), levels_.empty() ? top_name_ : name_.c_str(), path_};
  auto left = policy_->Leave(place, file_.get(), status_);
  file_.Reset();
  TrimPath(name_);
  return left;
}

Result<TreeWalk::Event> TreeWalk::LeaveDirectory() {
  Level level = std::move(levels_.back());
  levels_.pop_back();
  const WalkPlace place{HoldingDirectory(), levels_.empty() ? top_name_ : level.name.c_str(), path_};
  if (auto left = policy_->Leave(place, level.fd.get(), level.status); !left) return left.failure();
  TrimPath(level.name);
  return Event::kEndOfDirectory;
}

}  // namespace cloister
