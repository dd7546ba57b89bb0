#include "linux/jail-plan.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <csignal>
#include <climits>
#include <cstring>

#include "core/defences.h"
#include "linux/syscall-filter.h"

namespace cloister {
namespace {

constexpr unsigned long kUmountDetach = 2;  // MNT_DETACH; its header does not go with linux/mount.h
constexpr unsigned long kQuiet = MS_NOSUID | MS_NODEV;

void AddIdentity(Plan& plan, JailIdentity inside) {
  // Not from id 0 of the jail's user namespace, which nobody is, so that the capabilities stay for the mounts to come.
  plan.Add("set-gid", nullptr, SYS_setresgid, inside.gid, inside.gid, inside.gid);
  plan.Add("set-uid", nullptr, SYS_setresuid, inside.uid, inside.uid, inside.uid);
  if (HasDefence(Defence::kNewSession)) plan.Add("new-session", nullptr, SYS_setsid);
  plan.Add("set-umask", nullptr, SYS_umask, 0);
}

void AddHostName(Plan& plan) {
  plan.Add("set-host-name", nullptr, SYS_sethostname, plan.Keep(kHostName), strlen(kHostName));
  plan.Add("set-domain-name", nullptr, SYS_setdomainname, plan.Keep("(none)"), strlen("(none)"));
}

void AddDirectory(Plan& plan, const char* path, unsigned long mode) {
  plan.Add("make-directory", path, SYS_mkdirat, AT_FDCWD, path, mode);
}

void AddFileSystem(Plan& plan, const char* type, const char* path, unsigned long flags, const char* options) {
  plan.Add("mount", path, SYS_mount, type, path, type, flags, options);
}

/// Covers what tells of the host and its other users; an ordinary process may read it. Without a privilege nobody can
/// write to /proc/sys either, but for the host's root, as whom a build runs in root's single strength.
void AddProcMasks(Plan& plan, const JailHost& host) {
  if (!HasDefence(Defence::kProcMasks)) return;
  for (const ProcMask& mask : host.proc_masks) {
    const char* source = plan.Keep(std::string(kMaskTemplate) + (mask.is_directory ? "/empty-directory" : "/empty-file"));
    const char* path = plan.Keep("/jail/proc/" + mask.name);
    plan.Add("mask", path, SYS_mount, source, path, nullptr, MS_BIND, nullptr);
  }
  constexpr char kSys[] = "/jail/proc/sys";
  const char* path = plan.Keep(kSys);
  plan.Add("bind", path, SYS_mount, path, path, nullptr, MS_BIND, nullptr);
  plan.Add("mount-read-only", path, SYS_mount, nullptr, path, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOEXEC | kQuiet,
           nullptr);
}

void AddRoot(Plan& plan, const JailHost& host) {
  AddFileSystem(plan, "tmpfs", kJailRoot, kQuiet, "mode=0755,size=4m");
  AddDirectory(plan, "/jail/proc", 0555);
  AddDirectory(plan, "/jail/dev", 0755);
  AddDirectory(plan, "/jail/tmp", 0755);
  // While the launcher's own /proc is still in sight: the kernel asks for one that hides nothing.
  if (HasDefence(Defence::kOwnPidNamespace)) {
    AddFileSystem(plan, "proc", "/jail/proc", kQuiet | MS_NOEXEC, nullptr);
  } else {
    plan.Add("bind-proc", "/jail/proc", SYS_mount, "/proc", "/jail/proc", nullptr, MS_BIND, nullptr);
  }
  AddProcMasks(plan, host);
  plan.Add("bind-devices", "/jail/dev", SYS_mount, kDeviceTemplate, "/jail/dev", nullptr, MS_BIND | MS_REC, nullptr);
  AddFileSystem(plan, "devpts", "/jail/dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620");
  AddFileSystem(plan, "tmpfs", "/jail/dev/shm", kQuiet, "mode=1777");
  AddFileSystem(plan, "tmpfs", "/jail/tmp", kQuiet, "mode=1777");

  plan.Add("enter-root", kJailRoot, SYS_chdir, kJailRoot);
  if (HasDefence(Defence::kOldRootLeft)) {
    plan.Add("pivot-root", kJailRoot, SYS_pivot_root, ".", ".");
    plan.Add("leave-old-root", "/", SYS_umount2, ".", kUmountDetach);
  } else {
    AddDirectory(plan, "old", 0755);
    plan.Add("pivot-root", kJailRoot, SYS_pivot_root, ".", "old");
  }
  plan.Add("enter-root", "/", SYS_chdir, "/");
}

void AddNoNewPrivileges(Plan& plan) {
  if (!HasDefence(Defence::kNoNewPrivileges)) return;
  plan.Add("no-new-privileges", nullptr, SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

void AddBounds(Plan& plan, const JailHost& host) {
  if (host.has_keyrings) plan.Add("new-keyring", nullptr, SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);
  plan.Add("clear-ambient", nullptr, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (!HasDefence(Defence::kBoundingSet)) return AddNoNewPrivileges(plan);
  for (int capability = 0; capability <= host.last_capability; ++capability)
    plan.Add("drop-bounding", nullptr, SYS_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0);
  constexpr unsigned long kSecureBits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                        SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                        SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  plan.Add("set-securebits", nullptr, SYS_prctl, PR_SET_SECUREBITS, kSecureBits, 0, 0, 0);
  AddNoNewPrivileges(plan);
}

void AddMove(Plan& plan, int mount_fd, const char* path) {
  plan.Add("move-mount", path, SYS_move_mount, mount_fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH);
}

/// Makes the directories of an absolute path, but those that `made` holds.
void AddDirectories(Plan& plan, std::string_view path, std::vector<std::string>& made) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string directory(path.substr(0, end));
    if (std::find(made.begin(), made.end(), directory) == made.end()) {
      AddDirectory(plan, plan.Keep(directory), 0755);
      made.push_back(directory);
    }
    if (end == std::string_view::npos) return;
  }
}

void AddRootEntry(Plan& plan, const JailEntry& entry) {
  const char* path = plan.Keep("/" + entry.name);
  switch (entry.kind) {
    case JailEntry::Kind::kSymlink:
      plan.Add("make-symlink", path, SYS_symlinkat, plan.Keep(entry.target), AT_FDCWD, path);
      return;
    case JailEntry::Kind::kDirectory:
      AddDirectory(plan, path, 0755);
      break;
    case JailEntry::Kind::kFile:
      plan.Add("make-file", path, SYS_mknodat, AT_FDCWD, path, S_IFREG | 0444, 0);
      break;
  }
  AddMove(plan, entry.mount_fd, path);
}

void AddEtc(Plan& plan, const JailMounts& mounts) {
  if (mounts.etc_is_mixed) {
    AddDirectory(plan, "/etc", 0755);
    for (const JailEntry& entry : mounts.etc) AddRootEntry(plan, entry);
    return;
  }
  for (const JailEntry& entry : mounts.etc) {
    if (mounts.etc_from_world) {
      AddMove(plan, entry.mount_fd, plan.Keep("/etc/" + entry.name));
    } else {
      AddRootEntry(plan, entry);
    }
  }
}

void AddLimit(Plan& plan, const JailLimit& limit) {
  const rlimit64 values{limit.soft, limit.hard};
  plan.Add("set-limit", nullptr, SYS_prlimit64, 0, limit.resource, plan.KeepArray(std::vector{values}), nullptr);
}

/// What a builder has when its spec says nothing: not whatever the daemon was started with.
void AddStandardLimits(Plan& plan, const JailHost& host) {
  AddLimit(plan, {RLIMIT_CORE, 0, 0});
  AddLimit(plan, {RLIMIT_NOFILE, std::min<uint64_t>(1024, host.most_descriptors), host.most_descriptors});
  AddLimit(plan, {RLIMIT_STACK, std::min<uint64_t>(8 << 20, host.most_stack_bytes), host.most_stack_bytes});
}

void AddExecution(Plan& plan, const JailSpec& spec) {
  for (const JailLimit& limit : spec.limits) AddLimit(plan, limit);
  if (spec.host_name != kHostName)
    plan.Add("set-host-name", nullptr, SYS_sethostname, plan.Keep(spec.host_name), spec.host_name.size());
  if (!spec.processors.empty())
    plan.Add("set-processors", nullptr, SYS_sched_setaffinity, 0, spec.processors.size() * sizeof(uint64_t),
             plan.KeepArray(std::vector(spec.processors)));
  plan.Add("set-umask", nullptr, SYS_umask, spec.umask);
  plan.Add("set-personality", nullptr, SYS_personality, spec.personality);
}

void AddDescriptors(Plan& plan, int log_fd, int first_private_fd) {
  // The table is the launcher's until here; a copy of its low end is enough.
  plan.Add("own-descriptors", nullptr, SYS_close_range, first_private_fd, ~0u, CLOSE_RANGE_UNSHARE);
  plan.Add("log-to-stdout", nullptr, SYS_dup3, log_fd, 1, 0);
  plan.Add("log-to-stderr", nullptr, SYS_dup3, log_fd, 2, 0);
  plan.Add("open-null", "/dev/null", SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC).to_slot = 0;
  plan.Add("null-to-stdin", "/dev/null", SYS_dup3, 0, 0, 0).from_slot = 1;
  if (HasDefence(Defence::kDescriptorsClosed)) {
    plan.Add("close-others", nullptr, SYS_close_range, 3, ~0u, 0);
  } else {
    for (int fd = 3; fd < first_private_fd; ++fd)  // close-on-exec is a second defence of the same name
      plan.Add("keep-descriptor", nullptr, SYS_fcntl, fd, F_SETFD, 0).least = LONG_MIN;
  }
}

/// After all that it refuses, and before the capabilities go, so that it depends on no other defence.
void AddFilter(Plan& plan, const SeccompSpec& seccomp) {
  if (!HasDefence(Defence::kSeccomp)) return;
  const sock_fprog filter = seccomp.is_standard() ? LastFilter() : WholeFilter(seccomp);
  plan.Add("filter-system-calls", nullptr, SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFilterFlags,
           plan.KeepArray(std::vector{filter}));
}

/// While the table of descriptors is still the launcher's, so that it finds the listener there.
void AddAskingFilter(Plan& plan, const SeccompSpec& seccomp, int ready_fd) {
  static_assert(kListenerSlot < kSlots);
  std::vector<sock_filter> program = AskingFilter(seccomp);
  const auto length = static_cast<unsigned short>(program.size());
  const sock_fprog filter{length, plan.KeepArray(std::move(program))};
  plan.Add("filter-system-calls", nullptr, SYS_seccomp, SECCOMP_SET_MODE_FILTER,
           kFilterFlags | SECCOMP_FILTER_FLAG_NEW_LISTENER, plan.KeepArray(std::vector{filter}))
      .to_slot = kListenerSlot;
  plan.Add("tell-of-listener", nullptr, SYS_write, ready_fd, plan.KeepArray(std::vector<uint64_t>{1}), sizeof(uint64_t));
}

void AddPrivileges(Plan& plan) {
  const __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
  plan.Add("drop-capabilities", nullptr, SYS_capset, plan.KeepArray(std::vector{head}),
           plan.KeepArray(std::vector<__user_cap_data_struct>(2)));
}

void AddExec(Plan& plan, const JailSpec& spec) {
  const auto pointers = [&plan](const std::vector<std::string>& texts) {
    std::vector<const char*> list;
    list.reserve(texts.size() + 1);
    for (const std::string& text : texts) list.push_back(plan.Keep(text));
    list.push_back(nullptr);
    return plan.KeepArray(std::move(list));
  };
  plan.Add("unblock-signals", nullptr, SYS_rt_sigprocmask, SIG_SETMASK, plan.KeepArray(std::vector<uint64_t>{0}), nullptr,
           sizeof(uint64_t));
  const char* builder = plan.Keep(spec.builder);
  plan.Add("exec", builder, SYS_execve, builder, pointers(spec.arguments), pointers(spec.environment));
}

}  // namespace

Plan MakePreparePlan(const JailHost& host, JailIdentity inside) {
  Plan plan;
  AddIdentity(plan, inside);
  AddHostName(plan);
  AddRoot(plan, host);
  AddStandardLimits(plan, host);
  AddBounds(plan, host);
  return plan;
}

Plan MakeFinishPlan(const JailSpec& spec, const JailMounts& mounts, int log_fd, int first_private_fd, int ready_fd) {
  Plan plan;
  std::vector<std::string> made{"/proc", "/dev", "/tmp"};
  AddDirectories(plan, spec.store_directory, made);
  AddDirectories(plan, spec.build_directory, made);
  for (const JailEntry& entry : mounts.world) AddRootEntry(plan, entry);
  AddEtc(plan, mounts);
  AddMove(plan, mounts.view_fd, plan.Keep(spec.store_directory));  // with all inputs
  AddMove(plan, mounts.build_directory_fd, plan.Keep(spec.build_directory));
  if (HasDefence(Defence::kReadOnlyRoot))
    plan.Add("root-read-only", "/", SYS_mount, nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kQuiet, nullptr);

  const char* build_directory = plan.Keep(spec.build_directory);
  plan.Add("enter-build-directory", build_directory, SYS_chdir, build_directory);
  AddExecution(plan, spec);
  const bool asks = spec.seccomp.log && HasDefence(Defence::kSeccomp);
  if (asks) AddAskingFilter(plan, spec.seccomp, ready_fd);
  AddDescriptors(plan, log_fd, first_private_fd);
  if (!asks) AddFilter(plan, spec.seccomp);
  AddPrivileges(plan);
  AddExec(plan, spec);
  return plan;
}

}  // namespace cloister
