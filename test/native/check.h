// What each program of tests counts and prints.
#pragma once

#include <cstdio>

inline int g_failures = 0;

inline void Check(bool good, const char* what) {
  if (good) return;
  std::printf("failed: %s\n", what);
  ++g_failures;
}

/// The program's exit status.
inline int Conclude() {
  if (g_failures == 0) std::printf("ok\n");
  return g_failures == 0 ? 0 : 1;
}
