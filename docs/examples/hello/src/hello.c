#include <stdio.h>

int main(void) {
  puts("Hello from a build that saw its declared inputs and nothing else.");
  return 0;
}
