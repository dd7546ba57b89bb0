/* A builder that tries to get out. Each attempt runs in a process of its own, which ends with one verdict:
     held     the jail (or the kernel) refused it
     open     it worked, or reached code of the kernel that a builder has no business in
     absent   neither this kernel nor this jail has the thing: whoever judges compares with a run outside of any jail
     broken   the attempt could not be made; never right
   Lines on standard output, and in the file $out where that is set: area/name TAB verdict TAB detail. */
#ifndef PROBE_H
#define PROBE_H

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/types.h>

struct attempt {
  const char *name; /* area/name */
  void (*run)(long argument);
  long argument;
};

/* Each area's attempts, ended by one without a name. */
extern const struct attempt privilege_attempts[], proc_attempts[], key_attempts[], kernel_attempts[], mount_attempts[],
    mode_attempts[], attribute_attempts[], socket_attempts[], process_attempts[], input_attempts[], host_attempts[];

/* What the process was started with, noted before anything else. */
struct inheritance {
  pid_t pid;
  mode_t umask;
  int descriptor; /* the first one past 2 that is open, or -1 */
  sigset_t blocked;
  int ignored; /* the first signal that is ignored, or 0 */
};
extern struct inheritance inherited;

/* Verdicts. They end the attempt. */
#define VERDICT __attribute__((noreturn, format(printf, 1, 2)))
VERDICT void held(const char *format, ...);
VERDICT void opened(const char *format, ...);
VERDICT void absent(const char *format, ...);
VERDICT void broken(const char *format, ...);

/* Open if the call worked. */
__attribute__((noreturn)) void judge(long result);
/* Held only if it was refused as such: another error (bad address, no such key) shows that the kernel looked further. */
__attribute__((noreturn)) void judge_refused(long result);

/* Ways into the kernel. call32 is int 0x80 of i386, call_x32 the x32 table. -1 and errno; ENOSYS where there is none. */
enum entry { ENTRY_64, ENTRY_32, ENTRY_X32 };
long enter(enum entry entry, long number, long a, long b, long c, long d, long e);
long call32(long number, long a, long b, long c, long d, long e);
long call_x32(long number, long a, long b, long c, long d, long e);
/* A copy of some bytes below 4 GiB, where call32 can point to. */
void *low(const void *bytes, size_t size);
char *low_text(const char *text);

/* An environment variable that the test gives; broken without it. */
const char *given(const char *name);
/* The first bytes of a file as text, "" if it cannot be read. Static memory. */
const char *read_text(const char *path);
/* The value of a line "NAME:\tVALUE" of /proc/self/status, or "". Static memory. */
const char *status_line(const char *name);
/* Makes a file in the build directory with some contents, and gives its name. */
const char *make_file(const char *name);

#endif
