/*
 * A builder that makes the system calls of the file "calls" in its working directory, each in a process of its own, and
 * prints how each ended, a line each: 0, or the errno. A line of the file is the way in (native, int80, x32), the number
 * and five arguments.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define X32_BIT 0x40000000L
static long call_native(unsigned long number, const unsigned long *a) {
  long result;
  register unsigned long r10 asm("r10") = a[3];
  register unsigned long r8 asm("r8") = a[4];
  register unsigned long r9 asm("r9") = 0;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}
static long call_second(unsigned long number, const unsigned long *a) {
  long result;
  asm volatile("int $0x80"
               : "=a"(result)
               : "a"(number), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
               : "r8", "r9", "r10", "r11", "memory");
  return (int)result;
}
#else
#define X32_BIT 0L
static long call_native(unsigned long number, const unsigned long *a) {
  register unsigned long x8 asm("x8") = number;
  register unsigned long x0 asm("x0") = a[0];
  register unsigned long x1 asm("x1") = a[1];
  register unsigned long x2 asm("x2") = a[2];
  register unsigned long x3 asm("x3") = a[3];
  register unsigned long x4 asm("x4") = a[4];
  register unsigned long x5 asm("x5") = 0;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return (long)x0;
}
static long call_second(unsigned long number, const unsigned long *a) {
  (void)number, (void)a;
  return -38; /* a 64-bit program has no way in for 32-bit calls there */
}
#endif

int main(void) {
  FILE *calls = fopen("calls", "r");
  if (calls == NULL) return 1;
  char way[16];
  unsigned long number, a[5];
  while (fscanf(calls, "%15s %lu %lu %lu %lu %lu %lu", way, &number, &a[0], &a[1], &a[2], &a[3], &a[4]) == 7) {
    int ends[2];
    if (pipe(ends) != 0) return 1;
    const pid_t child = fork();
    if (child == 0) {
      alarm(10);
      const long result = strcmp(way, "int80") == 0 ? call_second(number, a)
                          : strcmp(way, "x32") == 0 ? call_native(number | X32_BIT, a)
                                                    : call_native(number, a);
      const int error = result < 0 && result > -4096 ? (int)-result : 0;
      _exit(write(ends[1], &error, sizeof error) == sizeof error ? 0 : 1);
    }
    close(ends[1]);
    int error = -1;
    if (read(ends[0], &error, sizeof error) != sizeof error) error = -1;
    close(ends[0]);
    waitpid(child, NULL, 0);
    printf("%d\n", error);
  }
  return 0;
}
