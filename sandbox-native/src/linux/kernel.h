// The system calls that the C library has no function for, or has one only in newer versions. Results as the kernel's:
// -1 and errno.
#pragma once

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

#include "core/defences.h"
#include "core/unique-fd.h"

// The C library's headers name these too, but cannot be included together with the kernel's.
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

namespace cloister {

inline int Mount(const char* source, const char* target, const char* type, unsigned long flags, const char* options) {
  return static_cast<int>(syscall(SYS_mount, source, target, type, flags, options));
}

/// A detached copy of the mount that holds `path`, rooted there. Flags: AT_EMPTY_PATH, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW.
inline UniqueFd CloneMount(int directory_fd, const char* path, unsigned int flags) {
  return UniqueFd(
      static_cast<int>(syscall(SYS_open_tree, directory_fd, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags)));
}

inline int MoveMount(int from_fd, int to_fd, const char* to_path) {
  return static_cast<int>(syscall(SYS_move_mount, from_fd, "", to_fd, to_path, MOVE_MOUNT_F_EMPTY_PATH));
}

/// Takes a mount with all that is mounted below it out of sight at once; what is still in use goes when it no longer is.
inline int UnmountTree(const char* path) {
  constexpr int kDetach = 2;  // MNT_DETACH; its header does not go with linux/mount.h
  return static_cast<int>(syscall(SYS_umount2, path, kDetach));
}

inline int SetMountAttributes(int fd, unsigned int flags, uint64_t set) {
  mount_attr attributes{};
  attributes.attr_set = set;
  return static_cast<int>(syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes));
}

inline int OpenFileSystem(const char* type) { return static_cast<int>(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC)); }

inline int ConfigureFileSystem(int fd, unsigned int command, const char* key, const char* value) {
  return static_cast<int>(syscall(SYS_fsconfig, fd, command, key, value, 0));
}

inline UniqueFd MakeMount(int file_system_fd, unsigned int attributes) {
  return UniqueFd(static_cast<int>(syscall(SYS_fsmount, file_system_fd, FSMOUNT_CLOEXEC, attributes)));
}

/// Opens `path` below `directory_fd` without leaving it and without following any symlink.
inline UniqueFd OpenBelow(int directory_fd, const char* path, uint64_t flags, uint64_t mode = 0) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  if (HasDefence(Defence::kBeneath)) how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(static_cast<int>(syscall(SYS_openat2, directory_fd, path, &how, sizeof how)));
}

inline int OpenProcess(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

inline int SignalProcess(int pidfd, int signal) {
  return static_cast<int>(syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}

/// waitid that also tells the resources, and waits for children that send no signal.
inline int WaitProcess(int pidfd, siginfo_t* info, struct rusage* usage) {
  constexpr int kPidfd = 3;  // P_PIDFD
  return static_cast<int>(syscall(SYS_waitid, kPidfd, pidfd, info, WEXITED | __WALL, usage));
}

inline int CloseRange(unsigned int first, unsigned int last, unsigned int flags) {
  return static_cast<int>(syscall(SYS_close_range, first, last, flags));
}

}  // namespace cloister
