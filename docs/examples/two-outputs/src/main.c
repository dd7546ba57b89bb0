#include <stdio.h>
#include <sum.h>

int main(void) {
  const long numbers[] = {20, 1, 21};
  printf("%ld\n", sum(numbers, 3));
  return 0;
}
