#include "tree/move.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>

#include "core/unique-fd.h"
#include "tree/entry.h"

namespace cloister {
namespace {

/// rename without replacing. A directory that gets another parent must be writable itself, unless a capability overrides
/// that; a sealed one is not, so it is made writable for the moment. False with errno.
bool Rename(int from_fd, const char* from, int to_fd, const char* to) {
  if (renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0) return true;
  if (errno != EACCES) return false;
  const UniqueFd held = OpenEntry(from_fd, from, O_RDONLY | O_DIRECTORY);
  struct stat status;
  if (!held || fstat(held.get(), &status) != 0 || (status.st_mode & 0200) != 0 ||
      fchmod(held.get(), (status.st_mode & 07777) | 0200) != 0) {
    errno = EACCES;
    return false;
  }
  const bool done = renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0;
  const int error = errno;
  if (fchmod(held.get(), status.st_mode & 07777) != 0 && done) return false;
  errno = error;
  return done;
}

}  // namespace

Result<MovedEntry> MoveEntry(int from_fd, const char* from, int to_fd, const char* to, int trash_fd) {
  MovedEntry moved;
  for (;;) {
    if (Rename(from_fd, from, to_fd, to)) return moved;
    if (errno != EEXIST || trash_fd < 0) return CallFailed("move", to);
    struct stat status;
    if (fstatat(from_fd, from, &status, AT_SYMLINK_NOFOLLOW) != 0) return CallFailed("move", from);

    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random) return CallFailed("choose a name", to);
    char trashed[32];
    std::snprintf(trashed, sizeof trashed, "%016llx", static_cast<unsigned long long>(random));
    if (Rename(to_fd, to, trash_fd, trashed)) {
      moved.trashed = trashed;
    } else if (errno != EEXIST && errno != ENOENT) {
      return CallFailed("move to the trash", to);
    }
  }
}

}  // namespace cloister
