/* A builder that does not want to die: it clears its death signal, forks away into a session of its own, ignores every
   signal it can, and only then makes its output. usage: hostile-builder MARKER (seen in the process list); needs $out. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static void pause_for(long milliseconds) {
  struct timespec time = {milliseconds / 1000, (milliseconds % 1000) * 1000000};
  nanosleep(&time, 0);
}

int main(void) {
  for (int number = 1; number < NSIG; number++) signal(number, SIG_IGN);
  prctl(PR_SET_PDEATHSIG, 0);
  for (int child = 0; child < 2; child++)
    if (fork() == 0) {
      setsid();
      if (fork() != 0) _exit(0);
      /* It keeps the log open, and would write to the output for ever. */
      for (;;) {
        int late = open(getenv("out"), O_WRONLY | O_APPEND);
        if (late >= 0) {
          (void)!write(late, "late\n", 5);
          close(late);
        }
        pause_for(20);
      }
    }
  printf("hostile builder at work\n");
  fflush(stdout);
  pause_for(30);
  int out = open(getenv("out"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (out < 0 || write(out, "made\n", 5) != 5) return 1;
  printf("output made\n");
  return 0;
}
