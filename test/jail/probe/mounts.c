/* Mounts and namespaces: making, changing and entering them, and how those are set up that there are. */
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"

static void mount_memory(long entry) {
  mkdir("mount-point", 0755);
  judge_refused(enter(entry, entry == ENTRY_32 ? 21 : SYS_mount, (long)low_text("none"), (long)low_text("mount-point"),
                      (long)low_text("tmpfs"), 0, 0));
}
static void mount_proc(long unused) {
  (void)unused;
  mkdir("mount-point", 0755);
  judge_refused(mount("proc", "mount-point", "proc", 0, NULL));
}
static void remount(long unused) {
  (void)unused;
  judge_refused(mount("none", "/", NULL, MS_REMOUNT | MS_BIND, NULL));
}
static void bind(long unused) {
  (void)unused;
  judge_refused(mount(".", ".", NULL, MS_BIND, NULL));
}
static void unmount(long entry) {
  judge_refused(enter(entry, entry == ENTRY_32 ? 52 : SYS_umount2, (long)low_text("/proc"), MNT_DETACH, 0, 0, 0));
}
static void pivot(long unused) {
  (void)unused;
  judge_refused(syscall(SYS_pivot_root, ".", "."));
}
static void change_root(long unused) {
  (void)unused;
  judge_refused(chroot("."));
}
static void open_file_system(long entry) { judge_refused(enter(entry, 430, (long)low_text("tmpfs"), 0, 0, 0, 0)); }
static void pick_file_system(long unused) {
  (void)unused;
  judge_refused(syscall(433, AT_FDCWD, "/", 0));
}
static void configure_file_system(long unused) {
  (void)unused;
  judge_refused(syscall(431, -1, 6, NULL, NULL, 0));
}
static void mount_file_system(long unused) {
  (void)unused;
  judge_refused(syscall(432, -1, 0, 0));
}
static void clone_tree(long entry) { judge_refused(enter(entry, 428, AT_FDCWD, (long)low_text("/"), 1, 0, 0)); }
static void clone_tree_attributes(long unused) {
  (void)unused;
  unsigned long attributes[4] = {0};
  judge_refused(syscall(467, AT_FDCWD, "/", 1, attributes, sizeof attributes));
}
static void move_mount_here(long unused) {
  (void)unused;
  judge_refused(syscall(429, AT_FDCWD, "/proc", AT_FDCWD, ".", 0));
}
static void set_mount_attributes(long entry) {
  unsigned long attributes[4] = {0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0};
  judge_refused(enter(entry, 442, AT_FDCWD, (long)low_text("/"), 0, (long)low(attributes, sizeof attributes), sizeof attributes));
}

static void unshare_one(long flag) { judge_refused(syscall(SYS_unshare, flag)); }
static void unshare_32(long flag) { judge_refused(call32(310, flag, 0, 0, 0, 0)); }

static void nested_user(long unused) {
  (void)unused;
  if (unshare(CLONE_NEWUSER) != 0) judge(-1);
  if (unshare(CLONE_NEWNS) != 0) opened("made, without a mount namespace");
  mkdir("nested", 0755);
  if (mount("none", "nested", "tmpfs", 0, NULL) == 0) opened("made, and mounts in it");
  opened("made, and a mount namespace");
}

static void clone_one(long flag) {
  const long child = syscall(SYS_clone, flag | SIGCHLD, 0, 0, 0, 0);
  if (child == 0) _exit(0);
  judge_refused(child);
}
static void clone_32(long flag) {
  const long child = call32(120, flag | SIGCHLD, 0, 0, 0, 0);
  if (child == 0) _exit(0);
  judge_refused(child);
}
static void clone_by_structure(long flag) {
  struct clone_args arguments;
  memset(&arguments, 0, sizeof arguments);
  arguments.flags = (unsigned long)flag;
  arguments.exit_signal = SIGCHLD;
  const long child = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (child == 0) _exit(0);
  judge(child);
}
static void clone_by_structure_32(long flag) {
  struct clone_args arguments;
  memset(&arguments, 0, sizeof arguments);
  arguments.flags = (unsigned long)flag;
  arguments.exit_signal = SIGCHLD;
  const long child = call32(435, (long)low(&arguments, sizeof arguments), sizeof arguments, 0, 0, 0);
  if (child == 0) _exit(0);
  judge(child);
}

static void enter_namespace(long which) {
  static const char *const names[] = {"user", "mnt", "net", "pid"};
  char path[64];
  snprintf(path, sizeof path, "/proc/1/ns/%s", names[which]);
  judge_refused(setns(open(path, O_RDONLY), 0));
}

/* The numbers of the machine's first namespaces, from include/linux/proc_ns.h; others differ from boot to boot, so the
   test also gives those of a process outside: "user:[1] mnt:[2] …". */
static void own_namespace(long which) {
  static const char *const names[] = {"user", "mnt", "net", "pid", "ipc", "uts", "cgroup"};
  static const char *const firsts[] = {"4026531837", "", "", "4026531836", "4026531839", "4026531838", "4026531835"};
  char path[64], mine[64] = "";
  snprintf(path, sizeof path, "/proc/self/ns/%s", names[which]);
  if (readlink(path, mine, sizeof mine - 1) < 0) broken("no %s", path);
  if ((*firsts[which] && strstr(mine, firsts[which])) || strstr(given("PROBE_NAMESPACES"), mine))
    opened("that of the host: %s", mine);
  held("%s", mine);
}

/* Looks at each line of mountinfo: number, parent, device, root, place, options, … */
static void each_mount(void (*look)(const char *root, const char *place, const char *options, const char *line)) {
  char *text = strdup(read_text("/proc/self/mountinfo")), *rest = text;
  if (*text == 0) broken("no mountinfo");
  for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
    char root[1024], place[1024], options[256];
    if (sscanf(line, "%*d %*d %*s %1023s %1023s %255s", root, place, options) == 3) look(root, place, options, line);
  }
  held("all");
}
static int is_below(const char *path, const char *top) {
  const size_t length = strlen(top);
  return strncmp(path, top, length) == 0 && (path[length] == 0 || path[length] == '/');
}
static void want_no_setuid(const char *root, const char *place, const char *options, const char *line) {
  (void)root;
  const int is_device = is_below(place, "/dev") && strcmp(place, "/dev") != 0 && strstr(line, "devtmpfs") != NULL;
  if (strstr(options, "nosuid") == NULL && !is_device) opened("%s: %s", place, options);
}
static void want_no_devices(const char *root, const char *place, const char *options, const char *line) {
  (void)root, (void)line;
  if (strstr(options, "nodev") == NULL && !is_below(place, "/dev")) opened("%s: %s", place, options);
}
static void want_private(const char *root, const char *place, const char *options, const char *line) {
  (void)root, (void)options;
  if (strstr(line, " shared:") || strstr(line, " master:") || strstr(line, " propagate_from:")) opened("%s", place);
}
static void want_no_host_path(const char *root, const char *place, const char *options, const char *line) {
  (void)options, (void)line;
  /* Names of device nodes, and of files that are made for the jail. */
  static const char *const plain[] = {"/",    "/null", "/zero",   "/full",  "/random", "/urandom",
                                      "/tty", "/ptmx", "/passwd", "/group", "/hosts",  "/resolv.conf",
                                      "/empty-file", "/empty-directory"};
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
    if (strcmp(root, plain[i]) == 0) return;
  if (strcmp(root, "/sys") == 0 && strcmp(place, "/proc/sys") == 0) return; /* of procfs itself, made read-only */
  /* The physical places of store, staging and builds, with colons between. */
  char *places = strdup(given("PROBE_PLACES"));
  for (char *allowed; (allowed = strsep(&places, ":")) != NULL;)
    if (*allowed && is_below(root, allowed)) return;
  opened("%s at %s", root, place);
}
static void look_at_mounts(long which) {
  static void (*const looks[])(const char *, const char *, const char *, const char *) = {want_no_setuid, want_no_devices,
                                                                                         want_private, want_no_host_path};
  each_mount(looks[which]);
}

const struct attempt mount_attempts[] = {
    {"mounts/mount", mount_memory, ENTRY_64},
    {"mounts/mount-int80", mount_memory, ENTRY_32},
    {"mounts/mount-proc", mount_proc, 0},
    {"mounts/remount", remount, 0},
    {"mounts/bind", bind, 0},
    {"mounts/umount", unmount, ENTRY_64},
    {"mounts/umount-int80", unmount, ENTRY_32},
    {"mounts/pivot_root", pivot, 0},
    {"mounts/chroot", change_root, 0},
    {"mounts/fsopen", open_file_system, ENTRY_64},
    {"mounts/fsopen-int80", open_file_system, ENTRY_32},
    {"mounts/fsopen-x32", open_file_system, ENTRY_X32},
    {"mounts/fspick", pick_file_system, 0},
    {"mounts/fsconfig", configure_file_system, 0},
    {"mounts/fsmount", mount_file_system, 0},
    {"mounts/open_tree", clone_tree, ENTRY_64},
    {"mounts/open_tree-int80", clone_tree, ENTRY_32},
    {"mounts/open_tree_attr", clone_tree_attributes, 0},
    {"mounts/move_mount", move_mount_here, 0},
    {"mounts/mount_setattr", set_mount_attributes, ENTRY_64},
    {"mounts/mount_setattr-int80", set_mount_attributes, ENTRY_32},
    {"mounts/nosuid", look_at_mounts, 0},
    {"mounts/nodev", look_at_mounts, 1},
    {"mounts/private", look_at_mounts, 2},
    {"mounts/host-paths", look_at_mounts, 3},
    {"namespaces/nested-user", nested_user, 0},
    {"namespaces/unshare-user", unshare_one, CLONE_NEWUSER},
    {"namespaces/unshare-mount", unshare_one, CLONE_NEWNS},
    {"namespaces/unshare-net", unshare_one, CLONE_NEWNET},
    {"namespaces/unshare-pid", unshare_one, CLONE_NEWPID},
    {"namespaces/unshare-ipc", unshare_one, CLONE_NEWIPC},
    {"namespaces/unshare-uts", unshare_one, CLONE_NEWUTS},
    {"namespaces/unshare-cgroup", unshare_one, CLONE_NEWCGROUP},
    {"namespaces/unshare-time", unshare_one, CLONE_NEWTIME},
    {"namespaces/unshare-user-and-more", unshare_one, CLONE_NEWUSER | CLONE_FS | CLONE_SYSVSEM},
    {"namespaces/unshare-user-high-bits", unshare_one, 0x100000000L | CLONE_NEWUSER},
    {"namespaces/unshare-user-int80", unshare_32, CLONE_NEWUSER},
    {"namespaces/clone-user", clone_one, CLONE_NEWUSER},
    {"namespaces/clone-user-high-bits", clone_one, 0x100000000L | CLONE_NEWUSER},
    {"namespaces/clone-net", clone_one, CLONE_NEWNET},
    {"namespaces/clone-user-int80", clone_32, CLONE_NEWUSER},
    {"namespaces/clone3", clone_by_structure, 0},
    {"namespaces/clone3-user", clone_by_structure, CLONE_NEWUSER},
    {"namespaces/clone3-user-int80", clone_by_structure_32, CLONE_NEWUSER},
    {"namespaces/setns-user", enter_namespace, 0},
    {"namespaces/setns-mount", enter_namespace, 1},
    {"namespaces/setns-net", enter_namespace, 2},
    {"namespaces/setns-pid", enter_namespace, 3},
    {"namespaces/own-user", own_namespace, 0},
    {"namespaces/own-mount", own_namespace, 1},
    {"namespaces/own-net", own_namespace, 2},
    {"namespaces/own-pid", own_namespace, 3},
    {"namespaces/own-ipc", own_namespace, 4},
    {"namespaces/own-uts", own_namespace, 5},
    {"namespaces/own-cgroup", own_namespace, 6},
    {NULL, NULL, 0},
};
