#include "tree/entry.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "core/defences.h"

namespace cloister {
namespace {

constexpr long kFchmodat2 = 452;  // Linux 6.6; the same number on every architecture

constexpr struct timespec kCanonicalTimes[2] = {{0, UTIME_OMIT}, {kCanonicalSeconds, 0}};

bool IsDots(const char* name) { return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0; }

}  // namespace

bool ReadEntries(int directory_fd, std::vector<DirectoryEntry>& entries) {
  alignas(struct dirent64) char buffer[32 * 1024];
  for (;;) {
    const ssize_t size = getdents64(directory_fd, buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return size == 0;
    for (ssize_t at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const struct dirent64*>(buffer + at);
      if (!IsDots(entry->d_name)) entries.push_back({entry->d_name, entry->d_type});
      at += entry->d_reclen;
    }
  }
}

UniqueFd OpenEntry(int parent_fd, const char* name, int flags) {
  const int no_symlink = HasDefence(Defence::kNoSymlinkFollowed) ? O_NOFOLLOW : 0;
  for (;;) {
    const int fd = openat(parent_fd, name, flags | no_symlink | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 || errno != EINTR) return UniqueFd(fd);
  }
}

ssize_t ReadSome(int fd, void* data, size_t size) {
  for (;;) {
    const ssize_t got = read(fd, data, size);
    if (got >= 0) return got;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      struct pollfd waiting{fd, POLLIN, 0};
      poll(&waiting, 1, -1);
    } else if (errno != EINTR) {
      return got;
    }
  }
}

bool WriteAll(int fd, const void* data, size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t put = write(fd, at, size);
    if (put < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    at += put;
    size -= static_cast<size_t>(put);
  }
  return true;
}

bool ChangeMode(int parent_fd, const char* name, const struct stat& expected, mode_t mode) {
  const UniqueFd held = OpenEntry(parent_fd, name, O_PATH);
  struct stat status;
  if (!held || fstat(held.get(), &status) != 0) return false;
  if (status.st_dev != expected.st_dev || status.st_ino != expected.st_ino || S_ISLNK(status.st_mode)) {
    errno = ESTALE;
    return false;
  }
  if (syscall(kFchmodat2, held.get(), "", mode, AT_EMPTY_PATH) == 0) return true;
  if (errno != ENOSYS && errno != EPERM) return false;
  // Older kernels: the magic link of what we hold leads to this very inode, whatever bears its name by now.
  char link[32];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", held.get());
  return chmod(link, mode) == 0;
}

bool SetCanonicalTime(int fd) { return futimens(fd, kCanonicalTimes) == 0; }

bool SetCanonicalTimeOfLink(int parent_fd, const char* name) {
  return utimensat(parent_fd, name, kCanonicalTimes, AT_SYMLINK_NOFOLLOW) == 0;
}

std::string JoinPath(std::string_view base, std::string_view name) {
  std::string path;
  path.reserve(base.size() + 1 + name.size());
  path.append(base);
  if (!path.empty()) path.push_back('/');
  path.append(name);
  return path;
}

}  // namespace cloister
