#include "launcher/group-places.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "launcher/directory-names.h"
#include "launcher/group-files.h"

namespace cloister {
namespace {

constexpr std::string_view kPrefix = "cloister-";
/// Where the daemon and its launcher go when their own group is to hold groups: version 2 lets none have both.
constexpr char kSupervisor[] = "cloister-daemon";

struct Hierarchy {
  int version = 0;
  std::string mount_point;
  uint8_t controllers = 0;  // version 1
  std::string own;          // this process' group, a path below the mount point: "" or "/…"
};

uint8_t ControllerOf(std::string_view name) {
  if (name == "memory") return kMemoryController;
  if (name == "cpu") return kCpuController;
  if (name == "cpuacct") return kCpuCounter;
  if (name == "pids") return kPidsController;
  if (name == "io" || name == "blkio") return kIoController;
  return 0;
}

/// Of names that commas or spaces part.
uint8_t ControllersOf(const std::string& list) {
  uint8_t controllers = 0;
  for (const std::string& name : SplitText(list, ", \n")) controllers |= ControllerOf(name);
  return controllers;
}

/// The group of this process in the hierarchy with one of these controllers; version 2: that of no controllers.
std::string OwnGroup(const Hierarchy& hierarchy) {
  for (const std::string& line : SplitText(ReadGroupFile(AT_FDCWD, "/proc/self/cgroup"), "\n")) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    const bool found = hierarchy.version == 2 ? line.starts_with("0::") : (ControllersOf(names) & hierarchy.controllers) != 0;
    if (found) return line.substr(second + 1);
  }
  return "/";
}

/// Source of the format: proc_pid_mountinfo(5).
std::vector<Hierarchy> FindHierarchies() {
  std::vector<Hierarchy> found;
  uint8_t seen = 0;
  bool has_second = false;
  for (const std::string& line : SplitText(ReadGroupFile(AT_FDCWD, "/proc/self/mountinfo"), "\n")) {
    const std::vector<std::string> words = SplitText(line, " ");
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 5 || words.end() - dash < 4) continue;
    const std::string& root = words[3];
    const std::string& type = dash[1];
    const std::string& options = dash[3];
    Hierarchy hierarchy;
    hierarchy.mount_point = words[4];
    if (type == "cgroup2" && !has_second) {
      hierarchy.version = 2;
      has_second = true;
    } else if (type == "cgroup") {
      hierarchy.version = 1;
      hierarchy.controllers = ControllersOf(options) & static_cast<uint8_t>(~seen);
      if (hierarchy.controllers == 0) continue;
      seen |= hierarchy.controllers;
    } else {
      continue;
    }
    hierarchy.own = OwnGroup(hierarchy);
    // In a container the mount may show a part only, and the group's path may be one that is seen from outside.
    if (root != "/" && hierarchy.own.starts_with(root)) hierarchy.own = hierarchy.own.substr(root.size());
    if (hierarchy.own == "/" || hierarchy.own.find("/..") != std::string::npos) hierarchy.own.clear();
    found.push_back(std::move(hierarchy));
  }
  return found;
}

UniqueFd OpenGroup(const std::string& path) {
  return UniqueFd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

bool RemoveWithGroups(int parent_fd, int fd, const std::string& name) {
  for (const std::string& inner : NamesIn(fd)) {
    struct stat status{};
    if (fstatat(fd, inner.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode))
      unlinkat(fd, inner.c_str(), AT_REMOVEDIR);
  }
  return unlinkat(parent_fd, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT;
}

bool IsLaunchers(const std::string& name) {
  return name.starts_with(kPrefix) && name.find_first_not_of("0123456789", kPrefix.size()) == std::string::npos;
}

/// Whoever made a directory holds its lock while it lives.
void SweepGroups(int parent_fd) {
  for (const std::string& name : NamesIn(parent_fd)) {
    if (!IsLaunchers(name)) continue;
    const UniqueFd fd(openat(parent_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (fd && flock(fd.get(), LOCK_EX | LOCK_NB) == 0) RemoveWithGroups(parent_fd, fd.get(), name);
  }
}

/// A new locked directory; nothing if it cannot be made.
UniqueFd MakePlace(int parent_fd, const std::string& name) {
  if (mkdirat(parent_fd, name.c_str(), 0755) != 0) return UniqueFd();
  UniqueFd fd(openat(parent_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status{};
  // Another launcher's sweep may have come between.
  if (!fd || flock(fd.get(), LOCK_EX | LOCK_NB) != 0 || fstatat(parent_fd, name.c_str(), &status, 0) != 0) return UniqueFd();
  return fd;
}

/// Nobody but this process and the daemon that started it is in the group.
bool IsOnlyOurs(int fd) {
  const std::vector<std::string> numbers = SplitText(ReadGroupFile(fd, "cgroup.procs"), "\n");
  return std::all_of(numbers.begin(), numbers.end(), [](const std::string& number) {
    return number == std::to_string(getpid()) || number == std::to_string(getppid());
  });
}

/// It has processes of its own and is not the root, which alone may have both.
bool MustBeEmpty(int fd) {
  return !ReadGroupFile(fd, "cgroup.type").empty() && !ReadGroupFile(fd, "cgroup.procs").empty();
}

void LeaveForSupervisor(int fd) {
  mkdirat(fd, kSupervisor, 0755);
  const UniqueFd supervisor(openat(fd, kSupervisor, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!supervisor) return;
  for (const pid_t pid : {getppid(), getpid()}) WriteGroupFile(supervisor.get(), "cgroup.procs", std::to_string(pid));
}

/// Hands as many controllers as can be on to the groups inside, and says which they have now.
uint8_t HandOn(int fd) {
  for (const char* name : {"+memory", "+cpu", "+pids", "+io"}) WriteGroupFile(fd, "cgroup.subtree_control", name);
  uint8_t controllers = ControllersOf(ReadGroupFile(fd, "cgroup.subtree_control"));
  if ((controllers & kCpuController) != 0) controllers |= kCpuCounter;
  return controllers;
}

std::optional<GroupPlace> MakeSecondPlace(const std::string& path, const std::string& name) {
  const UniqueFd parent = OpenGroup(path);
  if (!parent || ControllersOf(ReadGroupFile(parent.get(), "cgroup.controllers")) == 0) return std::nullopt;
  SweepGroups(parent.get());
  UniqueFd place = MakePlace(parent.get(), name);
  if (!place) return std::nullopt;
  // Some controllers could be handed on beside processes, but then no jail could join what is made here.
  if (MustBeEmpty(parent.get()) && IsOnlyOurs(parent.get())) LeaveForSupervisor(parent.get());
  if (!MustBeEmpty(parent.get())) HandOn(parent.get());
  const uint8_t controllers = HandOn(place.get());
  if (controllers != 0) return GroupPlace{place.Release(), controllers};
  unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR);
  return std::nullopt;
}

std::string Parent(const std::string& group) { return group.substr(0, group.rfind('/')); }

/// The group that was named, or the own one and, where that cannot be, those above it.
template <class Try>
void TryGroups(const std::string& root, const Hierarchy& hierarchy, Try attempt) {
  if (root != "auto") {
    const bool is_whole = root.starts_with(hierarchy.mount_point + "/") || root == hierarchy.mount_point;
    attempt(is_whole ? root : hierarchy.mount_point + "/" + root);
    return;
  }
  for (std::string group = hierarchy.own;; group = Parent(group))
    if (attempt(hierarchy.mount_point + group) || group.empty()) return;
}

}  // namespace

uint8_t GroupPlaces::controllers() const noexcept {
  uint8_t all = 0;
  for (const GroupPlace& place : places) all |= place.controllers;
  return all;
}

GroupPlaces FindGroupPlaces(const std::string& root) {
  GroupPlaces found;
  if (root == "none") return found;
  found.name = std::string(kPrefix) + std::to_string(getpid());
  const std::vector<Hierarchy> hierarchies = FindHierarchies();
  for (const Hierarchy& hierarchy : hierarchies) {
    if (hierarchy.version != 2) continue;
    TryGroups(root, hierarchy, [&](const std::string& path) {
      const std::optional<GroupPlace> place = MakeSecondPlace(path, found.name);
      if (place) found.places.push_back(*place);
      return place.has_value();
    });
  }
  if (!found.places.empty()) {
    found.version = 2;
    return found;
  }
  for (const Hierarchy& hierarchy : hierarchies) {
    if (hierarchy.version != 1) continue;
    TryGroups(root, hierarchy, [&](const std::string& path) {
      const UniqueFd parent = OpenGroup(path);
      if (!parent) return false;
      SweepGroups(parent.get());
      UniqueFd place = MakePlace(parent.get(), found.name);
      if (place) found.places.push_back({place.Release(), hierarchy.controllers});
      return place || !found.places.empty();
    });
  }
  found.version = found.places.empty() ? 0 : 1;
  return found;
}

std::string PassGroupPlaces(const GroupPlaces& places) {
  std::string text = std::to_string(places.version) + ":" + places.name;
  for (const GroupPlace& place : places.places) {
    fcntl(place.fd, F_SETFD, 0);
    text += ":" + std::to_string(place.fd) + "." + std::to_string(place.controllers);
  }
  return text;
}

GroupPlaces TakeGroupPlaces(const std::string& text) {
  GroupPlaces places;
  const std::vector<std::string> words = SplitText(text, ":");
  if (words.size() < 2) return places;
  places.version = atoi(words[0].c_str());
  places.name = words[1];
  for (size_t index = 2; index < words.size(); ++index) {
    int fd = -1;
    unsigned int controllers = 0;
    if (sscanf(words[index].c_str(), "%d.%u", &fd, &controllers) != 2) continue;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    places.places.push_back({fd, static_cast<uint8_t>(controllers)});
  }
  return places;
}

bool RemoveGroupPlaces(const GroupPlaces& places) {
  bool removed = true;
  for (const GroupPlace& place : places.places) {
    const UniqueFd parent(openat(place.fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (parent) removed &= RemoveWithGroups(parent.get(), place.fd, places.name);
  }
  return removed;
}

}  // namespace cloister
