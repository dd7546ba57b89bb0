// What the jails that run have taken so far: looked up in /proc when somebody asks, and at no other time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace cloister {

struct JailUsage {
  uint64_t cpu_microseconds = 0;  // of all its processes, also of those that have ended and were waited for
  uint64_t memory_bytes = 0;      // resident in those there are; pages that several of them share count for each
};

/// For each jail, by its first process: in one pass over /proc.
std::vector<JailUsage> ReadJailUsage(const std::vector<pid_t>& first_processes);

}  // namespace cloister
