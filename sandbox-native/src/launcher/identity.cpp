#include "launcher/identity.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>

#include "core/defences.h"
#include "launcher/subordinate-ids.h"
#include "linux/kernel.h"

namespace cloister {
namespace {

constexpr char kCode[] = "STRENGTH_UNAVAILABLE";
constexpr uint32_t kMostSubordinateIds = 65536;
constexpr uint32_t kMostBlockIds = 1024;
constexpr uint32_t kLeastSubordinateIds = 256;  // more than jails that run or wait, so that ids rest before they are used again
/// Root's builds: far above what people, services, subordinate ranges and other daemons' builds use.
constexpr uint32_t kRootFirstUid = 0x30000000;
constexpr uint32_t kRootBlockUids = 4096;
constexpr uint32_t kRootBlocks = 1024;
constexpr char kRootLockDirectory[] = "/run/cloister-uids";

Result<void> WriteFile(const char* path, const std::string& text) {
  const UniqueFd file(open(path, O_WRONLY | O_CLOEXEC));
  if (!file || write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return Failure::Errno(kCode, "write", path);
  return {};
}

Result<void> UnshareUser() {
  if (unshare(CLONE_NEWUSER) != 0) return Failure::Errno(kCode, "make-user-namespace");
  return {};
}

/// From now on inside 0 is the caller; no group of the caller's goes on to a builder.
Result<void> BecomeZero() {
  if (setgroups(0, nullptr) != 0) return Failure::Errno(kCode, "drop-groups");
  if (setresgid(0, 0, 0) != 0) return Failure::Errno(kCode, "become-group-0");
  if (setresuid(0, 0, 0) != 0) return Failure::Errno(kCode, "become-user-0");
  return {};
}

/// A part of the caller's subordinate ids, which is this launcher's alone as long as the descriptor is open.
struct IdBlock {
  uint32_t first = 0;  // within the range
  uint32_t count = 0;
  UniqueFd fd;
};

/// All launchers of a user map the whole range, so that each can remove what another one left, and give their builds ids
/// out of a block. What holds a block is an abstract socket with its name: it needs no directory that must be there, be
/// the same for all and be safe, and it goes with its process. Who takes names away from others keeps them from building.
Result<IdBlock> LockIdBlock(SubordinateRange uids) {
  const uint32_t count = std::min(uids.count, std::clamp(uids.count / 64, kLeastSubordinateIds, kMostBlockIds));
  for (uint32_t first = 0; first + count <= uids.count; first += count) {
    UniqueFd lock(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!lock) return Failure::Errno(kCode, "open-lock");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = "cloister-uids-" + std::to_string(uids.first + first);
    memcpy(address.sun_path + 1, name.data(), name.size());
    const socklen_t length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    if (bind(lock.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0) return IdBlock{first, count, std::move(lock)};
    if (errno != EADDRINUSE) return Failure::Errno(kCode, "lock-ids", name);
  }
  return Failure{kCode, "lock-ids", EAGAIN, "/etc/subuid", 0};
}

Result<Identities> TakeRange() {
  const uid_t uid = geteuid();
  const gid_t gid = getegid();
  SubordinateRange uids = FindSubordinateRange("/etc/subuid", uid);
  SubordinateRange gids = FindSubordinateRange("/etc/subgid", uid);
  if (uids.count < kLeastSubordinateIds) return Failure{kCode, "find-subordinate-ids", ENOENT, "/etc/subuid", 0};
  if (gids.count < kLeastSubordinateIds) return Failure{kCode, "find-subordinate-ids", ENOENT, "/etc/subgid", 0};
  uids.count = gids.count = std::min({uids.count, gids.count, kMostSubordinateIds});

  Result<IdBlock> block = LockIdBlock(uids);
  if (!block.ok()) return block.failure();
  IdMapper mapper;
  Result<void> done = mapper.Start(uid, gid, uids, gids);
  if (done.ok()) done = UnshareUser();
  if (done.ok()) done = mapper.Map();
  if (done.ok()) done = BecomeZero();
  if (!done.ok()) return done.failure();
  return Identities{Strength::kRange, 1 + block->first, block->count, block->fd.Release()};
}

/// Locks a block of ids that no other launcher on this machine has.
Result<Identities> TakeRootIds() {
  if (mkdir(kRootLockDirectory, 0700) != 0 && errno != EEXIST)
    return Failure::Errno(kCode, "make-lock-directory", kRootLockDirectory);
  const UniqueFd directory(open(kRootLockDirectory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status{};
  if (!directory || fstat(directory.get(), &status) != 0)
    return Failure::Errno(kCode, "open-lock-directory", kRootLockDirectory);
  if (status.st_uid != 0 || (status.st_mode & 022) != 0)
    return Failure{kCode, "check-lock-directory", EPERM, kRootLockDirectory, 0};
  for (uint32_t block = 0; block < kRootBlocks; ++block) {
    UniqueFd lock(openat(directory.get(), std::to_string(block).c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!lock) return Failure::Errno(kCode, "open-lock", kRootLockDirectory);
    if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0)
      return Identities{Strength::kRoot, kRootFirstUid + block * kRootBlockUids, kRootBlockUids, lock.Release()};
  }
  return Failure{kCode, "lock-ids", EAGAIN, kRootLockDirectory, 0};
}

/// In a container root's ids may be few; the builds' must be among them.
Result<void> CheckIdsExist(const Identities& identities) {
  for (const char* path : {"/proc/self/uid_map", "/proc/self/gid_map"}) {
    FILE* map = fopen(path, "re");
    if (map == nullptr) return Failure::Errno(kCode, "read", path);
    unsigned long inside = 0, outside = 0, count = 0;
    bool covered = false;
    while (fscanf(map, "%lu %lu %lu", &inside, &outside, &count) == 3)
      covered |= inside <= identities.first && identities.first + identities.count <= inside + count;
    fclose(map);
    if (!covered) return Failure{kCode, "find-root-ids", EINVAL, path, 0};
  }
  return {};
}

Result<Identities> TakeRoot() {
  if (geteuid() != 0) return Failure{kCode, "be-root", EPERM, "", 0};
  Result<Identities> identities = TakeRootIds();
  if (!identities.ok()) return identities;
  Result<void> done = CheckIdsExist(*identities);
  if (done.ok()) done = BecomeZero();
  if (!done.ok()) return done.failure();
  return identities;
}

Result<Identities> TakeSingle() {
  const std::string uid_line = "0 " + std::to_string(geteuid()) + " 1";
  const std::string gid_line = "0 " + std::to_string(getegid()) + " 1";
  Result<void> done = UnshareUser();
  if (done.ok()) done = WriteFile("/proc/self/setgroups", "deny");
  if (done.ok()) done = WriteFile("/proc/self/uid_map", uid_line);
  if (done.ok()) done = WriteFile("/proc/self/gid_map", gid_line);
  if (!done.ok()) return done.failure();
  return Identities{Strength::kSingle, 0, 1, -1};
}

}  // namespace

std::optional<Strength> ParseStrength(std::string_view name) noexcept {
  for (const Strength strength : {Strength::kRange, Strength::kRoot, Strength::kSingle})
    if (name == NameOf(strength)) return strength;
  return std::nullopt;
}

const char* NameOf(Strength strength) noexcept {
  switch (strength) {
    case Strength::kRange:
      return "range";
    case Strength::kRoot:
      return "root";
    case Strength::kSingle:
      return "single";
  }
  return "";
}

Result<Identities> TakeStrength(Strength strength) {
  switch (strength) {
    case Strength::kRange:
      return TakeRange();
    case Strength::kRoot:
      return TakeRoot();
    case Strength::kSingle:
      return TakeSingle();
  }
  return Failure{kCode, "know-strength", EINVAL, "", 0};
}

Result<void> LeaveHost() {
  if (unshare(CLONE_NEWNS) != 0) return Failure::Errno(kCode, "make-mount-namespace");
  if (HasDefence(Defence::kOwnNetwork) && unshare(CLONE_NEWNET) != 0)
    return Failure::Errno(kCode, "make-network-namespace");
  const int ipc = HasDefence(Defence::kOwnIpc) ? CLONE_NEWIPC : 0;
  if (unshare(ipc | CLONE_NEWUTS) != 0) return Failure::Errno(kCode, "make-namespaces");
  return {};
}

Result<pid_t> BecomeFirstProcess() {
  clone_args arguments{};
  arguments.flags = CLONE_NEWPID | CLONE_PARENT;  // the addon's child, so that the death of the daemon can end it
  const long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) return Failure::Errno(kCode, "make-pid-namespace");
  return static_cast<pid_t>(pid);
}

}  // namespace cloister
