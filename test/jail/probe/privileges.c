/* What a builder is and could become. */
#include <fcntl.h>
#include <grp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.h"

static void capability_set(long index) {
  static const char *const names[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
  const char *value = status_line(names[index]);
  if (*value == 0) broken("no %s in /proc/self/status", names[index]);
  if (strspn(value, "0") == strlen(value)) held("empty");
  opened("%s", value);
}

static void no_new_privileges(long unused) {
  (void)unused;
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) held("set");
  opened("not set");
}

static void seccomp_mode(long unused) {
  (void)unused;
  if (strcmp(status_line("Seccomp"), "2") == 0) held("filtered");
  opened("mode %s", status_line("Seccomp"));
}

static void secure_bits(long unused) {
  (void)unused;
  const int bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
  const int wanted = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED;
  if (bits >= 0 && (bits & wanted) == wanted) held("0x%x", bits);
  opened("0x%x", bits);
}

static void keep_capabilities(long unused) {
  (void)unused;
  const int kept = prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0);
  if (kept == 0) held("off");
  opened("%d", kept);
}

static void dumpable(long unused) {
  (void)unused;
  const int value = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
  if (value == 1) held("as its user");
  opened("%d", value);
}

static void is_root(long unused) {
  (void)unused;
  uid_t real, effective, saved;
  gid_t real_gid, effective_gid, saved_gid;
  getresuid(&real, &effective, &saved);
  getresgid(&real_gid, &effective_gid, &saved_gid);
  if (real && effective && saved && real_gid && effective_gid && saved_gid) held("%u:%u", real, real_gid);
  opened("%u %u %u:%u %u %u", real, effective, saved, real_gid, effective_gid, saved_gid);
}

static void groups(long unused) {
  (void)unused;
  gid_t list[64];
  const int count = getgroups(64, list);
  for (int i = 0; i < count; i++)
    if (list[i] != getgid()) opened("group %u", list[i]);
  held("%d", count);
}

static void creation_mask(long unused) {
  (void)unused;
  if (inherited.umask == 022) held("022");
  opened("%03o", inherited.umask);
}

static void descriptors(long unused) {
  (void)unused;
  if (inherited.descriptor < 0) held("0 to 2");
  char path[64], target[256] = "";
  snprintf(path, sizeof path, "/proc/self/fd/%d", inherited.descriptor);
  (void)!readlink(path, target, sizeof target - 1);
  opened("%d is %s", inherited.descriptor, target);
}

/* A standard descriptor that leads to a directory or a file of the host could be climbed from. */
static void standard_descriptors(long unused) {
  (void)unused;
  for (int fd = 0; fd < 3; fd++) {
    const int up = openat(fd, "..", O_RDONLY | O_DIRECTORY);
    if (up >= 0) opened("%d is a directory", fd);
  }
  held("none is a directory");
}

static void signal_mask(long unused) {
  (void)unused;
  for (int number = 1; number < NSIG; number++)
    if (sigismember(&inherited.blocked, number) == 1) opened("%d is blocked", number);
  held("empty");
}

static void signal_dispositions(long unused) {
  (void)unused;
  if (inherited.ignored == 0) held("default");
  opened("%d is ignored", inherited.ignored);
}

static void set_user(long id) { judge(setresuid((uid_t)id, (uid_t)id, (uid_t)id)); }
static void set_group(long id) { judge(setresgid((gid_t)id, (gid_t)id, (gid_t)id)); }
static void set_user_32(long id) { judge(call32(208, id, id, id, 0, 0)); }

static void set_groups(long unused) {
  (void)unused;
  gid_t none[] = {0};
  judge(setgroups(1, none));
}

static void file_system_user(long unused) {
  (void)unused;
  syscall(SYS_setfsuid, 0);
  if (syscall(SYS_setfsuid, -1) == 0) opened("0");
  held("unchanged");
}

static void core_dumps(long unused) {
  (void)unused;
  struct rlimit limit;
  getrlimit(RLIMIT_CORE, &limit);
  if (limit.rlim_cur == 0) held("off");
  opened("%lu bytes", (unsigned long)limit.rlim_cur);
}

static void raise_limit(long resource) {
  struct rlimit limit;
  getrlimit((__rlimit_resource_t)resource, &limit);
  if (limit.rlim_max == RLIM_INFINITY) held("there is none to raise");
  limit.rlim_max++;
  judge(setrlimit((__rlimit_resource_t)resource, &limit));
}

static void real_time(long unused) {
  (void)unused;
  struct sched_param parameters = {.sched_priority = 1};
  judge(sched_setscheduler(0, SCHED_FIFO, &parameters));
}

static void negative_nice(long unused) {
  (void)unused;
  judge(setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) - 1));
}

static void real_time_io(long unused) {
  (void)unused;
  judge(syscall(SYS_ioprio_set, 1, 0, 1 << 13));
}

static void out_of_memory_score(long unused) {
  (void)unused;
  const int fd = open("/proc/self/oom_score_adj", O_WRONLY);
  judge(fd < 0 ? -1 : write(fd, "-500", 4));
}

static void terminal(long unused) {
  (void)unused;
  judge(open("/dev/tty", O_RDWR));
}

static void odd_personality(long unused) {
  (void)unused;
  const int bits = personality(0xffffffff);
  const int usual = ADDR_NO_RANDOMIZE | PER_LINUX32;
  if (bits >= 0 && (bits & ~usual) == 0) held("0x%x", bits);
  opened("0x%x", bits);
}

static void set_personality(long bits) { judge(syscall(SYS_personality, bits)); }
static void set_personality_32(long bits) { judge(call32(136, bits, 0, 0, 0, 0)); }

static void exchange_program(long unused) {
  (void)unused;
  const int fd = open("/proc/self/exe", O_RDONLY);
  judge_refused(prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, fd, 0, 0));
}

const struct attempt privilege_attempts[] = {
    {"privileges/inheritable-set", capability_set, 0},
    {"privileges/permitted-set", capability_set, 1},
    {"privileges/effective-set", capability_set, 2},
    {"privileges/bounding-set", capability_set, 3},
    {"privileges/ambient-set", capability_set, 4},
    {"privileges/no-new-privs", no_new_privileges, 0},
    {"privileges/seccomp", seccomp_mode, 0},
    {"privileges/securebits", secure_bits, 0},
    {"privileges/keep-capabilities", keep_capabilities, 0},
    {"privileges/dumpable", dumpable, 0},
    {"privileges/root", is_root, 0},
    {"privileges/groups", groups, 0},
    {"privileges/umask", creation_mask, 0},
    {"privileges/descriptors", descriptors, 0},
    {"privileges/standard-descriptors", standard_descriptors, 0},
    {"privileges/signal-mask", signal_mask, 0},
    {"privileges/signal-dispositions", signal_dispositions, 0},
    {"privileges/setuid-0", set_user, 0},
    {"privileges/setuid-other", set_user, 1001},
    {"privileges/setuid-0-int80", set_user_32, 0},
    {"privileges/setgid-0", set_group, 0},
    {"privileges/setgid-other", set_group, 1001},
    {"privileges/setgroups", set_groups, 0},
    {"privileges/setfsuid", file_system_user, 0},
    {"privileges/core-dumps", core_dumps, 0},
    {"privileges/raise-nofile", raise_limit, RLIMIT_NOFILE},
    {"privileges/raise-memlock", raise_limit, RLIMIT_MEMLOCK},
    {"privileges/raise-msgqueue", raise_limit, RLIMIT_MSGQUEUE},
    {"privileges/real-time", real_time, 0},
    {"privileges/negative-nice", negative_nice, 0},
    {"privileges/real-time-io", real_time_io, 0},
    {"privileges/oom-score", out_of_memory_score, 0},
    {"privileges/terminal", terminal, 0},
    {"privileges/personality", odd_personality, 0},
    {"privileges/personality-page-zero", set_personality, MMAP_PAGE_ZERO},
    {"privileges/personality-read-implies-exec", set_personality, READ_IMPLIES_EXEC},
    {"privileges/personality-svr4", set_personality, PER_SVR4},
    {"privileges/personality-high-bits", set_personality, 0x100000000L | MMAP_PAGE_ZERO},
    {"privileges/personality-int80", set_personality_32, MMAP_PAGE_ZERO},
    {"privileges/exchange-program", exchange_program, 0},
    {NULL, NULL, 0},
};
