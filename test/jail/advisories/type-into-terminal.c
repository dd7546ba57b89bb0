/* Opens the terminal that controls it, and types a command into it. Says which of the two it could. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

int main(void) {
  const int terminal = open("/dev/tty", O_RDWR);
  if (terminal < 0) return 0;
  printf("opened the terminal\n");
  for (const char *text = "echo pwned\n"; *text != 0; text++)
    if (ioctl(terminal, TIOCSTI, text) != 0) return 0;
  printf("typed\n");
  return 0;
}
