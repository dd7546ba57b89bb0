/* An accomplice outside of any jail: it offers a builder whatever could be reached from inside, keeps the descriptors
   that it is sent, and writes to them when told to.
   usage: outside NAME SOCKET-PATH (NAME for abstract sockets, a queue and a shared file). It prints "ready PORT KEY", then
   answers each line of standard input ("write") with "CONNECTIONS DESCRIPTORS WRITTEN"; at its end it removes all. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct pollfd watched[256];
static int listening[256];
static int watched_count, connections, descriptors[256], descriptor_count;

static int watch(int fd, int is_listening) {
  if (fd < 0 || watched_count == 256) return -1;
  listening[watched_count] = is_listening;
  watched[watched_count++] = (struct pollfd){fd, POLLIN, 0};
  return fd;
}

static void offer_unix(int type, const char *path, int is_abstract) {
  struct sockaddr_un here = {.sun_family = AF_UNIX};
  memcpy(here.sun_path + is_abstract, path, strlen(path));
  const int fd = socket(AF_UNIX, type, 0);
  if (bind(fd, (struct sockaddr *)&here, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(path))) != 0)
    exit(2);
  if (type != SOCK_DGRAM && listen(fd, 16) != 0) exit(2);
  if (!is_abstract) chmod(path, 0666);
  watch(fd, type != SOCK_DGRAM);
}

static int offer_loopback(void) {
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof here;
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(fd, (struct sockaddr *)&here, size) != 0 || listen(fd, 16) != 0) exit(2);
  getsockname(fd, (struct sockaddr *)&here, &size);
  watch(fd, 1);
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = here.sin_port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  const int second = socket(AF_INET6, SOCK_STREAM, 0);
  if (bind(second, (struct sockaddr *)&six, sizeof six) == 0 && listen(second, 16) == 0) watch(second, 1);
  return ntohs(here.sin_port);
}

/* What is readable: a connection to accept, or a message that may carry descriptors. False once it has ended. */
static int take(int index) {
  const int fd = watched[index].fd;
  if (listening[index]) {
    connections++;
    watch(accept(fd, NULL, NULL), 0);
    return 1;
  }
  char bytes[64], control[CMSG_SPACE(16 * sizeof(int))];
  struct iovec data = {bytes, sizeof bytes};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  const ssize_t size = recvmsg(fd, &message, MSG_DONTWAIT);
  for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); size >= 0 && part != NULL; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_type != SCM_RIGHTS) continue;
    const int count = (int)((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < count && descriptor_count < 256; i++)
      memcpy(&descriptors[descriptor_count++], CMSG_DATA(part) + (size_t)i * sizeof(int), sizeof(int));
  }
  return size > 0;
}

static int write_to_all(void) {
  int written = 0;
  for (int i = 0; i < descriptor_count; i++)
    if (pwrite(descriptors[i], "changed", 7, 0) == 7) written++;
  return written;
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  char queue[256], datagram[256];
  snprintf(queue, sizeof queue, "/%s", arguments[1]);
  snprintf(datagram, sizeof datagram, "%s-datagram", arguments[1]);
  watch(0, 0);
  offer_unix(SOCK_STREAM, arguments[1], 1);
  offer_unix(SOCK_DGRAM, datagram, 1);
  offer_unix(SOCK_STREAM, arguments[2], 0);
  const int port = offer_loopback();
  const int key = (int)(getpid() | 0x43000000);
  const int segment = shmget(key, 4096, IPC_CREAT | 0666);
  const mqd_t messages = mq_open(queue, O_RDWR | O_CREAT, 0666, NULL);
  const int shared = shm_open(queue, O_RDWR | O_CREAT, 0666);
  printf("ready %d %d\n", port, key);
  fflush(stdout);
  for (int ends = 0; !ends && poll(watched, (nfds_t)watched_count, -1) >= 0;)
    for (int i = watched_count - 1; i >= 0; i--) {
      if (watched[i].revents == 0) continue;
      if (i == 0) {
        char line[64];
        if (read(0, line, sizeof line) <= 0) ends = 1;
        else printf("%d %d %d\n", connections, descriptor_count, write_to_all());
        fflush(stdout);
      } else if (!take(i)) {
        watched[i].fd = -1;
      }
    }
  if (segment >= 0) shmctl(segment, IPC_RMID, NULL);
  if (messages != (mqd_t)-1) mq_unlink(queue);
  if (shared >= 0) shm_unlink(queue);
  unlink(arguments[2]);
  return 0;
}
