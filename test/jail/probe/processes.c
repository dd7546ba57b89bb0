/* Other processes: seeing, stopping, reading and changing them; what outlives or crosses a jail in shared memory. */
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"

/* The process of the test, by its number outside, and all numbers up to a bound: none may be one that we did not make. */
static void signal_outside(long unused) {
  (void)unused;
  const int pid = atoi(given("PROBE_PID"));
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
  /* A process of ours may have that number in here; the accomplice has its name on its command line. */
  const char *program = read_text(path);
  if (strcmp(program + strlen(program) + 1, given("PROBE_ABSTRACT")) == 0) opened("%d is seen", pid);
  if (kill(pid, 0) != 0 && errno == EPERM) opened("%d is somebody else's", pid);
  held("not seen");
}

static void trace_outside(long unused) {
  (void)unused;
  judge(ptrace(PTRACE_SEIZE, atoi(given("PROBE_PID")), NULL, NULL));
}
static void read_outside(long unused) {
  (void)unused;
  char byte;
  struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
  judge(process_vm_readv(atoi(given("PROBE_PID")), &here, 1, &there, 1, 0));
}
static void open_outside(long unused) {
  (void)unused;
  judge(syscall(SYS_pidfd_open, atoi(given("PROBE_PID")), 0));
}

/* Whoever made the jail has no number in it: 0. */
static void trace_parent(long unused) {
  (void)unused;
  char text[64];
  snprintf(text, sizeof text, "/proc/%d/stat", inherited.pid);
  int parent = -1;
  const char *rest = strrchr(read_text(text), ')');
  if (rest == NULL || sscanf(rest, ") %*c %d", &parent) != 1) broken("no parent in %s", text);
  if (parent == 0) held("it has no number here");
  judge(ptrace(PTRACE_SEIZE, parent, NULL, NULL));
}

static void scan_numbers(long unused) {
  (void)unused;
  for (int pid = 2; pid < 65536; pid++) {
    if (kill(pid, 0) != 0 && errno == ESRCH) continue;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    const char *rest = strrchr(read_text(path), ')');
    int group = 0, session = 0, parent = 0;
    /* Ours are the probe's session; attempts that made their own are still children of the probe's. */
    if (rest == NULL || sscanf(rest, ") %*c %d %d %d", &parent, &group, &session) != 3) continue;
    if (session != getsid(0) && parent == 0) opened("%d", pid);
  }
  held("none");
}

static void first_is_ours(long unused) {
  (void)unused;
  if (inherited.pid == 1) held("the builder is process 1");
  opened("it is %d", inherited.pid);
}

static void shared_segment(long unused) {
  (void)unused;
  judge(shmget(atoi(given("PROBE_SHM")), 0, 0));
}
static void listed_segments(long unused) {
  (void)unused;
  struct shminfo information;
  const int last = shmctl(0, IPC_INFO, (struct shmid_ds *)&information);
  if (last <= 0 && strchr(read_text("/proc/sysvipc/shm"), '\n') == NULL) held("none");
  const char *second = strchr(read_text("/proc/sysvipc/shm"), '\n');
  if (second != NULL && second[1] != 0) opened("%.60s", second + 1);
  held("none");
}
static void message_queue(long unused) {
  (void)unused;
  judge(mq_open(given("PROBE_MQ"), O_RDONLY));
}
static void shared_file(long unused) {
  (void)unused;
  char path[256];
  snprintf(path, sizeof path, "/dev/shm/%s", given("PROBE_SHM_FILE"));
  judge(open(path, O_RDONLY));
}

static void other_priority(long unused) {
  (void)unused;
  judge(setpriority(PRIO_PROCESS, atoi(given("PROBE_PID")), 19));
}
static void other_limit(long unused) {
  (void)unused;
  struct rlimit limit;
  judge(prlimit(atoi(given("PROBE_PID")), RLIMIT_NOFILE, NULL, &limit));
}

/* A file in memory cannot be more than what runs it. */
static void run_from_memory(long unused) {
  (void)unused;
  const int from = open("/proc/self/exe", O_RDONLY), to = memfd_create("probe", 0);
  char bytes[65536];
  for (ssize_t size; (size = read(from, bytes, sizeof bytes)) > 0;)
    if (write(to, bytes, (size_t)size) != size) broken("no memory");
  fchmod(to, 06755);
  int pipes[2];
  if (pipe(pipes) != 0) broken("no pipe");
  const pid_t child = fork();
  if (child == 0) {
    dup2(pipes[1], 1);
    char *arguments[] = {"probe", "privileges/effective-set", "privileges/root", "privileges/no-new-privs", NULL};
    char *environment[] = {NULL};
    syscall(SYS_execveat, to, "", arguments, environment, AT_EMPTY_PATH);
    _exit(1);
  }
  close(pipes[1]);
  static char text[4096];
  size_t length = 0;
  for (ssize_t more; (more = read(pipes[0], text + length, sizeof text - 1 - length)) > 0;) length += (size_t)more;
  if (strstr(text, "\topen\t") != NULL) opened("%s", text);
  held("%s", length == 0 ? "not run" : "as privileged as before");
}

const struct attempt process_attempts[] = {
    {"processes/see-outside", signal_outside, 0},
    {"processes/ptrace-outside", trace_outside, 0},
    {"processes/process_vm_readv-outside", read_outside, 0},
    {"processes/pidfd_open-outside", open_outside, 0},
    {"processes/ptrace-parent", trace_parent, 0},
    {"processes/numbers", scan_numbers, 0},
    {"processes/first", first_is_ours, 0},
    {"processes/priority-outside", other_priority, 0},
    {"processes/prlimit-outside", other_limit, 0},
    {"processes/run-from-memory", run_from_memory, 0},
    {"memory/shared-segment", shared_segment, 0},
    {"memory/segments-listed", listed_segments, 0},
    {"memory/message-queue", message_queue, 0},
    {"memory/shared-file", shared_file, 0},
    {NULL, NULL, 0},
};
