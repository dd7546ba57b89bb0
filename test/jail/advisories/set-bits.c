/* Makes files in DIRECTORY and tries to make each one a program of its owner's for everyone, by every way that there is.
   usage: set-bits DIRECTORY; says which way did it, and "answers N" for a system call that is newer than those of
   Linux 6.9 (the last is mseal, 462) and of which the kernel says more than that there is none. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char file[4096]; /* below 4 GiB, for the 32-bit calls */

static void by_chmod(void) { chmod(file, 06755); }
static void by_fchmod(void) {
  const int fd = open(file, O_RDONLY);
  fchmod(fd, 06755);
  close(fd);
}
static void by_fchmodat(void) { syscall(SYS_fchmodat, AT_FDCWD, file, 06755); }
static void by_fchmodat2(void) { syscall(452, AT_FDCWD, file, 06755, 0); }
static void by_open(void) {
  unlink(file);
  close(open(file, O_WRONLY | O_CREAT, 06755));
}
static void by_mknod(void) {
  unlink(file);
  mknod(file, S_IFREG | 06755, 0);
}
#if defined(__x86_64__)
static void by_chmod_of_32_bits(void) {
  long result;
  asm volatile("int $0x80" : "=a"(result) : "a"(15), "b"(file), "c"(06755) : "memory");
}
static void by_chmod_of_x32(void) { syscall(0x40000000 + SYS_chmod, file, 06755); }
#endif

static const struct {
  const char *name;
  void (*run)(void);
} ways[] = {
    {"chmod", by_chmod},
    {"fchmod", by_fchmod},
    {"fchmodat", by_fchmodat},
    {"fchmodat2", by_fchmodat2},
    {"open", by_open},
    {"mknod", by_mknod},
#if defined(__x86_64__)
    {"chmod-32", by_chmod_of_32_bits},
    {"chmod-x32", by_chmod_of_x32},
#endif
};

int main(int count, char **arguments) {
  if (count != 2) return 2;
  mkdir(arguments[1], 0755);
  umask(0);
  for (unsigned index = 0; index < sizeof ways / sizeof *ways; index++) {
    snprintf(file, sizeof file, "%s/%s", arguments[1], ways[index].name);
    close(open(file, O_WRONLY | O_CREAT, 0755));
    if (fork() == 0) { /* it may be killed for what it tries */
      ways[index].run();
      _exit(0);
    }
    wait(0);
    struct stat status;
    if (stat(file, &status) == 0 && (status.st_mode & 06000) != 0) printf("setuid by %s\n", ways[index].name);
  }
  for (long number = 463; number < 1024; number++)
    if (syscall(number, -1L, 0L, 0L, 0L, 0L, 0L) >= 0 || (errno != ENOSYS && errno != EPERM && errno != ENOTSUP))
      printf("answers %ld\n", number);
  return 0;
}
