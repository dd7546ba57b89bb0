// Runs a jail's plans, in a process that shares the launcher's memory until it calls execve.
#pragma once

#include <cstdint>

#include "core/plan.h"

namespace cloister {

enum class JailState : uint32_t { kStarting, kMapped, kReady, kReleased, kFailed };

/// What launcher and jail share. `state` is a futex: the launcher sets kMapped when the identities are mapped and
/// kReleased when `finish` is ready; the jail answers kReady, or kFailed with `failure`.
struct JailControl {
  const Step* prepare = nullptr;
  uint32_t prepare_size = 0;
  const Step* finish = nullptr;
  uint32_t finish_size = 0;
  uint32_t state = 0;
  StepFailure failure{};       // the step's index counts through `prepare` and then `finish`
  uint32_t failed = 0;
  long slot[kSlots] = {};
};

/// The whole life of a jail's first process before it becomes the builder. Never returns.
[[noreturn]] void RunJail(void* control) noexcept;

/// clone3 with a stack: the child runs `entry` and must not return from it. Result as the kernel's: -errno, or the pid.
long CloneOnStack(void* clone_arguments, unsigned long size, void (*entry)(void*), void* argument) noexcept;

}  // namespace cloister
