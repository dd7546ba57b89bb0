// Which builds run, for who wants to end one.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "linux/jail.h"

namespace cloister {

/// Builds that were ordered and have not been answered, so that they can be cancelled.
class RunningBuilds {
 public:
  void Add(uint64_t order);
  void Cancel(uint64_t order);
  bool IsCancelled(uint64_t order);
  /// From now on cancelling kills it. The jail stays until Remove.
  void SetJail(uint64_t order, Jail& jail);
  void Remove(uint64_t order);
  /// Those whose jail runs: the order, and the first process.
  std::vector<std::pair<uint64_t, pid_t>> List();

 private:
  struct Entry {
    bool cancelled = false;
    Jail* jail = nullptr;
  };
  std::mutex mutex_;
  std::map<uint64_t, Entry> entries_;
};

}  // namespace cloister
