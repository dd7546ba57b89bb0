/* The kernel's keyrings, which outlive a process and are found by who has the same uid. Judged as in kernel.c. */
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.h"

static const long session_keyring = -3, user_keyring = -4;

static void add_key(long entry) {
  judge_refused(enter(entry, entry == ENTRY_32 ? 286 : SYS_add_key, (long)low_text("user"), (long)low_text("probe"),
                      (long)low_text("secret"), 6, -2));
}

static void request_key(long entry) {
  judge_refused(enter(entry, entry == ENTRY_32 ? 287 : SYS_request_key, (long)low_text("user"), (long)low_text("none"), 0, 0, 0));
}

static void join_session(long entry) { judge_refused(enter(entry, entry == ENTRY_32 ? 288 : SYS_keyctl, 1, 0, 0, 0, 0)); }
static void find_session(long unused) {
  (void)unused;
  judge_refused(syscall(SYS_keyctl, 0, session_keyring, 0));
}
static void read_user_keys(long unused) {
  (void)unused;
  char keys[64];
  judge_refused(syscall(SYS_keyctl, 11, user_keyring, keys, sizeof keys));
}

const struct attempt key_attempts[] = {
    {"keys/add_key", add_key, ENTRY_64},
    {"keys/add_key-int80", add_key, ENTRY_32},
    {"keys/add_key-x32", add_key, ENTRY_X32},
    {"keys/request_key", request_key, ENTRY_64},
    {"keys/request_key-int80", request_key, ENTRY_32},
    {"keys/keyctl-join", join_session, ENTRY_64},
    {"keys/keyctl-join-int80", join_session, ENTRY_32},
    {"keys/keyctl-session", find_session, 0},
    {"keys/keyctl-read-user", read_user_keys, 0},
    {NULL, NULL, 0},
};
