// Removes what nobody waits for: views, build directories, the trash. One thread, behind all others.
#pragma once

#include <string>
#include <utility>

#include "core/unique-fd.h"
#include "launcher/root.h"
#include "launcher/task-queue.h"

namespace cloister {

class Reaper {
 public:
  Result<void> Start() { return queue_.Start("reap", 1, 10); }

  /// Work of the same kind that somebody else knows how to do. When much waits already, the caller does it, so that
  /// builds do not leave things faster than they are taken away.
  void Do(TaskQueue::Task work);

  /// Removes the entry `name` of the held directory, some time soon. What cannot be removed stays for the next start.
  /// `held` is closed before.
  void Remove(int directory_fd, std::string name, UniqueFd held = UniqueFd());
  /// The same, but however much waits already.
  void RemoveLater(int directory_fd, std::string name);

 private:
  static constexpr size_t kMostWaiting = 256;

  TaskQueue queue_;
};

struct Swept {
  std::string prefix;     // of names that nobody had before this start
  unsigned int left = 0;  // entries that could not be moved: they belong to ids that only a stronger launcher holds
};

/// Moves all that an earlier launcher left in staging and builds to the trash, and has the trash emptied.
Swept Sweep(const Root& root, Reaper& reaper);

/// Removes what is in staging, builds and trash, until the time is up. What is left waits for the next start.
void Empty(const Root& root, unsigned int patience_ms);

}  // namespace cloister
