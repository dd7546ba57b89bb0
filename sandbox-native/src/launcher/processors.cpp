#include "launcher/processors.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace cloister {

std::vector<uint64_t> FindProcessors(uint32_t most) {
  std::vector<uint64_t> mask(128);  // 8,192 processors
  const long size = syscall(SYS_sched_getaffinity, 0, mask.size() * sizeof(uint64_t), mask.data());
  if (size < 0) return {};
  mask.resize(static_cast<size_t>(size) / sizeof(uint64_t));
  uint32_t left = most;
  for (size_t word = mask.size(); word-- > 0;)
    for (int bit = 63; bit >= 0; --bit) {
      const uint64_t one = uint64_t{1} << bit;
      if ((mask[word] & one) == 0) continue;
      if (left > 0) --left;
      else mask[word] &= ~one;
    }
  return mask;
}

}  // namespace cloister
