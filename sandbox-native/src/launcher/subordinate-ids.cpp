#include "launcher/subordinate-ids.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

namespace cloister {
namespace {

constexpr int kProgramMissing = 127;

std::string ReadWhole(const char* path) {
  std::string text;
  const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  for (ssize_t size; file && (size = read(file.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(size));
  return text;
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find(separator, start), text.size());
    parts.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

bool ParseNumber(std::string_view text, uint32_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// From /etc/passwd, not by getpwuid: a static program cannot load what that may need.
std::string FindUserName(uid_t uid) {
  const std::string passwd = ReadWhole("/etc/passwd");
  for (const std::string_view line : Split(passwd, '\n')) {
    const std::vector<std::string_view> fields = Split(line, ':');
    uint32_t number = 0;
    if (fields.size() >= 3 && ParseNumber(fields[2], number) && number == uid) return std::string(fields[0]);
  }
  return {};
}

[[noreturn]] void Run(const char* program, const std::vector<std::string>& arguments) {
  std::vector<char*> list;
  for (const std::string& argument : arguments) list.push_back(const_cast<char*>(argument.c_str()));
  list.push_back(nullptr);
  char* const environment[] = {nullptr};
  for (const char* folder : {"/run/wrappers/bin/", "/usr/bin/", "/bin/", "/usr/local/bin/"})
    execve((std::string(folder) + program).c_str(), list.data(), environment);
  _exit(kProgramMissing);
}

pid_t StartMapping(const char* program, pid_t process, uint32_t own, SubordinateRange range) {
  const pid_t child = fork();
  if (child != 0) return child;
  Run(program, {program, std::to_string(process), "0", std::to_string(own), "1", "1", std::to_string(range.first),
                std::to_string(range.count)});
}

int WaitForExitCode(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return 1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

}  // namespace

SubordinateRange FindSubordinateRange(const char* file, uid_t uid) {
  const std::string name = FindUserName(uid);
  const std::string number = std::to_string(uid);
  const std::string text = ReadWhole(file);
  SubordinateRange longest;
  for (const std::string_view line : Split(text, '\n')) {
    const std::vector<std::string_view> fields = Split(line, ':');
    SubordinateRange range;
    if (fields.size() != 3 || (fields[0] != number && (name.empty() || fields[0] != name))) continue;
    if (ParseNumber(fields[1], range.first) && ParseNumber(fields[2], range.count) && range.count > longest.count)
      longest = range;
  }
  return longest;
}

Result<void> IdMapper::Start(uid_t uid, gid_t gid, SubordinateRange uids, SubordinateRange gids) {
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return Failure::Errno("STRENGTH_UNAVAILABLE", "pipe");
  UniqueFd told(pipe_fds[0]);
  start_.Reset(pipe_fds[1]);
  const pid_t process = getpid();
  child_ = fork();
  if (child_ < 0) return Failure::Errno("STRENGTH_UNAVAILABLE", "fork");
  if (child_ > 0) return {};

  start_.Reset();
  char byte = 0;
  if (read(told.get(), &byte, 1) != 1) _exit(1);
  const pid_t first = StartMapping("newuidmap", process, uid, uids);  // side by side: each takes 10 ms and more
  const pid_t second = StartMapping("newgidmap", process, gid, gids);
  const int first_code = WaitForExitCode(first);
  const int second_code = WaitForExitCode(second);
  _exit(first_code != 0 ? first_code : second_code);
}

Result<void> IdMapper::Map() {
  const char byte = 1;
  if (write(start_.get(), &byte, 1) != 1) return Failure::Errno("STRENGTH_UNAVAILABLE", "map-identities");
  const int code = WaitForExitCode(child_);
  if (code == kProgramMissing) return Failure{"STRENGTH_UNAVAILABLE", "run-newuidmap", ENOENT, "newuidmap", 0};
  if (code != 0) return Failure{"STRENGTH_UNAVAILABLE", "map-identities", EPERM, "newuidmap", 0};
  return {};
}

}  // namespace cloister
