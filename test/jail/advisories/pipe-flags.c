/* What can be changed of the pipe that is standard output. usage: pipe-flags change; pipe-flags show */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **arguments) {
  if (count != 2) return 2;
  if (strcmp(arguments[1], "change") == 0) {
    fcntl(1, F_SETFL, O_NONBLOCK | O_APPEND);
    fcntl(1, F_SETPIPE_SZ, 4096);
    return 0;
  }
  printf("%s of %d bytes\n", (fcntl(1, F_GETFL) & (O_NONBLOCK | O_APPEND)) == 0 ? "plain" : "changed",
         fcntl(1, F_GETPIPE_SZ));
  return 0;
}
