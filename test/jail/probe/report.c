/* Verdicts, and the ways into the kernel. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "probe.h"

void give_verdict(const char *line) __attribute__((noreturn));

static void __attribute__((noreturn)) give(const char *verdict, const char *format, va_list arguments) {
  char detail[3000], line[4000];
  vsnprintf(detail, sizeof detail, format, arguments);
  for (char *at = detail; *at; at++)
    if (*at == '\n' || *at == '\t') *at = ' ';
  snprintf(line, sizeof line, "%s\t%s\n", verdict, detail);
  give_verdict(line);
}

#define DEFINE_VERDICT(name, word)      \
  void name(const char *format, ...) {  \
    va_list arguments;                  \
    va_start(arguments, format);        \
    give(word, format, arguments);      \
  }
DEFINE_VERDICT(held, "held")
DEFINE_VERDICT(opened, "open")
DEFINE_VERDICT(absent, "absent")
DEFINE_VERDICT(broken, "broken")

static const char *error_name(int error) {
  const char *name = strerrorname_np(error);
  return name == NULL ? "an unknown error" : name;
}

void judge(long result) {
  if (result >= 0) opened("worked");
  if (errno == ENOSYS) absent("ENOSYS");
  held("%s", error_name(errno));
}

void judge_refused(long result) {
  if (result < 0 && errno != ENOSYS && errno != EPERM && errno != EACCES && errno != ENOTSUP)
    opened("reached: %s", error_name(errno));
  judge(result);
}

long call32(long number, long a, long b, long c, long d, long e) {
#ifdef __x86_64__
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                   : "memory", "r8", "r9", "r10", "r11");
  const int value = (int)result;
  if (value < 0 && value > -4096) {
    errno = -value;
    return -1;
  }
  return (unsigned)value;
#else
  (void)number, (void)a, (void)b, (void)c, (void)d, (void)e;
  errno = ENOSYS;
  return -1;
#endif
}

long call_x32(long number, long a, long b, long c, long d, long e) {
#ifdef __x86_64__
  return syscall(number | 0x40000000, a, b, c, d, e);
#else
  (void)number, (void)a, (void)b, (void)c, (void)d, (void)e;
  errno = ENOSYS;
  return -1;
#endif
}

long enter(enum entry entry, long number, long a, long b, long c, long d, long e) {
  if (number < 0) {
    errno = ENOSYS;
    return -1;
  }
  if (entry == ENTRY_32) return call32(number, a, b, c, d, e);
  if (entry == ENTRY_X32) return call_x32(number, a, b, c, d, e);
  return syscall(number, a, b, c, d, e);
}

void *low(const void *bytes, size_t size) {
#ifndef MAP_32BIT
#define MAP_32BIT 0
#endif
  void *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (copy == MAP_FAILED) broken("no memory below 4 GiB: %s", error_name(errno));
  memcpy(copy, bytes, size);
  return copy;
}

char *low_text(const char *text) { return low(text, strlen(text) + 1); }

const char *given(const char *name) {
  const char *value = getenv(name);
  if (value == NULL) broken("the environment lacks %s", name);
  return value;
}

const char *read_text(const char *path) {
  static char text[1 << 20];
  size_t length = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    for (ssize_t more; length < sizeof text - 1 && (more = read(fd, text + length, sizeof text - 1 - length)) > 0;)
      length += (size_t)more;
    close(fd);
  }
  text[length] = 0;
  return text;
}

const char *status_line(const char *name) {
  static char value[256];
  char start[64];
  snprintf(start, sizeof start, "\n%s:\t", name);
  const char *line = strstr(read_text("/proc/self/status"), start);
  value[0] = 0;
  if (line != NULL) sscanf(line + strlen(start), "%255[^\n]", value);
  return value;
}

const char *make_file(const char *name) {
  int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0 || write(fd, "probe\n", 6) != 6) broken("cannot make %s: %s", name, error_name(errno));
  close(fd);
  return name;
}
