// System calls on one entry of a held directory. Names are single components and no call follows a symlink.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/unique-fd.h"

namespace cloister {

/// Levels of a tree, the top and the innermost file counted: as in Nix 2.34 (libutil/archive.hh).
inline constexpr size_t kMaxLevels = 64;

/// What a store object's entries have: mtime 1, as Nix and Guix have it, so that it is not "unset".
inline constexpr time_t kCanonicalSeconds = 1;
inline constexpr mode_t kFileMode = 0444;
inline constexpr mode_t kExecutableMode = 0555;
inline constexpr mode_t kDirectoryMode = 0555;

struct DirectoryEntry {
  std::string name;
  uint8_t type;  // DT_*, perhaps DT_UNKNOWN
};

/// All entries but "." and "..", in no order. False with errno.
bool ReadEntries(int directory_fd, std::vector<DirectoryEntry>& entries);

/// Opens an entry without following it, and without waiting for the other end of a FIFO.
UniqueFd OpenEntry(int parent_fd, const char* name, int flags);

/// read, repeated after a signal, and waiting where the descriptor does not.
ssize_t ReadSome(int fd, void* data, size_t size);

/// False with errno.
bool WriteAll(int fd, const void* data, size_t size);

/// Changes the mode of an entry that cannot be opened, and of nothing else: the entry must still be `expected` (by device
/// and inode) and not a symlink. False with errno.
bool ChangeMode(int parent_fd, const char* name, const struct stat& expected, mode_t mode);

/// Sets the canonical mtime; keeps the atime.
bool SetCanonicalTime(int fd);
bool SetCanonicalTimeOfLink(int parent_fd, const char* name);

inline bool HasCanonicalTime(const struct stat& status) {
  return status.st_mtim.tv_sec == kCanonicalSeconds && status.st_mtim.tv_nsec == 0;
}

/// `base`/`name`, where the top is "".
std::string JoinPath(std::string_view base, std::string_view name);

/// A failed system call of this folder.
inline Failure CallFailed(const char* step, std::string_view path) {
  return Failure::Errno("TREE_SYSTEM_CALL", step, path);
}

}  // namespace cloister
