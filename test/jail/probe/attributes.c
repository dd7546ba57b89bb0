/* Extended attributes and access control lists: capabilities of files, and permissions that a mode does not show. */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "probe.h"

enum name { USER, CAPABILITY, ACL, TRUSTED };

static const char *const names[] = {"user.probe", "security.capability", "system.posix_acl_access", "trusted.probe"};

/* CAP_SYS_ADMIN, effective and permitted; an ACL that lets uid 0 write. Both little-endian, as the kernel wants them. */
static const unsigned char capability[20] = {1, 0, 0, 2, 0, 0, 32};
static const unsigned char acl[] = {2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 6, 0, 0, 0, 0, 0,
                                    4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 6, 0, 255, 255, 255, 255,
                                    32, 0, 4, 0, 255, 255, 255, 255};

static const void *value_of(enum name name, size_t *size) {
  *size = name == CAPABILITY ? sizeof capability : name == ACL ? sizeof acl : 5;
  return name == CAPABILITY ? (const void *)capability : name == ACL ? (const void *)acl : "value";
}

static void set(long name) {
  size_t size;
  const void *value = value_of((enum name)name, &size);
  judge(setxattr(make_file("attributed"), names[name], value, size, 0));
}
static void set_by_descriptor(long name) {
  size_t size;
  const void *value = value_of((enum name)name, &size);
  judge(fsetxattr(open(make_file("attributed"), O_RDWR), names[name], value, size, 0));
}
static void set_link(long name) {
  size_t size;
  const void *value = value_of((enum name)name, &size);
  judge(lsetxattr(make_file("attributed"), names[name], value, size, 0));
}
static void set_32(long number) {
  const long place = number == 228 ? open(make_file("attributed"), O_RDWR) : (long)low_text(make_file("attributed"));
  judge(call32(number, place, (long)low_text(names[USER]), (long)low_text("value"), 5, 0));
}
static void set_x32(long unused) {
  (void)unused;
  judge(call_x32(SYS_setxattr, (long)make_file("attributed"), (long)names[USER], (long)"value", 5, 0));
}
static void set_at(long unused) {
  (void)unused;
  struct {
    unsigned long value;
    unsigned size, flags;
  } arguments = {(unsigned long)"value", 5, 0};
  judge(syscall(463, AT_FDCWD, make_file("attributed"), 0, names[USER], &arguments, sizeof arguments));
}

/* What is not there (ENODATA) was looked for. */
static void get(long name) {
  char value[64];
  judge_refused(getxattr(make_file("attributed"), names[name], value, sizeof value));
}
static void get_by_descriptor(long unused) {
  (void)unused;
  char value[64];
  judge_refused(fgetxattr(open(make_file("attributed"), O_RDWR), names[USER], value, sizeof value));
}
static void get_at(long unused) {
  (void)unused;
  char value[64];
  struct {
    unsigned long value;
    unsigned size, flags;
  } arguments = {(unsigned long)value, sizeof value, 0};
  judge_refused(syscall(464, AT_FDCWD, make_file("attributed"), 0, names[USER], &arguments, sizeof arguments));
}
static void list(long unused) {
  (void)unused;
  char value[256];
  judge_refused(listxattr(make_file("attributed"), value, sizeof value));
}
static void list_by_descriptor(long unused) {
  (void)unused;
  char value[256];
  judge_refused(flistxattr(open(make_file("attributed"), O_RDWR), value, sizeof value));
}
static void list_at(long unused) {
  (void)unused;
  char value[256];
  judge_refused(syscall(465, AT_FDCWD, make_file("attributed"), 0, value, sizeof value));
}
static void remove_one(long unused) {
  (void)unused;
  judge_refused(removexattr(make_file("attributed"), names[USER]));
}
static void remove_at(long unused) {
  (void)unused;
  judge_refused(syscall(466, AT_FDCWD, make_file("attributed"), 0, names[USER]));
}

static void make_immutable(long unused) {
  (void)unused;
  int flags = FS_IMMUTABLE_FL;
  judge(ioctl(open(make_file("attributed"), O_RDWR), FS_IOC_SETFLAGS, &flags));
}
static void set_project(long unused) {
  (void)unused;
  const int fd = open(make_file("attributed"), O_RDWR);
  struct fsxattr attributes;
  if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) != 0) held("%s", strerrorname_np(errno));
  attributes.fsx_projid++;
  judge(ioctl(fd, FS_IOC_FSSETXATTR, &attributes));
}

const struct attempt attribute_attempts[] = {
    {"attributes/setxattr-user", set, USER},
    {"attributes/setxattr-capability", set, CAPABILITY},
    {"attributes/setxattr-acl", set, ACL},
    {"attributes/setxattr-trusted", set, TRUSTED},
    {"attributes/fsetxattr-user", set_by_descriptor, USER},
    {"attributes/fsetxattr-acl", set_by_descriptor, ACL},
    {"attributes/lsetxattr-user", set_link, USER},
    {"attributes/setxattr-int80", set_32, 226},
    {"attributes/lsetxattr-int80", set_32, 227},
    {"attributes/fsetxattr-int80", set_32, 228},
    {"attributes/setxattr-x32", set_x32, 0},
    {"attributes/setxattrat", set_at, 0},
    {"attributes/getxattr-user", get, USER},
    {"attributes/getxattr-acl", get, ACL},
    {"attributes/fgetxattr", get_by_descriptor, 0},
    {"attributes/getxattrat", get_at, 0},
    {"attributes/listxattr", list, 0},
    {"attributes/flistxattr", list_by_descriptor, 0},
    {"attributes/listxattrat", list_at, 0},
    {"attributes/removexattr", remove_one, 0},
    {"attributes/removexattrat", remove_at, 0},
    {"attributes/immutable", make_immutable, 0},
    {"attributes/project", set_project, 0},
    {NULL, NULL, 0},
};
