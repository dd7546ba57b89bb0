/* Parts of the kernel that no build needs: bpf, perf, io_uring, clocks, modules … Arguments are such that the call
   works, or gets as far as it can, where it is not refused. */
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/quota.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

static void load_bpf(long entry) {
  struct bpf_insn program[] = {{.code = 0xb7}, {.code = 0x95}}; /* r0 = 0; exit */
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attributes.insns = (unsigned long)low(program, sizeof program);
  attributes.insn_cnt = 2;
  attributes.license = (unsigned long)low_text("GPL");
  judge_refused(enter(entry, entry == ENTRY_32 ? 357 : SYS_bpf, BPF_PROG_LOAD,
                      (long)low(&attributes, sizeof attributes), sizeof attributes, 0, 0));
}

static void make_bpf_map(long unused) {
  (void)unused;
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.map_type = BPF_MAP_TYPE_ARRAY;
  attributes.key_size = attributes.value_size = 4;
  attributes.max_entries = 1;
  judge_refused(syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes));
}

static void open_perf(long entry) {
  struct perf_event_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.config = PERF_COUNT_SW_TASK_CLOCK;
  attributes.size = sizeof attributes;
  attributes.exclude_kernel = attributes.exclude_hv = 1;
  judge_refused(enter(entry, entry == ENTRY_32 ? 336 : SYS_perf_event_open, (long)low(&attributes, sizeof attributes), 0, -1, -1, 0));
}

static void make_userfault(long entry) {
  const long user_mode_only = 1;
  judge_refused(enter(entry, entry == ENTRY_32 ? 374 : SYS_userfaultfd, user_mode_only, 0, 0, 0, 0));
}

static void open_userfault_device(long unused) {
  (void)unused;
  judge(open("/dev/userfaultfd", O_RDWR));
}

static void setup_ring(long entry) {
  char parameters[120] = {0};
  judge_refused(enter(entry, 425, 4, (long)low(parameters, sizeof parameters), 0, 0, 0));
}
static void enter_ring(long unused) {
  (void)unused;
  judge_refused(syscall(426, -1, 1, 0, 0, NULL, 0));
}
static void register_ring(long unused) {
  (void)unused;
  judge_refused(syscall(427, -1, 0, NULL, 0));
}

static void load_kernel(long unused) {
  (void)unused;
  judge_refused(syscall(SYS_kexec_load, 0, 0, NULL, 0));
}
static void load_kernel_file(long unused) {
  (void)unused;
  judge_refused(syscall(SYS_kexec_file_load, -1, -1, 0, NULL, 0));
}
static void load_module(long unused) {
  (void)unused;
  judge_refused(syscall(SYS_init_module, "", 0, ""));
}
static void load_module_file(long unused) {
  (void)unused;
  judge_refused(syscall(SYS_finit_module, -1, "", 0));
}
static void unload_module(long unused) {
  (void)unused;
  judge_refused(syscall(SYS_delete_module, "probe", O_NONBLOCK));
}

static void sync_quota(long entry) {
  judge_refused(enter(entry, entry == ENTRY_32 ? 131 : SYS_quotactl, QCMD(Q_SYNC, USRQUOTA), 0, 0, 0, 0));
}
static void quota_by_descriptor(long unused) {
  (void)unused;
  char information[256];
  judge_refused(syscall(443, open(".", O_RDONLY), QCMD(Q_GETINFO, USRQUOTA), 0, information));
}

static void swap_on(long unused) {
  (void)unused;
  judge_refused(syscall(SYS_swapon, make_file("swap"), 0));
}
static void swap_off(long unused) {
  (void)unused;
  judge_refused(syscall(SYS_swapoff, "swap"));
}
static void account(long unused) {
  (void)unused;
  judge_refused(syscall(SYS_acct, make_file("account")));
}
/* Of the harmless kind: whether Ctrl-Alt-Del reboots at once. */
static void restart(long unused) {
  (void)unused;
  judge_refused(syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL));
}
static void hang_up(long unused) {
  (void)unused;
  judge_refused(syscall(SYS_vhangup));
}

static void set_time(long unused) {
  (void)unused;
  struct timeval now;
  gettimeofday(&now, NULL);
  judge_refused(syscall(SYS_settimeofday, &now, NULL));
}
static void set_time_32(long unused) {
  (void)unused;
  int now[2] = {(int)time(NULL), 0};
  judge_refused(call32(79, (long)low(now, sizeof now), 0, 0, 0, 0));
}
static void set_time_zone(long unused) {
  (void)unused;
  const struct timezone zone = {0, 0};
  judge_refused(syscall(SYS_settimeofday, NULL, &zone));
}
static void set_clock(long unused) {
  (void)unused;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  judge_refused(syscall(SYS_clock_settime, CLOCK_REALTIME, &now));
}
static void adjust_clock(long unused) {
  (void)unused;
  struct timex change = {.modes = ADJ_FREQUENCY};
  judge_refused(syscall(SYS_clock_adjtime, CLOCK_REALTIME, &change));
}
static void adjust_time(long unused) {
  (void)unused;
  struct timex change = {.modes = ADJ_FREQUENCY};
  judge_refused(syscall(SYS_adjtimex, &change));
}

static void read_log(long entry) {
  static char text[4096];
  judge_refused(enter(entry, entry == ENTRY_32 ? 103 : SYS_syslog, 3, (long)low(text, sizeof text), sizeof text, 0, 0));
}
static void log_size(long unused) {
  (void)unused;
  judge_refused(syscall(SYS_syslog, 10, NULL, 0));
}

static void open_by_handle(long unused) {
  (void)unused;
  struct {
    unsigned bytes;
    int type;
    unsigned char handle[128];
  } handle = {.bytes = 128};
  int mount_id;
  if (syscall(SYS_name_to_handle_at, AT_FDCWD, ".", &handle, &mount_id, 0) != 0) {
    memset(&handle, 0, sizeof handle);
    handle.bytes = 8;
    handle.type = 1;
  }
  judge_refused(syscall(SYS_open_by_handle_at, open(".", O_RDONLY), &handle, O_RDONLY));
}

static void open_by_structure(long entry) {
  unsigned long how[3] = {O_RDONLY, 0, 0};
  judge(enter(entry, 437, AT_FDCWD, (long)low_text("/"), (long)low(how, sizeof how), sizeof how, 0));
}

/* With nothing for arguments: what is not refused says that they are bad. */
static void call_with_nothing(long number) { judge_refused(syscall(number, 0, 0, 0, 0, 0, 0)); }

/* Calls that a newer kernel may have, and nobody has looked at. */
static void newer_calls(long entry) {
  for (long number = 480; number < 1200; number++)
    if (enter(entry, number, -1, -1, -1, -1, -1) >= 0 || errno != ENOSYS) opened("%ld: %s", number, strerrorname_np(errno));
  held("none");
}

#ifdef __x86_64__
static void port_access(long unused) {
  (void)unused;
  judge_refused(syscall(SYS_ioperm, 0x80, 1, 1));
}
static void port_level(long unused) {
  (void)unused;
  judge_refused(syscall(SYS_iopl, 3));
}
#endif

const struct attempt kernel_attempts[] = {
    {"kernel/bpf", load_bpf, ENTRY_64},
    {"kernel/bpf-int80", load_bpf, ENTRY_32},
    {"kernel/bpf-map", make_bpf_map, 0},
    {"kernel/perf_event_open", open_perf, ENTRY_64},
    {"kernel/perf_event_open-int80", open_perf, ENTRY_32},
    {"kernel/userfaultfd", make_userfault, ENTRY_64},
    {"kernel/userfaultfd-int80", make_userfault, ENTRY_32},
    {"kernel/userfaultfd-device", open_userfault_device, 0},
    {"kernel/io_uring_setup", setup_ring, ENTRY_64},
    {"kernel/io_uring_setup-int80", setup_ring, ENTRY_32},
    {"kernel/io_uring_setup-x32", setup_ring, ENTRY_X32},
    {"kernel/io_uring_enter", enter_ring, 0},
    {"kernel/io_uring_register", register_ring, 0},
    {"kernel/kexec_load", load_kernel, 0},
    {"kernel/kexec_file_load", load_kernel_file, 0},
    {"kernel/init_module", load_module, 0},
    {"kernel/finit_module", load_module_file, 0},
    {"kernel/delete_module", unload_module, 0},
    {"kernel/quotactl", sync_quota, ENTRY_64},
    {"kernel/quotactl-int80", sync_quota, ENTRY_32},
    {"kernel/quotactl_fd", quota_by_descriptor, 0},
    {"kernel/swapon", swap_on, 0},
    {"kernel/swapoff", swap_off, 0},
    {"kernel/acct", account, 0},
    {"kernel/reboot", restart, 0},
    {"kernel/vhangup", hang_up, 0},
    {"kernel/settimeofday", set_time, 0},
    {"kernel/settimeofday-int80", set_time_32, 0},
    {"kernel/settimeofday-zone", set_time_zone, 0},
    {"kernel/clock_settime", set_clock, 0},
    {"kernel/clock_adjtime", adjust_clock, 0},
    {"kernel/adjtimex", adjust_time, 0},
    {"kernel/syslog", read_log, ENTRY_64},
    {"kernel/syslog-int80", read_log, ENTRY_32},
    {"kernel/syslog-size", log_size, 0},
    {"kernel/open_by_handle_at", open_by_handle, 0},
    {"kernel/openat2", open_by_structure, ENTRY_64},
    {"kernel/openat2-int80", open_by_structure, ENTRY_32},
    {"kernel/openat2-x32", open_by_structure, ENTRY_X32},
    {"kernel/fanotify_init", call_with_nothing, SYS_fanotify_init},
    {"kernel/name_to_handle_at", call_with_nothing, SYS_name_to_handle_at},
    {"kernel/move_pages", call_with_nothing, SYS_move_pages},
    {"kernel/migrate_pages", call_with_nothing, SYS_migrate_pages},
    {"kernel/memfd_secret", call_with_nothing, 447},
    {"kernel/statmount", call_with_nothing, 457},
    {"kernel/listmount", call_with_nothing, 458},
    {"kernel/lsm_list_modules", call_with_nothing, 461},
    {"kernel/file_setattr", call_with_nothing, 469},
    {"kernel/newer-calls", newer_calls, ENTRY_64},
    {"kernel/newer-calls-int80", newer_calls, ENTRY_32},
    {"kernel/newer-calls-x32", newer_calls, ENTRY_X32},
#ifdef __x86_64__
    {"kernel/modify_ldt", call_with_nothing, SYS_modify_ldt},
    {"kernel/uselib", call_with_nothing, SYS_uselib},
    {"kernel/ustat", call_with_nothing, SYS_ustat},
    {"kernel/sysfs", call_with_nothing, SYS_sysfs},
    {"kernel/ioperm", port_access, 0},
    {"kernel/iopl", port_level, 0},
#endif
    {NULL, NULL, 0},
};
