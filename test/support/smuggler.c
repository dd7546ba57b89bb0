/* A builder that makes its output and tries to keep a hand on it: it sends descriptors to an accomplice by every socket
   that it can reach, makes hard links, and leaves a process that goes on writing.
   usage: smuggler ABSTRACT-NAME SOCKET-PATH [meet|fail]; needs $out. "meet": waits for another smuggler, or comes to one. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const char meeting_place[] = "cloister-smugglers-meet";
static const int meeting_milliseconds = 500;

static socklen_t fill(struct sockaddr_un *address, const char *name, int is_abstract) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path + is_abstract, name, strlen(name));
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static int send_descriptors(int to, const int *fds, size_t count) {
  char byte = 'x', control[CMSG_SPACE(8 * sizeof(int))] = {0};
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control};
  message.msg_controllen = CMSG_SPACE(count * sizeof(int));
  struct cmsghdr *part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(count * sizeof(int));
  memcpy(CMSG_DATA(part), fds, count * sizeof(int));
  return sendmsg(to, &message, MSG_NOSIGNAL) == 1;
}

static int smuggle(int type, const char *name, int is_abstract, const int *fds, size_t count) {
  struct sockaddr_un there;
  const socklen_t length = fill(&there, name, is_abstract);
  const int fd = socket(AF_UNIX, type, 0);
  return fd >= 0 && connect(fd, (struct sockaddr *)&there, length) == 0 && send_descriptors(fd, fds, count);
}

/* True if another build came, or was there. */
static int meet(const int *fds, size_t count) {
  struct sockaddr_un here;
  const socklen_t length = fill(&here, meeting_place, 1);
  if (smuggle(SOCK_STREAM, meeting_place, 1, fds, count)) return 1;
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&here, length) != 0 || listen(listener, 1) != 0) return 0;
  printf("waiting\n");
  fflush(stdout);
  struct pollfd wait = {listener, POLLIN, 0};
  return poll(&wait, 1, meeting_milliseconds) == 1;
}

/* For ever: each write differs from the one before. */
static void go_on_writing(int fd) {
  for (int number = 1; number < NSIG; number++) signal(number, SIG_IGN);
  prctl(PR_SET_PDEATHSIG, 0);
  setsid();
  if (fork() != 0) return;
  char *bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  for (unsigned count = 0;; count++) {
    char text[32];
    snprintf(text, sizeof text, "late %u", count);
    (void)!pwrite(fd, text, strlen(text), 0);
    if (bytes != MAP_FAILED) bytes[100] = (char)count;
    nanosleep(&(struct timespec){0, 100000}, NULL);
  }
}

int main(int count, char **arguments) {
  const char *out = getenv("out");
  if (count < 3 || out == NULL) return 2;
  const int fd = open(out, O_RDWR | O_CREAT, 0666);
  if (fd < 0 || ftruncate(fd, 4096) != 0) return 3;
  char directory[4096];
  snprintf(directory, sizeof directory, "%s", out);
  *strrchr(directory, '/') = 0;
  const int fds[] = {fd, open(directory, O_RDONLY | O_DIRECTORY), open(".", O_RDONLY | O_DIRECTORY), open(out, O_RDONLY)};

  char datagram[256], through[4096], beside[4200];
  snprintf(datagram, sizeof datagram, "%s-datagram", arguments[1]);
  snprintf(through, sizeof through, "/proc/1/root%s", arguments[2]);
  const int sent = smuggle(SOCK_STREAM, arguments[1], 1, fds, 4) + smuggle(SOCK_DGRAM, datagram, 1, fds, 4) +
                   smuggle(SOCK_STREAM, arguments[2], 0, fds, 4) + smuggle(SOCK_STREAM, through, 0, fds, 4);
  snprintf(beside, sizeof beside, "%s-beside", out);
  const int linked = (link(out, beside) == 0) + (link(out, "link") == 0) + (link(out, "/tmp/smuggled") == 0);
  printf("sent %d\nlinked %d\n", sent, linked);
  const char *how = count > 3 ? arguments[3] : "";
  if (strcmp(how, "meet") == 0) printf("met %d\n", meet(fds, 4));
  fflush(stdout);

  if (fork() == 0) {
    go_on_writing(fd);
    _exit(0);
  }
  nanosleep(&(struct timespec){0, 5000000}, NULL);
  chmod(out, 0644);
  return strcmp(how, "fail") == 0;
}
