/* Every way to make a file setuid or setgid, by each way into the kernel. What counts is the file's mode afterwards. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "probe.h"

enum way { CHMOD, FCHMOD, FCHMODAT, FCHMODAT2, FCHMODAT2_EMPTY, OPEN, OPENAT, OPENAT2, CREAT, MKNOD, MKNODAT, TEMPORARY };

/* Call numbers by entry; x32's are those of x86_64. -1: the machine has no such call. */
#ifdef __x86_64__
static const long numbers[][2] = {{90, 15},   {91, 94},  {268, 306}, {452, 452}, {452, 452}, {2, 5},
                                  {257, 295}, {437, 437}, {85, 8},    {133, 14},  {259, 297}, {257, 295}};
#else
static const long numbers[][2] = {{-1, -1},         {SYS_fchmod, -1}, {SYS_fchmodat, -1}, {452, -1}, {452, -1}, {-1, -1},
                                  {SYS_openat, -1}, {437, -1},        {-1, -1},           {-1, -1},  {SYS_mknodat, -1}, {SYS_openat, -1}};
#endif

/* An argument holds all three: bits of the mode, way, entry; and bits above those that the kernel reads. */
#define HOW(mode, way, entry) ((mode) | (long)(way) << 16 | (long)(entry) << 24)
#define HIGH (1L << 32)
static const long high_bits = 0x7fff00000000L;

static long make_it(enum way way, enum entry entry, long mode, int *descriptor) {
  const long number = numbers[way][entry == ENTRY_32];
  const long name = (long)low_text("with-mode");
  switch (way) {
    case CHMOD: return enter(entry, number, (long)low_text(make_file("with-mode")), mode, 0, 0, 0);
    case FCHMOD: return enter(entry, number, open(make_file("with-mode"), O_RDWR), mode, 0, 0, 0);
    case FCHMODAT:
    case FCHMODAT2: return enter(entry, number, AT_FDCWD, (long)low_text(make_file("with-mode")), mode, 0, 0);
    case FCHMODAT2_EMPTY:
      return enter(entry, number, open(make_file("with-mode"), O_RDWR), (long)low_text(""), mode, AT_EMPTY_PATH, 0);
    case OPEN: return enter(entry, number, name, O_CREAT | O_WRONLY, mode, 0, 0);
    case OPENAT: return enter(entry, number, AT_FDCWD, name, O_CREAT | O_WRONLY, mode, 0);
    case OPENAT2: {
      unsigned long how[3] = {O_CREAT | O_WRONLY, (unsigned long)mode & 07777, 0};
      return enter(entry, number, AT_FDCWD, name, (long)low(how, sizeof how), sizeof how, 0);
    }
    case CREAT: return enter(entry, number, name, mode, 0, 0, 0);
    case MKNOD: return enter(entry, number, name, S_IFREG | mode, 0, 0, 0);
    case MKNODAT: return enter(entry, number, AT_FDCWD, name, S_IFREG | mode, 0, 0);
    case TEMPORARY: return *descriptor = (int)enter(entry, number, AT_FDCWD, (long)low_text("."), O_TMPFILE | O_RDWR, mode, 0);
  }
  broken("no such way");
}

static void set_mode(long how) {
  const enum way way = (enum way)(how >> 16 & 0xff);
  const enum entry entry = (enum entry)(how >> 24 & 0xff);
  const long bits = how & 07777;
  unlink("with-mode");
  int descriptor = -1;
  const long result = make_it(way, entry, bits | (how & HIGH ? high_bits : 0), &descriptor);
  const int error = errno;
  struct stat about;
  if ((descriptor >= 0 ? fstat(descriptor, &about) : stat("with-mode", &about)) == 0 && (about.st_mode & 06000) != 0)
    opened("%04o", about.st_mode & 07777);
  if (result >= 0) held("worked without the bit");
  errno = error;
  judge(-1);
}

static void set_mode_of_directory(long entry) {
  rmdir("with-mode.d");
  mkdir("with-mode.d", 0755);
  (void)enter(entry, numbers[FCHMODAT][entry == ENTRY_32], AT_FDCWD, (long)low_text("with-mode.d"), 02755, 0, 0);
  const int error = errno;
  struct stat about;
  if (stat("with-mode.d", &about) == 0 && (about.st_mode & 06000) != 0) opened("%04o", about.st_mode & 07777);
  held("%s", strerrorname_np(error));
}

static void set_mode_of_memory(long unused) {
  (void)unused;
  const int fd = memfd_create("probe", 0);
  const long result = fchmod(fd, 04777);
  struct stat about;
  fstat(fd, &about);
  if ((about.st_mode & 06000) != 0) opened("%04o", about.st_mode & 07777);
  judge(result == 0 ? (errno = EPERM, -1) : result);
}

static void set_mode_of_output(long unused) {
  (void)unused;
  const char *out = given("out");
  unlink(out);
  const int fd = open(out, O_CREAT | O_WRONLY, 0755);
  if (fd < 0) broken("cannot make $out");
  const long result = fchmod(fd, 06755);
  const int error = errno;
  struct stat about;
  fstat(fd, &about);
  unlink(out);
  if ((about.st_mode & 06000) != 0) opened("%04o", about.st_mode & 07777);
  held("%s", result == 0 ? "worked without the bits" : strerrorname_np(error));
}

#define WAYS(id, way)                                            \
  {"setuid/" id, set_mode, HOW(04755, way, ENTRY_64)},           \
  {"setuid/" id "-int80", set_mode, HOW(04755, way, ENTRY_32)},  \
  {"setuid/" id "-x32", set_mode, HOW(04755, way, ENTRY_X32)},   \
  {"setuid/" id "-high-bits", set_mode, HOW(04755, way, ENTRY_64) | HIGH}, \
  {"setgid/" id, set_mode, HOW(02755, way, ENTRY_64)},           \
  {"setgid/" id "-int80", set_mode, HOW(02755, way, ENTRY_32)}

const struct attempt mode_attempts[] = {
    WAYS("chmod", CHMOD),
    WAYS("fchmod", FCHMOD),
    WAYS("fchmodat", FCHMODAT),
    WAYS("fchmodat2", FCHMODAT2),
    WAYS("fchmodat2-empty-path", FCHMODAT2_EMPTY),
    WAYS("open", OPEN),
    WAYS("openat", OPENAT),
    WAYS("openat2", OPENAT2),
    WAYS("creat", CREAT),
    WAYS("mknod", MKNOD),
    WAYS("mknodat", MKNODAT),
    WAYS("temporary-file", TEMPORARY),
    {"setgid/directory", set_mode_of_directory, ENTRY_64},
    {"setgid/directory-int80", set_mode_of_directory, ENTRY_32},
    {"setuid/memfd", set_mode_of_memory, 0},
    {"setuid/output", set_mode_of_output, 0},
    {NULL, NULL, 0},
};
