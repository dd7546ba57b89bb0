#include "launcher/view.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <utility>

#include "core/defences.h"
#include "launcher/directory-names.h"
#include "linux/kernel.h"
#include "tree/remove.h"

namespace cloister {
namespace {

constexpr char kCode[] = "JAIL_STEP_FAILED";
/// Below the launcher's place for views; `source` may be a descriptor of any directory.
Result<UniqueFd> MountAt(int source_fd, const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0) return Failure::Errno(kCode, "make-mount-point", path);
  UniqueFd mount = CloneMount(source_fd, "", AT_EMPTY_PATH);
  if (!mount || MoveMount(mount.get(), AT_FDCWD, path.c_str()) != 0) {
    const Failure failure = Failure::Errno(kCode, "mount-view", path);
    rmdir(path.c_str());
    return failure;
  }
  return mount;
}

}  // namespace

Result<View> View::Make(const Root& root, Reaper& reaper, const std::string& name) {
  const int staging_fd = root.staging.get();
  if (mkdirat(staging_fd, name.c_str(), 0700) != 0) return Failure::Errno(kCode, "make-view", name);
  UniqueFd directory(openat(staging_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  const auto failed = [&](Failure failure) {
    unlinkat(staging_fd, name.c_str(), AT_REMOVEDIR);
    return failure;
  };
  if (!directory) return failed(Failure::Errno(kCode, "open-view", name));
  if (fchmod(directory.get(), 01775) != 0) return failed(Failure::Errno(kCode, "set-mode", name));
  Result<UniqueFd> mount = MountAt(directory.get(), std::string(kViewMounts) + "/" + name);
  if (!mount.ok()) return failed(mount.failure());
  return View(root, reaper, name, std::move(directory), *std::move(mount));
}

Result<void> View::GiveTo(JailIdentity builder) {
  // The sticky bit keeps what lies in the view, our mount points, from a builder that does not own it. In single
  // strength it does; there only the kernel's refusal to remove a mount point of one's own namespace is left.
  if (fchown(fd(), 0, builder.gid) != 0) return Failure::Errno(kCode, "give-view", name_);
  return {};
}

Result<void> View::Fill(const std::vector<std::string>& inputs) {
  ++fillings_;
  whole_ = false;
  const uint64_t changes = root_->changes->load();
  for (const std::string& input : inputs) {
    const auto found = points_.find(input);
    if (found != points_.end() && changes_ == changes) {
      found->second.filling = fillings_;
      continue;
    }
    Result<Point> examined = Examine(input);
    if (!examined.ok()) return examined.failure();
    if (found != points_.end() && found->second.IsSameAs(*examined)) {
      found->second.filling = fillings_;
      continue;
    }
    if (found != points_.end()) {
      Result<Points::iterator> taken = TakeAway(found);
      if (!taken.ok()) return taken.failure();
    }
    Result<void> added = Add(input, *std::move(examined));
    if (!added.ok()) return added;
  }
  for (auto point = points_.begin(); point != points_.end();) {
    if (point->second.filling == fillings_) {
      ++point;
      continue;
    }
    Result<Points::iterator> next = TakeAway(point);
    if (!next.ok()) return next.failure();
    point = *next;
  }
  EmptyBin();
  changes_ = changes;
  whole_ = true;
  return {};
}

UniqueFd View::Clone() const { return CloneMount(mount_.get(), "", AT_EMPTY_PATH | AT_RECURSIVE); }

bool View::Clean(NameSource& names) {
  if (!whole_) return false;
  if (!HasDefence(Defence::kCleanedViews)) return true;
  const int trash_fd = root_->trash.get();
  for (const std::string& name : NamesIn(fd())) {
    if (points_.contains(name)) continue;
    std::string trashed = names.NextForTrash();
    if (renameat(fd(), name.c_str(), trash_fd, trashed.c_str()) != 0) return false;
    reaper_->Remove(trash_fd, std::move(trashed));
  }
  return true;
}

bool View::Forget(const std::vector<std::string>& inputs) {
  for (const std::string& input : inputs) {
    const auto found = points_.find(input);
    if (found != points_.end() && !TakeAway(found).ok()) whole_ = false;
    if (!whole_) break;
  }
  EmptyBin();
  return whole_;
}

void View::Remove() {
  EmptyBin();
  // One piece of work: of two the second may be done at once while the first still waits, and finds mount points.
  reaper_->Do([path = MountPath(), staging_fd = root_->staging.get(), name = name_] {
    UnmountTree(path.c_str());
    rmdir(path.c_str());
    (void)RemoveTree(staging_fd, name.c_str()).ok();
  });
}

bool View::Point::IsSameAs(const Point& other) const noexcept {
  if (kind != other.kind) return false;
  return kind == Kind::kSymlink ? target == other.target : device == other.device && inode == other.inode;
}

Result<View::Point> View::Examine(const std::string& input) const {
  struct stat status{};
  const int inputs_fd = root_->inputs.get();
  if (fstatat(inputs_fd, input.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return Failure::Errno(kCode, "find", input);
  Point point{Kind::kFile, status.st_dev, status.st_ino, {}, fillings_};
  if (S_ISDIR(status.st_mode)) point.kind = Kind::kDirectory;
  if (!S_ISLNK(status.st_mode)) return point;
  point.kind = Kind::kSymlink;
  char target[PATH_MAX];
  const ssize_t size = readlinkat(inputs_fd, input.c_str(), target, sizeof target);
  if (size < 0) return Failure::Errno(kCode, "read-symlink", input);
  point.target.assign(target, static_cast<size_t>(size));
  return point;
}

Result<void> View::Add(const std::string& input, Point point) {
  const char* name = input.c_str();
  if (point.kind == Kind::kSymlink) {
    if (symlinkat(point.target.c_str(), fd(), name) != 0) return Failure::Errno(kCode, "make-symlink", input);
    points_.emplace(input, std::move(point));
    return {};
  }
  const dev_t device = point.device;
  const ino_t inode = point.inode;
  const bool is_directory = point.kind == Kind::kDirectory;
  const int made = is_directory ? mkdirat(fd(), name, 0555) : mknodat(fd(), name, S_IFREG | 0444, 0);
  if (made != 0) return Failure::Errno(kCode, "make-mount-point", input);
  points_.emplace(input, std::move(point));
  const UniqueFd mount = CloneMount(root_->inputs.get(), name, AT_SYMLINK_NOFOLLOW);
  if (!mount) return Failure::Errno(kCode, "clone-mount", input);
  // The name has been looked up a second time: what is held now must be what was looked at.
  struct stat held{};
  if (fstat(mount.get(), &held) != 0 || held.st_dev != device || held.st_ino != inode)
    return Failure{kCode, "clone-mount", ESTALE, input, 0};
  if (MoveMount(mount.get(), mount_.get(), name) != 0) return Failure::Errno(kCode, "move-mount", input);
  ++mount_count_;
  return {};
}

/// A mount is moved away and not unmounted, which would wait for all processors; the next of the points is given back.
Result<View::Points::iterator> View::TakeAway(Points::iterator point) {
  const auto& [input, what] = *point;
  if (what.kind != Kind::kSymlink) {
    Result<void> moved = MoveToBin(input, what.kind);
    if (!moved.ok()) return moved.failure();
    --mount_count_;
  }
  if (unlinkat(fd(), input.c_str(), what.kind == Kind::kDirectory ? AT_REMOVEDIR : 0) != 0)
    return Failure::Errno(kCode, "remove-mount-point", input);
  return points_.erase(point);
}

/// Each to a place of its own: a mount over another one would make a mount point of that one's root, which is the object
/// in the store, and the kernel renames no mount point.
Result<void> View::MoveToBin(const std::string& input, Kind kind) {
  unsigned int& used = kind == Kind::kDirectory ? bin_directories_ : bin_files_;
  if (used == kBinPlaces) EmptyBin();
  if (!bin_) {
    bin_directories_ = bin_files_ = 0;
    bin_path_ = MountPath() + ".bin" + std::to_string(bins_++);
    Result<UniqueFd> bin = MountAt(root_->bin.get(), bin_path_);
    if (!bin.ok()) return bin.failure();
    bin_ = *std::move(bin);
  }
  const std::string place = (kind == Kind::kDirectory ? kBinDirectory : kBinFile) + std::to_string(used++);
  if (syscall(SYS_move_mount, mount_.get(), input.c_str(), bin_.get(), place.c_str(), 0) != 0)
    return Failure::Errno(kCode, "take-mount-away", input);
  return {};
}

void View::EmptyBin() {
  if (!bin_) return;
  bin_.Reset();
  reaper_->Do([path = std::move(bin_path_)] {
    UnmountTree(path.c_str());
    rmdir(path.c_str());
  });
}

std::string View::MountPath() const { return std::string(kViewMounts) + "/" + name_; }

}  // namespace cloister
