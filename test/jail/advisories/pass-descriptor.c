/* Hands a writable descriptor of an output on by an abstract socket, or takes one and writes to it for a while.
   usage: pass-descriptor send NAME FILE [EXIT-CODE]   makes FILE, holding "honest\n"
          pass-descriptor receive NAME                 says "listening", then "received" and "written" as far as it gets
          pass-descriptor execute NAME                 the same, but executes what it got, which prints its user's id */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void pause_for(long milliseconds) {
  struct timespec time = {milliseconds / 1000, (milliseconds % 1000) * 1000000};
  nanosleep(&time, 0);
}

static socklen_t abstract(struct sockaddr_un *address, const char *name) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  strncpy(address->sun_path + 1, name, sizeof address->sun_path - 2);
  return offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
}

union control {
  char space[CMSG_SPACE(sizeof(int))];
  struct cmsghdr align;
};

static int send_descriptor(const char *name, const char *file, int exit_code) {
  int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0755);
  if (fd < 0 || write(fd, "honest\n", 7) != 7) return 100;
  struct sockaddr_un address;
  const socklen_t size = abstract(&address, name);
  int socket_fd = socket(AF_UNIX, SOCK_STREAM, 0), connected = -1;
  for (int tries = 0; tries < 25 && connected < 0; tries++, pause_for(20))
    connected = connect(socket_fd, (struct sockaddr *)&address, size);
  if (connected < 0) {
    printf("not sent: %s\n", strerror(errno));
    return exit_code;
  }
  union control control = {0};
  struct iovec data = {"x", 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(head), &fd, sizeof fd);
  printf("%s\n", sendmsg(socket_fd, &message, 0) == 1 ? "sent" : "not sent");
  char ready;
  (void)!read(socket_fd, &ready, 1); /* until it has been taken */
  return exit_code;
}

static int receive_descriptor(const char *name) {
  struct sockaddr_un address;
  const socklen_t size = abstract(&address, name);
  int listening = socket(AF_UNIX, SOCK_STREAM, 0);
  if (listening < 0 || bind(listening, (struct sockaddr *)&address, size) != 0 || listen(listening, 1) != 0) return -1;
  printf("listening\n");
  fflush(stdout);
  struct pollfd waiting = {listening, POLLIN, 0};
  if (poll(&waiting, 1, 1500) != 1) return -1;
  int socket_fd = accept(listening, 0, 0);
  union control control;
  char byte;
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  if (recvmsg(socket_fd, &message, 0) != 1) return -1;
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  if (head == 0 || head->cmsg_type != SCM_RIGHTS) return -1;
  int fd;
  memcpy(&fd, CMSG_DATA(head), sizeof fd);
  printf("received\n");
  fflush(stdout);
  close(socket_fd);
  return fd;
}

int main(int count, char **arguments) {
  setvbuf(stdout, 0, _IONBF, 0);
  if (count >= 4 && strcmp(arguments[1], "send") == 0)
    return send_descriptor(arguments[2], arguments[3], count > 4 ? atoi(arguments[4]) : 0);
  if (count != 3) return 2;
  int fd = receive_descriptor(arguments[2]);
  if (fd < 0) return 0;
  if (strcmp(arguments[1], "execute") == 0) {
    char *none[] = {0};
    for (int tries = 0; tries < 25; tries++, pause_for(20)) /* while it is open for writing it cannot be executed */
      syscall(SYS_execveat, fd, "", (char *[]){"print-id", 0}, none, 0x1000 /* AT_EMPTY_PATH */);
    return 0;
  }
  int written = 0;
  for (int tries = 0; tries < 50; tries++, pause_for(20)) written |= pwrite(fd, "tamper\n", 7, 0) == 7;
  if (written) printf("written\n");
  return 0;
}
