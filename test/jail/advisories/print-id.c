/* Tells as whom it runs: what an attacker would leave behind as a setuid program. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
  printf("runs as %d\n", (int)geteuid());
  return 0;
}
