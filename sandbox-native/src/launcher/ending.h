// How a build ended.
#pragma once

#include <cstdint>

#include "core/result.h"

namespace cloister {

struct Ending {
  enum class Kind : uint8_t {
    kExited,
    kSignalled,
    kTimedOut,
    kSilent,
    kLogLimit,
    kCancelled,
    kSetupFailed,
    kExecFailed,
    kOutOfMemory,
    kTooManyProcesses,
    kDirectoryFull,
    kDirectoryInodes,
    kDiskLow,
    kDiskInodesLow,
    kNotEnforced,
  };
  Kind kind = Kind::kExited;
  int value = 0;  // the exit status or the signal
  Failure failure{};
  uint64_t limit = 0;  // that was met, and what was reached: bytes, processes or inodes
  uint64_t reached = 0;
};

/// Of a clock that only goes forward.
uint64_t NowMicroseconds() noexcept;

}  // namespace cloister
