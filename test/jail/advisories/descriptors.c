/* What the builder was left with: each descriptor but 0 to 2 and what can be listed beside it, and a working directory
   that lies outside of the root. Prints nothing if there is nothing. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  for (int fd = 3; fd < 4096; fd++) {
    if (fcntl(fd, F_GETFD) < 0) continue;
    char link[32], target[256] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    (void)!readlink(link, target, sizeof target - 1);
    printf("descriptor %d: %s:", fd, target);
    const int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY);
    DIR *directory = parent < 0 ? 0 : fdopendir(parent);
    struct dirent *entry;
    while (directory != 0 && (entry = readdir(directory)) != 0) printf(" %s", entry->d_name);
    printf("\n");
  }
  char directory[4096] = "";
  if (getcwd(directory, sizeof directory) == 0 || directory[0] != '/') printf("works in %s\n", directory);
  return 0;
}
