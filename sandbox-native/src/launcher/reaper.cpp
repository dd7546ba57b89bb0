#include "launcher/reaper.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <memory>
#include <utility>
#include <vector>

#include "launcher/directory-names.h"
#include "tree/remove.h"

namespace cloister {
namespace {

std::string StartPrefix() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  char prefix[64];
  snprintf(prefix, sizeof prefix, "at-%llx%llx-", static_cast<unsigned long long>(now.tv_sec),
           static_cast<unsigned long long>(now.tv_nsec));
  return prefix;
}

}  // namespace

void Reaper::Do(TaskQueue::Task work) {
  if (queue_.size() >= kMostWaiting) return work();
  queue_.Push(std::move(work));
}

void Reaper::Remove(int directory_fd, std::string name, UniqueFd held) {
  Do([directory_fd, name = std::move(name), held = std::make_shared<UniqueFd>(std::move(held))] {
    held->Reset();
    (void)RemoveTree(directory_fd, name.c_str()).ok();
  });
}

void Reaper::RemoveLater(int directory_fd, std::string name) {
  queue_.Push([directory_fd, name = std::move(name)] { (void)RemoveTree(directory_fd, name.c_str()).ok(); });
}

Swept Sweep(const Root& root, Reaper& reaper) {
  Swept swept{StartPrefix(), 0};
  unsigned int number = 0;
  for (std::string& name : NamesIn(root.trash.get())) reaper.RemoveLater(root.trash.get(), std::move(name));
  for (const int directory_fd : {root.staging.get(), root.builds.get()}) {
    for (const std::string& name : NamesIn(directory_fd)) {
      const std::string trashed = swept.prefix + std::to_string(number++);
      if (renameat(directory_fd, name.c_str(), root.trash.get(), trashed.c_str()) == 0) {
        reaper.RemoveLater(root.trash.get(), trashed);
      } else if (errno == EXDEV) {  // builds may be on another file system
        if (!RemoveTree(directory_fd, name.c_str()).ok()) ++swept.left;
      } else if (errno != ENOENT) {
        ++swept.left;
      }
    }
  }
  return swept;
}

void Empty(const Root& root, unsigned int patience_ms) {
  const auto now_ms = [] {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
  };
  const uint64_t end = now_ms() + patience_ms;
  for (const int directory_fd : {root.builds.get(), root.staging.get(), root.trash.get()}) {
    for (const std::string& name : NamesIn(directory_fd)) {
      if (now_ms() >= end) return;
      (void)RemoveTree(directory_fd, name.c_str()).ok();
    }
  }
}

}  // namespace cloister
