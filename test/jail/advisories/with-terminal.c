/* Runs a program with a terminal of its own as its controlling one, and prints what somebody types into it meanwhile.
   usage: with-terminal PROGRAM [ARGUMENT]... */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

int main(int count, char **arguments) {
  const int outer = posix_openpt(O_RDWR | O_NOCTTY);
  if (count < 2 || outer < 0 || grantpt(outer) != 0 || unlockpt(outer) != 0) return 2;
  setsid();
  const int terminal = open(ptsname(outer), O_RDWR);
  if (terminal < 0 || ioctl(terminal, TIOCSCTTY, 0) != 0) return 3;
  struct termios settings;
  tcgetattr(terminal, &settings);
  cfmakeraw(&settings);
  tcsetattr(terminal, TCSANOW, &settings);
  const pid_t child = fork();
  if (child == 0) {
    execv(arguments[1], arguments + 1);
    _exit(127);
  }
  int status;
  waitpid(child, &status, 0);
  fcntl(terminal, F_SETFL, O_NONBLOCK);
  char typed[256];
  const ssize_t size = read(terminal, typed, sizeof typed);
  if (size > 0) printf("typed: %.*s\n", (int)size, typed);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 4;
}
