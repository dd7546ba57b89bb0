#include "launcher/root.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "core/defences.h"
#include "linux/jail-plan.h"
#include "linux/jail-spec.h"
#include "linux/kernel.h"

namespace cloister {
namespace {

constexpr char kCode[] = "LAUNCHER_START_FAILED";
constexpr char kTree[] = "/tree";
constexpr char kInputs[] = "/inputs";
constexpr char kEtcTemplate[] = "/template/etc";
constexpr char kOtherEtcTemplate[] = "/template/other-etc";
constexpr char kBinTemplate[] = "/template/bin";
constexpr unsigned long kQuiet = MS_NOSUID | MS_NODEV;

uint64_t QuietAttributes() {
  return (HasDefence(Defence::kNosuid) ? MOUNT_ATTR_NOSUID : 0) | (HasDefence(Defence::kNodev) ? MOUNT_ATTR_NODEV : 0);
}

/// The system calls of the set-up one after the other; after the first that failed the others are left out.
class Setup {
 public:
  template <class Call>
  Setup& Do(const char* step, const std::string& path, Call call) {
    if (result_.ok() && call() < 0) result_ = Failure::Errno(kCode, step, path);
    return *this;
  }
  Setup& Directory(const std::string& path, mode_t mode) {
    return Do("make-directory", path, [&] { return mkdir(path.c_str(), mode); });
  }
  Setup& Symlink(const char* target, const std::string& path) {
    return Do("make-symlink", path, [&] { return symlink(target, path.c_str()); });
  }
  Setup& FileSystem(const char* type, const std::string& path, unsigned long flags, const char* options) {
    return Do("mount", path, [&] { return Mount(type, path.c_str(), type, flags, options); });
  }
  Setup& ReadOnly(const std::string& path, unsigned long flags) {
    return Do("mount-read-only", path,
              [&] { return Mount(nullptr, path.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, nullptr); });
  }
  Setup& File(const std::string& path, std::string_view contents) {
    return Do("write-file", path, [&] {
      const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
      return file && write(file.get(), contents.data(), contents.size()) == static_cast<ssize_t>(contents.size()) ? 0 : -1;
    });
  }
  /// A copy of the mount at `source`, put at `target`.
  Setup& Clone(const std::string& source, const std::string& target, unsigned int flags, uint64_t attributes) {
    UniqueFd mount;
    Do("clone-mount", source, [&] {
      mount = CloneMount(AT_FDCWD, source.c_str(), flags);
      return mount.get();
    });
    Do("set-mount-attributes", source, [&] { return SetMountAttributes(mount.get(), flags & AT_RECURSIVE, attributes); });
    return Do("move-mount", target, [&] { return MoveMount(mount.get(), AT_FDCWD, target.c_str()); });
  }
  Result<void>& result() { return result_; }

 private:
  Result<void> result_;
};

std::string CommonDirectory(const std::string& a, const std::string& b) {
  size_t end = 0;
  for (size_t index = 0; index <= std::min(a.size(), b.size()); ++index) {
    const bool a_ends = index == a.size() || a[index] == '/';
    const bool b_ends = index == b.size() || b[index] == '/';
    if (a_ends && b_ends) end = index;
    if (index == a.size() || index == b.size() || a[index] != b[index]) break;
  }
  return end == 0 ? "/" : a.substr(0, end);
}

/// Where a directory below `common` is in our own tree.
std::string InTree(const std::string& common, const std::string& path) {
  return kTree + (common == "/" ? path : path.substr(common.size()));
}

void AddDevices(Setup& setup) {
  const std::string folder = kDeviceTemplate;
  setup.Directory(folder, 0755).FileSystem("tmpfs", folder, MS_NOSUID, "mode=0755,size=256k");
  for (const char* name : {"null", "zero", "full", "random", "urandom", "tty"}) {
    const std::string path = folder + "/" + name;
    setup.File(path, "").Do("bind-device", path, [&] {
      return Mount((std::string("/old/dev/") + name).c_str(), path.c_str(), nullptr, MS_BIND, nullptr);
    });
    // Devices can be written all the same; what cannot are the mode, owner and times of the host's own node.
    setup.Do("set-mount-attributes", path, [&] {
      const UniqueFd device(open(path.c_str(), O_PATH | O_CLOEXEC));
      const uint64_t read_only = HasDefence(Defence::kReadOnlyDevices) ? MOUNT_ATTR_RDONLY : 0;
      return device ? SetMountAttributes(device.get(), 0, read_only | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC) : -1;
    });
  }
  setup.Directory(folder + "/pts", 0755)
      .Directory(folder + "/shm", 0755)
      .Symlink("pts/ptmx", folder + "/ptmx")
      .Symlink("/proc/self/fd", folder + "/fd")
      .Symlink("/proc/self/fd/0", folder + "/stdin")
      .Symlink("/proc/self/fd/1", folder + "/stdout")
      .Symlink("/proc/self/fd/2", folder + "/stderr")
      .ReadOnly(folder, MS_NOSUID);
}

/// Source of the contents: Nix's sandbox.
void AddEtc(Setup& setup, const std::string& folder, uid_t uid, gid_t gid) {
  const std::string ids = std::to_string(uid) + ":" + std::to_string(gid);
  setup.Directory(folder, 0755)
      .FileSystem("tmpfs", folder, kQuiet, "mode=0755,size=256k")
      .File(folder + "/passwd", "root:x:0:0:Nix build user:/build:/noshell\nnixbld:x:" + ids +
                                    ":Nix build user:/build:/noshell\nnobody:x:65534:65534:Nobody:/:/noshell\n")
      .File(folder + "/group", "root:x:0:\nnixbld:!:" + std::to_string(gid) + ":\nnogroup:x:65534:\n")
      .File(folder + "/hosts", "127.0.0.1 localhost\n::1 localhost\n")
      .ReadOnly(folder, kQuiet);
}

/// What covers entries of a jail's /proc.
void AddMasks(Setup& setup) {
  const std::string folder = kMaskTemplate;
  setup.Directory(folder, 0755)
      .FileSystem("tmpfs", folder, kQuiet, "mode=0755,size=64k")
      .Directory(folder + "/empty-directory", 0555)
      .File(folder + "/empty-file", "")
      .ReadOnly(folder, kQuiet | MS_NOEXEC);
}

void AddViews(Setup& setup) {
  const std::string folder = kBinTemplate;
  setup.FileSystem("tmpfs", kViewMounts, kQuiet, "mode=0700,size=4m")
      .Directory(folder, 0700)
      .FileSystem("tmpfs", folder, kQuiet, "mode=0700,size=64k");
  for (unsigned int place = 0; place < kBinPlaces; ++place) {
    const std::string file = folder + "/" + kBinFile + std::to_string(place);
    setup.Directory(folder + "/" + kBinDirectory + std::to_string(place), 0700)
        .Do("make-file", file, [&] { return mknod(file.c_str(), S_IFREG | 0400, 0); });
  }
  setup.ReadOnly(folder, kQuiet);
}

Result<UniqueFd> OpenDirectory(const std::string& path) {
  UniqueFd directory = OpenBelow(AT_FDCWD, path.c_str() + 1, O_RDONLY | O_DIRECTORY);  // the working directory is "/"
  if (!directory) return Failure::Errno(kCode, "open-directory", path);
  return directory;
}

uint64_t MountIdOf(const UniqueFd& directory) {
  struct statx status{};
  return statx(directory.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &status) == 0 ? status.stx_mnt_id : 0;
}

}  // namespace

Result<Root> EnterOwnRoot(const LauncherDirectories& directories) {
  const std::string common =
      CommonDirectory(CommonDirectory(directories.store, directories.staging), CommonDirectory(directories.trash, directories.builds));
  const std::string& anchor = directories.store;  // only needs to exist
  Setup setup;
  UniqueFd tree;
  setup.Do("make-mounts-private", "/", [] { return Mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr); });
  setup.Do("clone-mount", common, [&] {
    tree = CloneMount(AT_FDCWD, common.c_str(), AT_RECURSIVE);
    return tree.get();
  });
  setup.Do("set-mount-attributes", common,
           [&] { return SetMountAttributes(tree.get(), 0, QuietAttributes()); });
  setup.FileSystem("tmpfs", anchor, kQuiet, "mode=0755,size=4m").Do("enter-root", anchor, [&] { return chdir(anchor.c_str()); });
  for (const char* folder : {"proc", "tree", "inputs", "jail", "template", "views", "old"}) setup.Directory(folder, 0755);
  setup.FileSystem("proc", "proc", kQuiet | MS_NOEXEC, nullptr)
      .Do("move-mount", kTree, [&] { return MoveMount(tree.get(), AT_FDCWD, "tree"); })
      .Do("pivot-root", anchor, [] { return static_cast<int>(syscall(SYS_pivot_root, ".", "old")); })
      .Do("enter-root", "/", [] { return chdir("/"); });
  AddDevices(setup);
  AddEtc(setup, kEtcTemplate, kInsideUid, kInsideGid);
  AddEtc(setup, kOtherEtcTemplate, kOtherInsideUid, kOtherInsideGid);
  AddMasks(setup);
  AddViews(setup);
  setup.Clone(InTree(common, directories.store), kInputs, AT_RECURSIVE,
              QuietAttributes() | (HasDefence(Defence::kReadOnlyInputs) ? MOUNT_ATTR_RDONLY : 0))
      .Do("leave-old-root", "/old", [] { return UnmountTree("/old"); })
      .Do("remove-directory", "/old", [] { return rmdir("/old"); })
      .ReadOnly("/", kQuiet);
  if (!setup.result().ok()) return setup.result().failure();

  Root root;
  const std::pair<UniqueFd*, std::string> places[] = {
      {&root.store, InTree(common, directories.store)},     {&root.staging, InTree(common, directories.staging)},
      {&root.trash, InTree(common, directories.trash)},     {&root.builds, InTree(common, directories.builds)},
      {&root.inputs, kInputs},                              {&root.etc, kEtcTemplate},
      {&root.other_etc, kOtherEtcTemplate},                 {&root.bin, kBinTemplate},
  };
  for (const auto& [fd, path] : places) {
    Result<UniqueFd> directory = OpenDirectory(path);
    if (!directory.ok()) return directory.failure();
    *fd = *std::move(directory);
  }
  // A rename between two mounts fails, and outputs come into the store by rename.
  const uint64_t store_mount = MountIdOf(root.store);
  if (store_mount != MountIdOf(root.staging)) return Failure{"LAUNCHER_LAYOUT", "check-mounts", EXDEV, directories.staging, 0};
  if (store_mount != MountIdOf(root.trash)) return Failure{"LAUNCHER_LAYOUT", "check-mounts", EXDEV, directories.trash, 0};
  // What is being built may be readable by all and set to any mode: nobody else reaches it before it is sealed.
  for (const auto& [fd, path] : {std::pair{&root.staging, directories.staging}, {&root.trash, directories.trash}, {&root.builds, directories.builds}})
    if (fchmod(fd->get(), HasDefence(Defence::kClosedToOthers) ? 0700 : 0777) != 0) return Failure::Errno(kCode, "close-to-others", path);
  return root;
}

}  // namespace cloister
