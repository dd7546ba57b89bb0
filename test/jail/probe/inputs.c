/* Changing an input, or putting something else in its place. PROBE_INPUT is the path of a directory with a file `file`
   that anyone may write, by its mode. */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <utime.h>
#include <unistd.h>

#include "probe.h"

static const char *input(const char *inside) {
  static char paths[4][512];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s%s", given("PROBE_INPUT"), inside);
  return path;
}

static const char *output(void) {
  const char *out = given("out");
  unlink(out);
  return out;
}

static void write_file(long unused) {
  (void)unused;
  judge(open(input("/file"), O_WRONLY));
}
static void write_through(long which) {
  static const char *const ways[] = {"/proc/self/root", "/proc/1/root", "/proc/self/cwd/../../../../..", "/proc/thread-self/root"};
  char path[1024];
  snprintf(path, sizeof path, "%s%s", ways[which], input("/file"));
  judge(open(path, O_RDWR));
}
static void write_through_descriptor(long flags) {
  const int fd = open(input("/file"), (int)flags);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  judge(fd < 0 ? -1 : open(path, O_RDWR));
}
static void write_program(long unused) {
  (void)unused;
  judge(open("/proc/self/exe", O_WRONLY));
}
static void write_program_of_first(long unused) {
  (void)unused;
  judge(open("/proc/1/exe", O_WRONLY));
}
static void truncate_file(long unused) {
  (void)unused;
  judge(truncate(input("/file"), 0));
}
static void change_mode(long unused) {
  (void)unused;
  judge(chmod(input("/file"), 0777));
}
static void change_mode_by_descriptor(long unused) {
  (void)unused;
  judge(fchmod(open(input("/file"), O_RDONLY), 0777));
}
static void change_mode_by_place(long unused) {
  (void)unused;
  judge(syscall(452, open(input("/file"), O_PATH), "", 0777, AT_EMPTY_PATH));
}
static void change_mode_of_top(long unused) {
  (void)unused;
  judge(chmod(input(""), 0777));
}
static void change_owner(long unused) {
  (void)unused;
  judge(chown(input("/file"), getuid(), getgid()));
}
static void change_times(long unused) {
  (void)unused;
  judge(utime(input("/file"), NULL));
}
static void remove_file(long unused) {
  (void)unused;
  judge(unlink(input("/file")));
}
static void add_file(long unused) {
  (void)unused;
  judge(open(input("/new"), O_CREAT | O_WRONLY, 0644));
}
static void rename_file(long unused) {
  (void)unused;
  judge(rename(input("/file"), input("/renamed")));
}
static void remove_top(long unused) {
  (void)unused;
  judge(rmdir(input("")));
}
static void rename_top(long unused) {
  (void)unused;
  char other[600];
  snprintf(other, sizeof other, "%s-away", input(""));
  if (rename(input(""), other) != 0) judge(-1);
  rename(other, input(""));
  opened("renamed");
}
/* A directory of one's own in its place, at once or by exchange. */
static void replace_top(long flags) {
  char own[600];
  snprintf(own, sizeof own, "%s-own", input(""));
  if (mkdir(own, 0755) != 0) held("no place for one: %s", strerrorname_np(errno));
  const long result = syscall(SYS_renameat2, AT_FDCWD, own, AT_FDCWD, input(""), flags);
  const int error = errno;
  rmdir(own);
  if (result == 0) opened("replaced");
  held("%s", strerrorname_np(error));
}
static void link_file(long unused) {
  (void)unused;
  const long result = link(input("/file"), output());
  const int error = errno;
  unlink(given("out"));
  errno = error;
  judge(result);
}
static void link_by_descriptor(long unused) {
  (void)unused;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", open(input("/file"), O_RDONLY));
  const long result = linkat(AT_FDCWD, path, AT_FDCWD, output(), AT_SYMLINK_FOLLOW);
  const int error = errno;
  unlink(given("out"));
  errno = error;
  judge(result);
}
static void link_empty_path(long unused) {
  (void)unused;
  const long result = linkat(open(input("/file"), O_RDONLY), "", AT_FDCWD, output(), AT_EMPTY_PATH);
  const int error = errno;
  unlink(given("out"));
  errno = error;
  judge(result);
}
static void map_shared(long unused) {
  (void)unused;
  void *bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(input("/file"), O_RDONLY), 0);
  judge(bytes == MAP_FAILED ? -1 : 0);
}
static void map_then_protect(long unused) {
  (void)unused;
  void *bytes = mmap(NULL, 4096, PROT_READ, MAP_SHARED, open(input("/file"), O_RDONLY), 0);
  judge(bytes == MAP_FAILED ? -1 : mprotect(bytes, 4096, PROT_READ | PROT_WRITE));
}
static void clone_onto(long unused) {
  (void)unused;
  judge(ioctl(open(input("/file"), O_RDONLY), FICLONE, open(make_file("clone"), O_RDWR)));
}
static void make_hole(long unused) {
  (void)unused;
  judge(fallocate(open(input("/file"), O_RDONLY), 0, 0, 8192));
}
static void list_flags(long unused) {
  (void)unused;
  int flags = FS_NODUMP_FL;
  judge(ioctl(open(input("/file"), O_RDONLY), FS_IOC_SETFLAGS, &flags));
}
/* Whoever holds one can keep others waiting who open the file to write. */
static void take_lease(long unused) {
  (void)unused;
  judge(fcntl(open(input("/file"), O_RDONLY), F_SETLEASE, F_RDLCK));
}
static void mount_over(long unused) {
  (void)unused;
  judge(syscall(SYS_mount, ".", input(""), NULL, 4096 /* MS_BIND */, NULL));
}

/* Through a private mapping and /proc/self/mem: the kernel must copy the page, whoever writes. */
static void write_behind(long unused) {
  (void)unused;
  const int fd = open(input("/file"), O_RDONLY), memory = open("/proc/self/mem", O_RDWR);
  char before = 0, after = 0;
  if (fd < 0 || pread(fd, &before, 1, 0) != 1) broken("cannot read the input");
  char *bytes = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  const char other = (char)(before + 1);
  (void)!pwrite(memory, &other, 1, (off_t)bytes);
  if (pread(fd, &after, 1, 0) != 1 || after != before) opened("changed");
  held("a copy was written");
}

/* By splice and vmsplice into what the file's pages were lent to ("dirty pipe"). */
static void write_lent_page(long unused) {
  (void)unused;
  const int fd = open(input("/file"), O_RDONLY);
  int pipes[2];
  char before = 0, after = 0, filler[4096] = {0};
  if (fd < 0 || pread(fd, &before, 1, 0) != 1 || pipe(pipes) != 0) broken("cannot read the input");
  for (int i = 0; i < 16; i++)
    if (write(pipes[1], filler, sizeof filler) < 0 || read(pipes[0], filler, sizeof filler) < 0) broken("no pipe");
  loff_t at = 0;
  if (splice(fd, &at, pipes[1], NULL, 1, 0) != 1) held("%s", strerrorname_np(errno));
  (void)!write(pipes[1], "XYZ", 3);
  char second_before = 0, second_after = 0;
  (void)!pread(fd, &second_before, 1, 1);
  if (pread(fd, &after, 1, 0) != 1 || after != before) opened("changed");
  (void)!pread(fd, &second_after, 1, 1);
  if (second_after == 'X') opened("changed");
  held("unchanged");
}

const struct attempt input_attempts[] = {
    {"inputs/write", write_file, 0},
    {"inputs/write-by-root", write_through, 0},
    {"inputs/write-by-root-of-1", write_through, 1},
    {"inputs/write-by-cwd", write_through, 2},
    {"inputs/write-by-root-of-thread", write_through, 3},
    {"inputs/write-by-descriptor", write_through_descriptor, O_RDONLY},
    {"inputs/write-by-place", write_through_descriptor, O_PATH},
    {"inputs/write-program", write_program, 0},
    {"inputs/write-program-of-1", write_program_of_first, 0},
    {"inputs/truncate", truncate_file, 0},
    {"inputs/chmod", change_mode, 0},
    {"inputs/fchmod", change_mode_by_descriptor, 0},
    {"inputs/fchmodat2-by-place", change_mode_by_place, 0},
    {"inputs/chmod-top", change_mode_of_top, 0},
    {"inputs/chown", change_owner, 0},
    {"inputs/utime", change_times, 0},
    {"inputs/unlink", remove_file, 0},
    {"inputs/add", add_file, 0},
    {"inputs/rename", rename_file, 0},
    {"inputs/remove-top", remove_top, 0},
    {"inputs/rename-top", rename_top, 0},
    {"inputs/replace-top", replace_top, 0},
    {"inputs/exchange-top", replace_top, 2 /* RENAME_EXCHANGE */},
    {"inputs/link-to-output", link_file, 0},
    {"inputs/link-by-descriptor", link_by_descriptor, 0},
    {"inputs/link-empty-path", link_empty_path, 0},
    {"inputs/map-shared", map_shared, 0},
    {"inputs/map-then-protect", map_then_protect, 0},
    {"inputs/clone-onto", clone_onto, 0},
    {"inputs/allocate", make_hole, 0},
    {"inputs/flags", list_flags, 0},
    {"inputs/lease", take_lease, 0},
    {"inputs/mount-over", mount_over, 0},
    {"inputs/dirty-copy", write_behind, 0},
    {"inputs/dirty-pipe", write_lent_page, 0},
    {NULL, NULL, 0},
};
