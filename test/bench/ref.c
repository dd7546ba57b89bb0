/* The yardstick: vfork, exec and wait of the same builder, nothing else. usage: ref COUNT OUT PROGRAM [ARG...]
   Runs PROGRAM with $out=OUT COUNT times and prints the median microseconds of one run. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int compare(const void *a, const void *b) {
  double d = *(const double *)a - *(const double *)b;
  return d < 0 ? -1 : d > 0;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  int count = atoi(argv[1]);
  double *times = malloc(sizeof(double) * (count > 0 ? count : 1));
  setenv("out", argv[2], 1);
  extern char **environ;
  for (int i = 0; i < count; i++) {
    struct timespec start, stop;
    clock_gettime(CLOCK_MONOTONIC, &start);
    pid_t pid = vfork();
    if (pid == 0) {
      execve(argv[3], argv + 3, environ);
      _exit(127);
    }
    int status;
    if (waitpid(pid, &status, 0) != pid || status != 0) return 1;
    clock_gettime(CLOCK_MONOTONIC, &stop);
    times[i] = (stop.tv_sec - start.tv_sec) * 1e6 + (stop.tv_nsec - start.tv_nsec) / 1e3;
  }
  qsort(times, count, sizeof(double), compare);
  printf("%.1f\n", times[count / 2]);
  return 0;
}
