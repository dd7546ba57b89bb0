/* Asks servers and says what they answer. usage: ask ASK..., where ASK is PROTOCOL,ADDRESS,PORT[,INTERFACE]: PROTOCOL is
   tcp or udp, or abstract with a name as its address. One line each: "ASK: the answer", or "ASK: ! what went wrong". With
   an INTERFACE the socket is bound to it, which goes round routes of its own namespace. Each ASK has PATIENCE (2) seconds. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static const char *converse(char *ask, char *answer, size_t size) {
  char *protocol = strsep(&ask, ","), *address = strsep(&ask, ","), *port = strsep(&ask, ","), *interface = ask;
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
  } to = {0};
  socklen_t length;
  if (strcmp(protocol, "abstract") == 0) {
    to.local.sun_family = AF_UNIX;
    strncpy(to.local.sun_path + 1, address, sizeof to.local.sun_path - 2);
    length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address));
  } else if (inet_pton(AF_INET, address, &to.v4.sin_addr) == 1) {
    to.v4.sin_family = AF_INET;
    to.v4.sin_port = htons((uint16_t)atoi(port));
    length = sizeof to.v4;
  } else if (inet_pton(AF_INET6, address, &to.v6.sin6_addr) == 1) {
    to.v6.sin6_family = AF_INET6;
    to.v6.sin6_port = htons((uint16_t)atoi(port));
    length = sizeof to.v6;
  } else {
    return "no address";
  }
  const int kind = strcmp(protocol, "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM;
  int fd = socket(to.any.sa_family, kind, 0);
  if (fd < 0) return strerror(errno);
  /* A network may lose a datagram: it is sent again each second, as TCP does by itself. */
  const int is_udp = kind == SOCK_DGRAM;
  const int seconds = getenv("PATIENCE") != 0 ? atoi(getenv("PATIENCE")) : 2;
  struct timeval patience = {is_udp ? 1 : seconds, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const char *wrong = 0;
  if (interface != 0 && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) != 0)
    wrong = strerror(errno);
  else if (connect(fd, &to.any, length) != 0 || send(fd, "ping", 4, MSG_NOSIGNAL) != 4)
    wrong = strerror(errno);
  else {
    ssize_t got = recv(fd, answer, size - 1, 0);
    for (int again = 0; is_udp && got < 0 && errno == EAGAIN && again < seconds - 1; ++again) {
      if (send(fd, "ping", 4, MSG_NOSIGNAL) != 4) break;
      got = recv(fd, answer, size - 1, 0);
    }
    if (got < 0) wrong = strerror(errno);
    else answer[got] = 0;
  }
  close(fd);
  return wrong;
}

int main(int count, char **arguments) {
  for (int index = 1; index < count; ++index) {
    char answer[256] = "";
    printf("%s: ", arguments[index]);
    const char *wrong = converse(strdup(arguments[index]), answer, sizeof answer);
    printf(wrong != 0 ? "! %s\n" : "%s\n", wrong != 0 ? wrong : answer);
    fflush(stdout);
  }
  return 0;
}
