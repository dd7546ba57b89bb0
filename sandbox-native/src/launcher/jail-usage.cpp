#include "launcher/jail-usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <string>

#include "launcher/group-files.h"

namespace cloister {
namespace {

/// The number of the pid namespace that a process is in; 0 if it is gone.
ino_t NamespaceNumber(int proc_fd, const std::string& process) {
  struct stat status{};
  return fstatat(proc_fd, (process + "/ns/pid").c_str(), &status, 0) == 0 ? status.st_ino : 0;
}

/// Source: proc(5), stat: after the name in parentheses comes the third field; the 14th to the 17th are the clock ticks in
/// user and system mode, the process's own and those of its children that were waited for.
uint64_t ReadTicks(int proc_fd, const std::string& process) {
  const std::string text = ReadGroupFile(proc_fd, (process + "/stat").c_str());
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  constexpr size_t kThird = 3;
  const std::vector<std::string> fields = SplitText(std::string_view(text).substr(name_end + 1), " \n");
  uint64_t ticks = 0;
  for (size_t field = 14; field <= 17 && field - kThird < fields.size(); ++field)
    ticks += strtoull(fields[field - kThird].c_str(), nullptr, 10);
  return ticks;
}

/// Source: proc(5), statm: its second number is that of the resident pages.
uint64_t ReadResidentPages(int proc_fd, const std::string& process) {
  const std::vector<std::string> fields = SplitText(ReadGroupFile(proc_fd, (process + "/statm").c_str()), " \n");
  return fields.size() < 2 ? 0 : strtoull(fields[1].c_str(), nullptr, 10);
}

}  // namespace

std::vector<JailUsage> ReadJailUsage(const std::vector<pid_t>& first_processes) {
  std::vector<JailUsage> usages(first_processes.size());
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return usages;
  const int fd = dirfd(proc);
  std::map<ino_t, JailUsage*> jails;
  for (size_t index = 0; index < usages.size(); ++index)
    if (const ino_t number = NamespaceNumber(fd, std::to_string(first_processes[index])); number != 0)
      jails[number] = &usages[index];
  const uint64_t microseconds_per_tick = 1'000'000 / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  const uint64_t page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  while (const dirent* entry = readdir(proc)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    const std::string process = entry->d_name;
    const auto found = jails.find(NamespaceNumber(fd, process));
    if (found == jails.end()) continue;
    found->second->cpu_microseconds += ReadTicks(fd, process) * microseconds_per_tick;
    found->second->memory_bytes += ReadResidentPages(fd, process) * page_bytes;
  }
  closedir(proc);
  return usages;
}

}  // namespace cloister
