/* What its user reaches at a path. usage: reach PATH...; prints one line for each thing that works:
   "lists PATH", "reads PATH: CONTENTS", "writes PATH", "makes PATH/intruder", "runs PATH as UID". */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void reach(const char *path);

static void reach_directory(const char *path) {
  char below[4096];
  snprintf(below, sizeof below, "%s/intruder", path);
  if (mkdir(below, 0700) == 0) {
    printf("makes %s\n", below);
    rmdir(below);
  }
  DIR *directory = opendir(path);
  if (directory == 0) return;
  printf("lists %s\n", path);
  struct dirent *entry;
  while ((entry = readdir(directory)) != 0) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
    reach(below);
  }
  closedir(directory);
}

static void reach(const char *path) {
  struct stat status;
  if (lstat(path, &status) != 0) return;
  if (S_ISDIR(status.st_mode)) return reach_directory(path);
  if (!S_ISREG(status.st_mode)) return;
  char contents[33] = "";
  int fd = open(path, O_RDONLY);
  if (fd >= 0 && read(fd, contents, sizeof contents - 1) >= 0) {
    contents[strcspn(contents, "\n\177")] = 0;
    printf("reads %s: %s\n", path, contents);
  }
  if (fd >= 0) close(fd);
  fd = open(path, O_WRONLY);
  if (fd >= 0) printf("writes %s\n", path);
  if (fd >= 0) close(fd);
  if ((status.st_mode & S_ISUID) == 0 || access(path, X_OK) != 0) return;
  fflush(stdout);
  if (fork() == 0) {
    execl(path, path, (char *)0);
    _exit(127);
  }
  wait(0);
}

int main(int count, char **arguments) {
  for (int index = 1; index < count; index++) reach(arguments[index]);
  return 0;
}
