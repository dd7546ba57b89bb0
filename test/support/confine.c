/* Runs a command as a container or a hardened machine would. usage: confine no-user-namespaces|container COMMAND...
   no-user-namespaces: making a user namespace gives EPERM, as where AppArmor or a sysctl forbids it. container: so do all
   namespaces and mounts, and clone3 gives ENOSYS, as Docker's standard filter has it. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)
#define FAIL(error) RETURN(SECCOMP_RET_ERRNO | (error))
/* A call whose first argument has one of the flags. */
#define REFUSE_FLAGS(call, flags)                                                                          \
  LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3), LOAD(args[0]),                                \
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flags, 0, 1), FAIL(EPERM)
#define REFUSE(call, error) LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1), FAIL(error)

static struct sock_filter no_user_namespaces[] = {
    REFUSE_FLAGS(SYS_unshare, CLONE_NEWUSER),
    REFUSE_FLAGS(SYS_clone, CLONE_NEWUSER),
    RETURN(SECCOMP_RET_ALLOW),
};

static struct sock_filter container[] = {
    REFUSE(SYS_unshare, EPERM),
    REFUSE(SYS_setns, EPERM),
    REFUSE(SYS_mount, EPERM),
    REFUSE(SYS_clone3, ENOSYS),
    REFUSE_FLAGS(SYS_clone, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS),
    RETURN(SECCOMP_RET_ALLOW),
};

int main(int count, char **arguments) {
  if (count < 3) return 2;
  struct sock_fprog program = {sizeof container / sizeof *container, container};
  if (strcmp(arguments[1], "no-user-namespaces") == 0)
    program = (struct sock_fprog){sizeof no_user_namespaces / sizeof *no_user_namespaces, no_user_namespaces};
  /* Not no_new_privs where it is not needed: newuidmap has to become root. */
  if (geteuid() != 0) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return perror("seccomp"), 2;
  execvp(arguments[2], arguments + 2);
  return perror(arguments[2]), 2;
}
