/* Runs the attempts of all areas, or of those named by arguments. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"

struct inheritance inherited;

static const int patience_seconds = 20;
static int verdict_fd;

static void note_inheritance(void) {
  inherited.pid = getpid();
  inherited.umask = umask(022);
  inherited.descriptor = -1;
  for (int fd = 3; fd < 4096 && inherited.descriptor < 0; fd++)
    if (fcntl(fd, F_GETFD) != -1) inherited.descriptor = fd;
  sigprocmask(SIG_SETMASK, NULL, &inherited.blocked);
  for (int number = 1; number < NSIG && inherited.ignored == 0; number++) {
    struct sigaction action;
    if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN) inherited.ignored = number;
  }
}

/* For the verdicts in report.c. */
void give_verdict(const char *line) {
  (void)!write(verdict_fd, line, strlen(line));
  _exit(0);
}

/* Reads one line; the attempt may have left processes that hold the pipe. */
static size_t read_line(int fd, char *line, size_t size) {
  size_t length = 0;
  struct pollfd wait = {fd, POLLIN, 0};
  while (length < size - 1 && poll(&wait, 1, patience_seconds * 1000) == 1) {
    ssize_t more = read(fd, line + length, size - 1 - length);
    if (more <= 0) break;
    length += (size_t)more;
    if (line[length - 1] == '\n') break;
  }
  line[length] = 0;
  return length;
}

static void make_attempt(const struct attempt *attempt, FILE *out) {
  int pipes[2];
  if (pipe(pipes) != 0) exit(3);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    close(pipes[0]);
    verdict_fd = pipes[1];
    attempt->run(attempt->argument);
    broken("it ended without a verdict");
  }
  close(pipes[1]);
  char line[4096];
  size_t length = read_line(pipes[0], line, sizeof line);
  close(pipes[0]);
  int status = 0;
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  while (waitpid(-1, NULL, WNOHANG) > 0) continue;
  if (length == 0)
    snprintf(line, sizeof line, "%s\tended by signal %d\n",
             WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? "held" : "broken", WTERMSIG(status));
  printf("%s\t%s", attempt->name, line);
  if (out != NULL) fprintf(out, "%s\t%s", attempt->name, line);
}

static int is_wanted(const char *name, int count, char **prefixes) {
  for (int i = 0; i < count; i++)
    if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) return 1;
  return count == 0;
}

int main(int count, char **arguments) {
  note_inheritance();
  static const struct attempt *const areas[] = {
      privilege_attempts, proc_attempts,   key_attempts,     kernel_attempts, mount_attempts, mode_attempts,
      attribute_attempts, socket_attempts, process_attempts, input_attempts,  host_attempts};
  const char *out = getenv("out");
  FILE *report = out == NULL ? NULL : fopen("report", "w");
  for (size_t area = 0; area < sizeof areas / sizeof *areas; area++)
    for (const struct attempt *attempt = areas[area]; attempt->name != NULL; attempt++)
      if (is_wanted(attempt->name, count - 1, arguments + 1)) make_attempt(attempt, report);
  fflush(stdout);
  if (report == NULL) return 0;
  fclose(report);
  /* Copied at last: attempts link and write to the output. */
  int from = open("report", O_RDONLY), to = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  char bytes[65536];
  for (ssize_t size; (size = read(from, bytes, sizeof bytes)) > 0;)
    if (write(to, bytes, (size_t)size) != size) return 4;
  return from < 0 || to < 0 ? 4 : 0;
}
