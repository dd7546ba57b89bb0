// Threads that live as long as the process, and that nobody waits for.
#pragma once

#include <pthread.h>

#include <cerrno>

#include "core/result.h"

namespace cloister {

/// Fails with LAUNCHER_START_FAILED: without its threads a launcher would take builds and never do them.
inline Result<void> StartThread(void* (*run)(void*), void* argument) {
  pthread_t thread;
  if (const int error = pthread_create(&thread, nullptr, run, argument); error != 0) {
    errno = error;  // it need not have been set
    return Failure::Errno("LAUNCHER_START_FAILED", "start-thread");
  }
  pthread_detach(thread);
  return {};
}

}  // namespace cloister
