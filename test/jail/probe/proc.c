/* What /proc tells and lets one change. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "probe.h"

static const char *const secrets[] = {
    "keys",         "key-users",     "kcore", "kmsg", "timer_list", "timer_stats", "sched_debug",
    "latency_stats", "scsi",         "acpi",  "firmware", "asound", "sysrq-trigger", "kpagecount",
    "kpageflags",   "kpagecgroup",   "vmallocinfo", "slabinfo",
};

/* Held if it is not there, cannot be opened, or is covered by what is not procfs. */
static void masked(long index) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%s", secrets[index]);
  struct stat about;
  if (stat(path, &about) != 0) absent("%s", strerrorname_np(errno));
  int fd = open(path, O_RDONLY | O_NONBLOCK);
  if (fd < 0) fd = open(path, O_WRONLY | O_NONBLOCK);
  if (fd < 0) held("%s", strerrorname_np(errno));
  struct statfs system;
  fstatfs(fd, &system);
  if (system.f_type != PROC_SUPER_MAGIC) held("covered");
  opened("can be opened");
}

static void kernel_addresses(long unused) {
  (void)unused;
  const char *text = read_text("/proc/kallsyms");
  if (*text == 0) held("not readable");
  for (const char *line = text; *line && strchr(line, '\n'); line = strchr(line, '\n') + 1)
    if (strtoull(line, NULL, 16) != 0) opened("%.60s", line);
  held("all are zero");
}

static char writable[2000];

static void find_writable(const char *directory, int depth) {
  DIR *opened_directory = opendir(directory);
  if (opened_directory == NULL) return;
  for (struct dirent *entry; (entry = readdir(opened_directory)) != NULL;) {
    char path[512];
    const char *name = entry->d_name;
    if (*name == '.' || snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) continue;
    struct stat about;
    if (lstat(path, &about) != 0 || S_ISLNK(about.st_mode)) continue;
    if (S_ISDIR(about.st_mode)) {
      /* A process's own files are its own; /proc/sys has an attempt of its own. */
      if (depth == 0 && (strspn(name, "0123456789") == strlen(name) || strcmp(name, "sys") == 0)) continue;
      if (depth < 12) find_writable(path, depth + 1);
    } else if (S_ISREG(about.st_mode)) {
      const int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
      if (fd < 0) continue;
      close(fd);
      if (strlen(writable) + strlen(path) + 2 < sizeof writable) strcat(strcat(writable, " "), path);
    }
  }
  closedir(opened_directory);
}

static void write_sys(long unused) {
  (void)unused;
  find_writable("/proc/sys", 1);
  if (*writable == 0) held("nothing");
  opened("%s", writable);
}

static void write_elsewhere(long unused) {
  (void)unused;
  find_writable("/proc", 0);
  if (*writable == 0) held("nothing");
  opened("%s", writable);
}

static void sys_read_only(long unused) {
  (void)unused;
  struct statvfs about;
  if (statvfs("/proc/sys", &about) != 0) held("%s", strerrorname_np(errno));
  if (about.f_flag & ST_RDONLY) held("read-only");
  opened("read-write");
}

static void root_of_first(long unused) {
  (void)unused;
  struct stat theirs, ours;
  if (stat("/proc/1/root/", &theirs) != 0) held("%s", strerrorname_np(errno));
  stat("/", &ours);
  if (theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev) held("the jail's own");
  opened("another root");
}

static void write_map(long which) {
  static const char *const names[] = {"uid_map", "gid_map", "setgroups", "timens_offsets"};
  char path[64];
  snprintf(path, sizeof path, "/proc/self/%s", names[which]);
  const int fd = open(path, O_WRONLY);
  const char *text = which == 2 ? "allow" : which == 3 ? "monotonic 1 0\n" : "0 0 1\n";
  judge(fd < 0 ? -1 : write(fd, text, strlen(text)));
}

static void system_files(long unused) {
  (void)unused;
  struct statfs about;
  if (statfs("/sys", &about) != 0 || access("/sys/kernel", F_OK) != 0) held("not there");
  opened("a file system of type 0x%lx", (unsigned long)about.f_type);
}

static void other_processes(long unused) {
  (void)unused;
  DIR *directory = opendir("/proc");
  if (directory == NULL) broken("no /proc");
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    int pid = atoi(entry->d_name);
    /* Up to the probe itself, or to what nobody in here has made. */
    while (pid > 0 && pid != inherited.pid) {
      char path[64];
      snprintf(path, sizeof path, "/proc/%d/stat", pid);
      const char *text = read_text(path), *rest = strrchr(text, ')');
      int parent = 0;
      if (rest == NULL || sscanf(rest, ") %*c %d", &parent) != 1) break; /* it has ended */
      if (parent == 0) opened("process %s: %.40s", entry->d_name, text);
      pid = parent;
    }
  }
  held("none but its own");
}

const struct attempt proc_attempts[] = {
    {"proc/keys", masked, 0},
    {"proc/key-users", masked, 1},
    {"proc/kcore", masked, 2},
    {"proc/kmsg", masked, 3},
    {"proc/timer_list", masked, 4},
    {"proc/timer_stats", masked, 5},
    {"proc/sched_debug", masked, 6},
    {"proc/latency_stats", masked, 7},
    {"proc/scsi", masked, 8},
    {"proc/acpi", masked, 9},
    {"proc/firmware", masked, 10},
    {"proc/asound", masked, 11},
    {"proc/sysrq-trigger", masked, 12},
    {"proc/kpagecount", masked, 13},
    {"proc/kpageflags", masked, 14},
    {"proc/kpagecgroup", masked, 15},
    {"proc/vmallocinfo", masked, 16},
    {"proc/slabinfo", masked, 17},
    {"proc/kernel-addresses", kernel_addresses, 0},
    {"proc/sys-write", write_sys, 0},
    {"proc/sys-read-only", sys_read_only, 0},
    {"proc/write-elsewhere", write_elsewhere, 0},
    {"proc/root-of-process-1", root_of_first, 0},
    {"proc/uid-map", write_map, 0},
    {"proc/gid-map", write_map, 1},
    {"proc/setgroups", write_map, 2},
    {"proc/time-offsets", write_map, 3},
    {"proc/other-processes", other_processes, 0},
    {"proc/sys-file-system", system_files, 0},
    {NULL, NULL, 0},
};
