/* Sets extended attributes of a new file, one of them an access control list, or lists a file's.
   usage: attributes set FILE, attributes list FILE */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

int main(int count, char **arguments) {
  if (count != 3) return 2;
  if (strcmp(arguments[1], "set") == 0) {
    const int fd = open(arguments[2], O_WRONLY | O_CREAT, 0644);
    /* Version 2, then tag, permissions and id of the owner, of user 1000, of the group, the mask, and of others. */
    const struct {
      unsigned version;
      struct {
        unsigned short tag, permissions;
        unsigned id;
      } entries[5];
    } acl = {2, {{1, 6, -1}, {2, 5, 1000}, {4, 4, -1}, {16, 5, -1}, {32, 4, -1}}};
    fsetxattr(fd, "user.cloister", "x", 1, 0);
    setxattr(arguments[2], "system.posix_acl_access", &acl, sizeof acl, 0);
    return fd < 0;
  }
  char names[4096];
  const ssize_t size = llistxattr(arguments[2], names, sizeof names);
  for (const char *name = names; name < names + size; name += strlen(name) + 1) printf("%s\n", name);
  return 0;
}
