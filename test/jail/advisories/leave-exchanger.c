/* Makes PARENT with pairs of a directory and a symlink to TARGET in it, and leaves a process behind that exchanges the
   two of each pair for MILLISECONDS, with rests, so that who is attacked gets on too. usage: leave-exchanger PARENT TARGET MILLISECONDS */
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { kPairs = 32 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

int main(int count, char **arguments) {
  if (count != 4 || mkdir(arguments[1], 0755) != 0) return 2;
  int parent = open(arguments[1], O_RDONLY | O_DIRECTORY);
  if (parent < 0) return 2;
  char directory[kPairs][16], link[kPairs][16];
  for (int pair = 0; pair < kPairs; pair++) {
    snprintf(directory[pair], sizeof directory[pair], "a%d", pair);
    snprintf(link[pair], sizeof link[pair], "b%d", pair);
    if (mkdirat(parent, directory[pair], 0755) != 0 || symlinkat(arguments[2], parent, link[pair]) != 0) return 3;
  }
  int ready[2];
  if (pipe(ready) != 0) return 4;
  if (fork() == 0) {
    for (int number = 1; number < NSIG; number++) signal(number, SIG_IGN);
    setsid();
    close(0);
    close(1);
    close(2);
    const double end = now() + atof(arguments[3]);
    for (long round = 0; now() < end; round++) {
      for (int pair = 0; pair < kPairs; pair++)
        syscall(SYS_renameat2, parent, directory[pair], parent, link[pair], RENAME_EXCHANGE);
      const struct timespec rest = {0, 30000};
      nanosleep(&rest, 0);
      if (round == 0) (void)!write(ready[1], "x", 1);
    }
    _exit(0);
  }
  char byte;
  return read(ready[0], &byte, 1) == 1 ? 0 : 5;
}
