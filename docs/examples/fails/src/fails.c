#include <stdio.h>

int main(void) {
  printf("%d\n", forgotten); /* never declared: this is what the example shows */
  return 0;
}
