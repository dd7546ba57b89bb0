#include "launcher/jail-processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "launcher/group-files.h"

namespace cloister {
namespace {

/// Which pid namespace a process is in, or "".
std::string NamespaceOf(int proc_fd, const char* number) {
  char target[64];
  const ssize_t size = readlinkat(proc_fd, (std::string(number) + "/ns/pid").c_str(), target, sizeof target);
  return size > 0 ? std::string(target, static_cast<size_t>(size)) : std::string();
}

/// Source: proc(5), loadavg: "0.20 0.18 0.12 1/80 11206", running and all.
uint64_t CountOfMachine() {
  const std::string text = ReadGroupFile(AT_FDCWD, "/proc/loadavg");
  const size_t slash = text.find('/');
  return slash == std::string::npos ? UINT64_MAX : strtoull(text.c_str() + slash + 1, nullptr, 10);
}

}  // namespace

uint64_t CountProcesses(pid_t first, uint64_t uninteresting) {
  if (CountOfMachine() <= uninteresting) return 0;
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return 0;
  const int fd = dirfd(proc);
  const std::string jail = NamespaceOf(fd, std::to_string(first).c_str());
  uint64_t count = 0;
  while (const dirent* entry = readdir(proc)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || jail.empty() || NamespaceOf(fd, entry->d_name) != jail) continue;
    struct stat status{};
    const bool seen = fstatat(fd, (std::string(entry->d_name) + "/task").c_str(), &status, 0) == 0;
    count += seen && status.st_nlink > 2 ? status.st_nlink - 2 : 1;  // a link for each thread, "." and ".."
  }
  closedir(proc);
  return count;
}

}  // namespace cloister
