// How many processes and threads a jail has, where no control group counts them.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace cloister {

/// Looks through /proc; `first` is the jail's first process. The number may be too low by what starts meanwhile. 0, without
/// looking at each, if the whole machine has no more than `uninteresting`.
uint64_t CountProcesses(pid_t first, uint64_t uninteresting);

}  // namespace cloister
