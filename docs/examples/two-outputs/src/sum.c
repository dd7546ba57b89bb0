#include "sum.h"

long sum(const long *numbers, int count) {
  long total = 0;
  for (int index = 0; index < count; ++index) total += numbers[index];
  return total;
}
