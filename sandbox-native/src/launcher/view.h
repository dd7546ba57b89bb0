// A view: the directory in staging that builders see as their store directory, with its inputs mounted in it. Making and
// removing a mount point costs more than mounting, and mounting more than copying a mount, so a view keeps both for the
// next build, which changes what differs and copies the whole.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/result.h"
#include "core/unique-fd.h"
#include "launcher/identity.h"
#include "launcher/name-source.h"
#include "launcher/reaper.h"
#include "launcher/root.h"

namespace cloister {

class View {
 public:
  /// Makes the directory `name` in staging and mounts it, empty, at the same name below the launcher's place for views.
  /// `root` and `reaper` must outlive it. Fails with JAIL_STEP_FAILED.
  static Result<View> Make(const Root& root, Reaper& reaper, const std::string& name);

  const std::string& name() const noexcept { return name_; }
  /// The directory in staging, on the store's mount: outputs are renamed from here.
  int fd() const noexcept { return fd_.get(); }
  size_t mount_count() const noexcept { return mount_count_; }

  /// Gives it to a builder.
  Result<void> GiveTo(JailIdentity builder);
  /// Mounts these objects of the store and makes the symlinks among them again; what other builds had is taken away:
  /// afterwards nothing else is in it. Fails with JAIL_STEP_FAILED; it is not whole then, see Clean.
  Result<void> Fill(const std::vector<std::string>& inputs);
  /// A detached copy of the view with all that is mounted in it, for one jail. Sets errno.
  UniqueFd Clone() const;

  /// Has all but what Fill made removed. False if that cannot be: it is of no use to another build then.
  bool Clean(NameSource& names);
  /// Lets go of these inputs, so that nothing holds what is removed from the store. False if that cannot be: nothing but
  /// Remove is of use then.
  bool Forget(const std::vector<std::string>& inputs);
  /// Has it unmounted and its directory removed with all that is in it.
  void Remove();

 private:
  enum class Kind { kDirectory, kFile, kSymlink };
  /// While an object is mounted its inode is not given to another one, so the number tells whether it is still the same;
  /// looked at only after the store has changed, for there may be thousands.
  struct Point {
    Kind kind;
    dev_t device;
    ino_t inode;
    std::string target;  // of a symlink
    uint64_t filling;    // the last one that it was a part of

    bool IsSameAs(const Point& other) const noexcept;
  };
  using Points = std::unordered_map<std::string, Point>;

  View(const Root& root, Reaper& reaper, std::string name, UniqueFd fd, UniqueFd mount)
      : root_(&root), reaper_(&reaper), name_(std::move(name)), fd_(std::move(fd)), mount_(std::move(mount)) {}

  Result<Point> Examine(const std::string& input) const;
  Result<void> Add(const std::string& input, Point point);
  Result<Points::iterator> TakeAway(Points::iterator point);
  Result<void> MoveToBin(const std::string& input, Kind kind);
  void EmptyBin();
  std::string MountPath() const;

  const Root* root_;
  Reaper* reaper_;
  std::string name_;
  UniqueFd fd_;
  UniqueFd mount_;  // the same directory, where the inputs are mounted
  UniqueFd bin_;    // while a Fill takes mounts away: another mount, to which they go
  std::string bin_path_;
  unsigned int bin_directories_ = 0;  // places in it that are taken
  unsigned int bin_files_ = 0;
  uint64_t bins_ = 0;
  Points points_;
  size_t mount_count_ = 0;
  uint64_t fillings_ = 0;
  uint64_t changes_ = 0;  // of the root, when all points were last known to be what the store has
  bool whole_ = true;
};

}  // namespace cloister
