/* What of the host can be seen or changed otherwise: its name, its files, its devices, the jail's own frame. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sys/utsname.h>
#include <unistd.h>

#include "probe.h"

static void host_name(long unused) {
  (void)unused;
  struct utsname names;
  uname(&names);
  if (strcmp(names.nodename, "localhost") != 0) opened("%s", names.nodename);
  held("localhost");
}
static void domain_name(long unused) {
  (void)unused;
  struct utsname names;
  uname(&names);
  if (strcmp(names.domainname, "(none)") != 0) opened("%s", names.domainname);
  held("(none)");
}
static void set_host_name(long unused) {
  (void)unused;
  judge_refused(sethostname("other", 5));
}
static void set_domain_name(long unused) {
  (void)unused;
  judge_refused(setdomainname("other", 5));
}

static void control_group(long unused) {
  (void)unused;
  char *text = strdup(read_text("/proc/self/cgroup")), *rest = text;
  for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
    const char *path = strchr(line, ':') == NULL ? NULL : strchr(strchr(line, ':') + 1, ':');
    if (path != NULL && strcmp(path, ":/") != 0) opened("%s", line);
  }
  held("no path");
}

static void secret_file(long unused) {
  (void)unused;
  judge(open(given("PROBE_SECRET"), O_RDONLY));
}
static void above_root(long unused) {
  (void)unused;
  struct stat root, above;
  stat("/", &root);
  for (int i = 0; i < 32; i++)
    if (chdir("..") != 0) break;
  stat("..", &above);
  if (root.st_ino == above.st_ino && root.st_dev == above.st_dev) held("the root");
  opened("another directory");
}
static void host_directories(long unused) {
  (void)unused;
  static const char *const names[] = {"/home", "/root", "/var", "/run", "/boot", "/mnt", "/srv", "/sys", "/opt", "/media"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (access(names[i], F_OK) == 0) opened("%s", names[i]);
  held("none");
}

static void write_root(long which) {
  static const char *const names[] = {"/probe", "/etc/probe", "/etc/passwd", "/dev/probe", "/proc/probe"};
  judge(open(names[which], O_WRONLY | (which == 2 ? 0 : O_CREAT), 0644));
}
static void write_world(long unused) {
  (void)unused;
  judge(open(given("PROBE_WORLD"), O_WRONLY));
}
static void write_world_directory(long unused) {
  (void)unused;
  char path[512];
  snprintf(path, sizeof path, "%s.new", given("PROBE_WORLD"));
  judge(open(path, O_WRONLY | O_CREAT, 0644));
}

/* As the kernel takes it from old calls, good for small numbers. */
#define DEVICE(major, minor) ((major) << 8 | (minor))

/* Names in the store directory that are neither inputs nor ours; the test gives those with colons around each. */
static void undeclared(long unused) {
  (void)unused;
  char directory_name[512], wanted[600];
  snprintf(directory_name, sizeof directory_name, "%s", given("out"));
  *strrchr(directory_name, '/') = 0;
  DIR *directory = opendir(directory_name);
  if (directory == NULL) held("it cannot be listed");
  const char *out = strrchr(given("out"), '/') + 1;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    snprintf(wanted, sizeof wanted, ":%s:", entry->d_name);
    /* What lies beside an output while it is built is the peers' own. */
    if (*entry->d_name == '.' || strcmp(entry->d_name, out) == 0 || strstr(given("PROBE_NAMES"), wanted)) continue;
    opened("%s", entry->d_name);
  }
  held("inputs alone");
}

static void device_list(long unused) {
  (void)unused;
  static const char allowed[] = ":fd:full:null:ptmx:pts:random:shm:stderr:stdin:stdout:tty:urandom:zero:";
  DIR *directory = opendir("/dev");
  if (directory == NULL) held("no /dev");
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    char wanted[300];
    snprintf(wanted, sizeof wanted, ":%s:", entry->d_name);
    if (*entry->d_name != '.' && strstr(allowed, wanted) == NULL) opened("/dev/%s", entry->d_name);
  }
  held("the harmless ones");
}
static void make_device(long number) {
  unlink("device");
  const mode_t kind = number == (long)DEVICE(7, 0) ? S_IFBLK : S_IFCHR;
  judge(mknod("device", kind | 0666, (dev_t)number));
}
static void make_device_32(long number) {
  unlink("device");
  judge(call32(14, (long)low_text("device"), S_IFCHR | 0666, number, 0, 0));
}
static void change_device_mode(long unused) {
  (void)unused;
  judge(chmod("/dev/null", 0666));
}
static void change_device_times(long unused) {
  (void)unused;
  judge(utimensat(AT_FDCWD, "/dev/null", NULL, 0));
}
static void remove_device(long unused) {
  (void)unused;
  judge(unlink("/dev/null"));
}
static void read_terminals(long unused) {
  (void)unused;
  DIR *directory = opendir("/dev/pts");
  if (directory == NULL) held("no terminals");
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
    if (*entry->d_name != '.' && strcmp(entry->d_name, "ptmx") != 0) opened("/dev/pts/%s", entry->d_name);
  held("none");
}

const struct attempt host_attempts[] = {
    {"host/name", host_name, 0},
    {"host/domain", domain_name, 0},
    {"host/set-name", set_host_name, 0},
    {"host/set-domain", set_domain_name, 0},
    {"host/control-group", control_group, 0},
    {"host/secret-file", secret_file, 0},
    {"host/above-root", above_root, 0},
    {"host/directories", host_directories, 0},
    {"host/undeclared-paths", undeclared, 0},
    {"frame/write-root", write_root, 0},
    {"frame/write-etc", write_root, 1},
    {"frame/write-passwd", write_root, 2},
    {"frame/write-dev", write_root, 3},
    {"frame/write-proc", write_root, 4},
    {"frame/write-world", write_world, 0},
    {"frame/write-world-directory", write_world_directory, 0},
    {"devices/list", device_list, 0},
    {"devices/make-mem", make_device, DEVICE(1, 1)},
    {"devices/make-kmsg", make_device, DEVICE(1, 11)},
    {"devices/make-null", make_device, DEVICE(1, 3)},
    {"devices/make-loop", make_device, DEVICE(7, 0)},
    {"devices/make-null-int80", make_device_32, DEVICE(1, 3)},
    {"devices/chmod-null", change_device_mode, 0},
    {"devices/touch-null", change_device_times, 0},
    {"devices/remove-null", remove_device, 0},
    {"devices/terminals", read_terminals, 0},
    {NULL, NULL, 0},
};
