#include "launcher/jail-mounts.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <string>
#include <utility>

#include "core/defences.h"
#include "launcher/directory-names.h"
#include "linux/kernel.h"

namespace cloister {
namespace {

constexpr char kCode[] = "JAIL_STEP_FAILED";

/// What of a world is the jail's own instead.
constexpr std::string_view kNotFromWorld[] = {"proc", "sys", "dev", "tmp", "build"};
constexpr std::string_view kOurEtc[] = {"passwd", "group", "hosts"};
/// And of a jail with a way out.
constexpr char kResolver[] = "resolv.conf", kNameSwitch[] = "nsswitch.conf", kServices[] = "services";

constexpr std::string_view kNameSwitchText = "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n";
/// Source: IANA's registry of service names; those that programs look up by name when they fetch something.
constexpr std::string_view kServicesText =
    "ftp\t21/tcp\nssh\t22/tcp\ndomain\t53/tcp\ndomain\t53/udp\nhttp\t80/tcp\nntp\t123/udp\nhttps\t443/tcp\nhttps\t443/udp\n"
    "rsync\t873/tcp\nftps\t990/tcp\nsvn\t3690/tcp\ngit\t9418/tcp\n";

class Opener {
 public:
  Opener(const Root& root, const PreparedJail& prepared, View& view, const JailSpec& spec)
      : root_(root), prepared_(prepared), view_(view), spec_(spec) {}

  Result<OpenedMounts> Open() {
    opened_.owned.reserve(32);
    Result<void> done = view_.Fill(spec_.inputs);
    if (done.ok() && !spec_.world.empty()) done = OpenWorld();
    if (done.ok()) done = OpenEtc();
    if (done.ok()) done = OpenBuildDirectory();
    if (done.ok()) done = Keep(opened_.mounts.view_fd, view_.Clone(), "view");
    if (!done.ok()) return done.failure();
    return std::move(opened_);
  }

 private:
  int Etc() const { return (spec_.other_ids ? root_.other_etc : root_.etc).get(); }

  Result<void> Keep(int& place, UniqueFd fd, std::string_view path) {
    if (!fd) return Failure::Errno(kCode, "clone-mount", path);
    place = fd.get();
    opened_.owned.push_back(std::move(fd));
    return {};
  }

  /// Finds out what `name` is and opens it, if it is no symlink.
  Result<JailEntry> OpenEntry(int directory_fd, const std::string& name) {
    JailEntry entry;
    entry.name = name;
    struct stat status{};
    if (fstatat(directory_fd, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return Failure::Errno(kCode, "find", name);
    if (S_ISLNK(status.st_mode)) {
      char target[PATH_MAX];
      const ssize_t size = readlinkat(directory_fd, name.c_str(), target, sizeof target);
      if (size < 0) return Failure::Errno(kCode, "read-symlink", name);
      entry.kind = JailEntry::Kind::kSymlink;
      entry.target.assign(target, static_cast<size_t>(size));
      return entry;
    }
    entry.kind = S_ISDIR(status.st_mode) ? JailEntry::Kind::kDirectory : JailEntry::Kind::kFile;
    Result<void> kept = Keep(entry.mount_fd, CloneMount(directory_fd, name.c_str(), AT_SYMLINK_NOFOLLOW), name);
    if (!kept.ok()) return kept.failure();
    return entry;
  }

  Result<void> OpenWorld() {
    const UniqueFd world = OpenBelow(root_.inputs.get(), spec_.world.c_str(), O_RDONLY | O_DIRECTORY);
    if (!world) return Failure::Errno(kCode, "open-world", spec_.world);
    const std::string store_top = spec_.store_directory.substr(1, spec_.store_directory.find('/', 1) - 1);
    const std::string build_top = spec_.build_directory.substr(1, spec_.build_directory.find('/', 1) - 1);
    for (const std::string& name : NamesIn(world.get())) {
      const bool ours = std::find(std::begin(kNotFromWorld), std::end(kNotFromWorld), name) != std::end(kNotFromWorld);
      if (ours || name == store_top || name == build_top) continue;
      Result<JailEntry> entry = OpenEntry(world.get(), name);
      if (!entry.ok()) return entry.failure();
      has_etc_ |= name == "etc";
      opened_.mounts.etc_from_world |= name == "etc" && entry->kind == JailEntry::Kind::kDirectory;
      if (name == "etc" && spec_.has_network && opened_.mounts.etc_from_world) continue;  // see OpenMixedEtc
      opened_.mounts.world.push_back(*std::move(entry));
    }
    if (!opened_.mounts.etc_from_world) return {};

    world_etc_ = OpenBelow(world.get(), "etc", O_RDONLY | O_DIRECTORY);
    if (!world_etc_) return Failure::Errno(kCode, "open-world", "etc");
    return {};
  }

  Result<void> OpenEtc() {
    if (spec_.has_network && (opened_.mounts.etc_from_world || !has_etc_)) return OpenMixedEtc();
    if (!opened_.mounts.etc_from_world) {
      if (has_etc_) return {};  // the world's is a symlink or a file, and it shall have its will
      JailEntry& entry = opened_.mounts.etc.emplace_back();
      entry.name = "etc";
      return Keep(entry.mount_fd, CloneMount(Etc(), "", AT_EMPTY_PATH), "etc");
    }
    for (const std::string_view name : kOurEtc) {
      struct stat status{};
      const std::string text(name);
      const bool placeholder = fstatat(world_etc_.get(), text.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode);
      if (!placeholder) continue;
      Result<JailEntry> entry = OpenEntry(Etc(), text);
      if (!entry.ok()) return entry.failure();
      opened_.mounts.etc.push_back(*std::move(entry));
    }
    return {};
  }

  /// A directory with all that the world has there and all that is ours, because no world has placeholders for what only
  /// jails with a way out need.
  Result<void> OpenMixedEtc() {
    opened_.mounts.etc_is_mixed = true;
    Result<UniqueFd> own = WriteNetworkFiles();
    if (!own.ok()) return own.failure();
    std::vector<std::string> taken;
    const auto add = [&](int directory_fd, const std::string& name) -> Result<void> {
      if (std::find(taken.begin(), taken.end(), name) != taken.end()) return {};
      taken.push_back(name);
      Result<JailEntry> entry = OpenEntry(directory_fd, name);
      if (!entry.ok()) return entry.failure();
      entry->name = "etc/" + name;
      if (entry->mount_fd >= 0 && SetMountAttributes(entry->mount_fd, 0, MOUNT_ATTR_RDONLY) != 0)
        return Failure::Errno(kCode, "set-mount-attributes", name);
      opened_.mounts.etc.push_back(*std::move(entry));
      return {};
    };
    for (const char* name : {kResolver, kNameSwitch})
      if (Result<void> added = add(own->get(), name); !added.ok()) return added;
    for (const std::string_view name : kOurEtc)
      if (Result<void> added = add(Etc(), std::string(name)); !added.ok()) return added;
    if (world_etc_)
      for (const std::string& name : NamesIn(world_etc_.get()))
        if (Result<void> added = add(world_etc_.get(), name); !added.ok()) return added;
    return add(own->get(), kServices);
  }

  Result<UniqueFd> WriteNetworkFiles() {
    const std::string place = prepared_.workspace + "/etc";
    if (mkdirat(root_.builds.get(), place.c_str(), 0700) != 0) return Failure::Errno(kCode, "make-directory", "etc");
    UniqueFd directory(openat(root_.builds.get(), place.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) return Failure::Errno(kCode, "open-directory", "etc");
    const std::pair<const char*, std::string_view> files[] = {
        {kResolver, spec_.resolver_configuration}, {kNameSwitch, kNameSwitchText}, {kServices, kServicesText}};
    for (const auto& [name, contents] : files) {
      const UniqueFd file(openat(directory.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444));
      if (!file || write(file.get(), contents.data(), contents.size()) != static_cast<ssize_t>(contents.size()))
        return Failure::Errno(kCode, "write-file", name);
    }
    return directory;
  }

  Result<void> OpenBuildDirectory() {
    if (!spec_.build_in_memory) {
      Result<void> written = WriteFiles(prepared_.build_fd.get());
      if (!written.ok()) return written;
      return Keep(opened_.mounts.build_directory_fd, CloneMount(prepared_.build_fd.get(), "", AT_EMPTY_PATH), "build");
    }
    Result<UniqueFd> mount = MakeMemoryDirectory();
    if (!mount.ok()) return mount.failure();
    const UniqueFd top(openat(mount->get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!top) return Failure::Errno(kCode, "open-build-directory", "build");
    Result<void> written = WriteFiles(top.get());
    if (!written.ok()) return written;
    return Keep(opened_.mounts.build_directory_fd, *std::move(mount), "build");
  }

  Result<UniqueFd> MakeMemoryDirectory() {
    const JailIdentity& owner = prepared_.jail->identity();
    const UniqueFd file_system(OpenFileSystem("tmpfs"));
    const auto set = [&](const char* key, const std::string& value) {
      return ConfigureFileSystem(file_system.get(), FSCONFIG_SET_STRING, key, value.c_str()) == 0;
    };
    const bool made = file_system && set("mode", "0700") && set("uid", std::to_string(owner.uid)) &&
                      set("gid", std::to_string(owner.gid)) &&
                      (spec_.build_size_bytes == 0 || set("size", std::to_string(spec_.build_size_bytes))) &&
                      (spec_.build_inodes == 0 || set("nr_inodes", std::to_string(spec_.build_inodes))) &&
                      ConfigureFileSystem(file_system.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr) == 0;
    if (!made) return Failure::Errno(kCode, "make-build-directory", "build");
    UniqueFd mount = MakeMount(file_system.get(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    if (!mount) return Failure::Errno(kCode, "make-build-directory", "build");
    return mount;
  }

  Result<void> WriteFiles(int directory_fd) {
    const JailIdentity& owner = prepared_.jail->identity();
    for (const JailFile& file : spec_.files) {
      const UniqueFd fd(openat(directory_fd, file.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
      if (!fd) return Failure::Errno(kCode, "make-file", file.name);
      for (size_t done = 0; done < file.contents.size();) {
        const ssize_t size = write(fd.get(), file.contents.data() + done, file.contents.size() - done);
        if (size < 0) return Failure::Errno(kCode, "write-file", file.name);
        done += static_cast<size_t>(size);
      }
      if (!HasDefence(Defence::kFilesGivenByFd) &&
          fchownat(directory_fd, file.name.c_str(), owner.uid, owner.gid, 0) != 0)
        return Failure::Errno(kCode, "give-file", file.name);
      if (fchown(fd.get(), owner.uid, owner.gid) != 0 || fchmod(fd.get(), file.executable ? 0755 : 0644) != 0)
        return Failure::Errno(kCode, "give-file", file.name);
    }
    return {};
  }

  const Root& root_;
  const PreparedJail& prepared_;
  View& view_;
  const JailSpec& spec_;
  OpenedMounts opened_;
  UniqueFd world_etc_;
  bool has_etc_ = false;
};

}  // namespace

Result<OpenedMounts> OpenJailMounts(const Root& root, const PreparedJail& prepared, View& view, const JailSpec& spec) {
  return Opener(root, prepared, view, spec).Open();
}

}  // namespace cloister
