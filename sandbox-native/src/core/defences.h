// What keeps a build in its jail, each by a name. In the product every defence is there, and the compiler sees that it is.
// A launcher compiled with CLOISTER_TEST_DEFENCES, which is for tests alone and is never packed, takes
// `without=NAME[,NAME]` as its last argument: test/jail/advisories breaks out of that one and fails to break out of the
// real one.
#pragma once

#include <cstdint>

namespace cloister {

enum class Defence : uint8_t {
  kOwnNetwork,           // of the launcher and of each jail: no socket leads out
  kOwnPidNamespace,      // of each jail: its first process is the last one to end
  kOwnIpc,               // of the launcher and of each jail
  kOldRootLeft,          // the launcher's mount tree is unmounted from the jail's
  kReadOnlyInputs,
  kReadOnlyRoot,
  kNosuid,               // mounts of the launcher's tree and of the jail
  kNodev,
  kNewSession,           // no terminal of the daemon's
  kDescriptorsClosed,    // but 0 to 2
  kNoNewPrivileges,
  kBoundingSet,
  kSeccomp,
  kProcMasks,            // what /proc tells of the host is covered, and /proc/sys read-only
  kFreshUid,             // each jail's uid is no other jail's
  kBuildUser,            // in range and root strength a builder is outside nobody who exists but for it
  kClosedToOthers,       // staging, trash, builds and each build's directory have mode 0700 (else 0777)
  kCleanedViews,         // what a builder left in a view is removed before the view is used again
  kNoSymlinkFollowed,    // in sealing, removing and moving
  kBeneath,              // openat2 stays below the directory that is held, and follows no symlink
  kFilesGivenByFd,       // files that a derivation passes get their owner by the descriptor that made them
  kArchiveNamesChecked,  // an archive's names are single names
  kLogPipeReset,         // what a builder changed of the log's pipe, which the next build has too
  kForeignOwnerRefused,  // an output holds only what its builder made
  kCanonicalModes,
  kLinkedFilesCopied,    // files of an output that have names outside of the outputs
  kAttributesRemoved,    // extended ones, from outputs
  kReadOnlyDevices,      // /dev/null and the like are the host's own nodes
  kBlockedAddresses,     // networks that builds with a way out do not reach
  kHostLoopbackHidden,   // from builds with a way out
};

struct NamedDefence {
  Defence defence;
  const char* name;
};

inline constexpr NamedDefence kDefences[] = {
    {Defence::kOwnNetwork, "own_network"},
    {Defence::kOwnPidNamespace, "own_pid_namespace"},
    {Defence::kOwnIpc, "own_ipc"},
    {Defence::kOldRootLeft, "old_root_left"},
    {Defence::kReadOnlyInputs, "read_only_inputs"},
    {Defence::kReadOnlyRoot, "read_only_root"},
    {Defence::kNosuid, "nosuid"},
    {Defence::kNodev, "nodev"},
    {Defence::kNewSession, "new_session"},
    {Defence::kDescriptorsClosed, "descriptors_closed"},
    {Defence::kNoNewPrivileges, "no_new_privileges"},
    {Defence::kBoundingSet, "bounding_set"},
    {Defence::kSeccomp, "seccomp"},
    {Defence::kProcMasks, "proc_masks"},
    {Defence::kFreshUid, "fresh_uid"},
    {Defence::kBuildUser, "build_user"},
    {Defence::kClosedToOthers, "closed_to_others"},
    {Defence::kCleanedViews, "cleaned_views"},
    {Defence::kNoSymlinkFollowed, "no_symlink_followed"},
    {Defence::kBeneath, "beneath"},
    {Defence::kFilesGivenByFd, "files_given_by_fd"},
    {Defence::kArchiveNamesChecked, "archive_names_checked"},
    {Defence::kLogPipeReset, "log_pipe_reset"},
    {Defence::kForeignOwnerRefused, "foreign_owner_refused"},
    {Defence::kCanonicalModes, "canonical_modes"},
    {Defence::kLinkedFilesCopied, "linked_files_copied"},
    {Defence::kAttributesRemoved, "attributes_removed"},
    {Defence::kReadOnlyDevices, "read_only_devices"},
    {Defence::kBlockedAddresses, "blocked_addresses"},
    {Defence::kHostLoopbackHidden, "host_loopback_hidden"},
};

#if defined(CLOISTER_TEST_DEFENCES)

bool HasDefence(Defence defence) noexcept;

/// Takes a last argument `without=…` from the list, and these defences away. The count of arguments that are left.
/// Ends the process at a name that is not in the table: a test that takes nothing out would prove nothing.
int TakeDefencesOut(int count, char** arguments);

/// The argument as it was given, to be given on when the program executes itself again; null if there was none.
const char* DefencesTakenOut() noexcept;

#else

constexpr bool HasDefence(Defence) noexcept { return true; }
constexpr int TakeDefencesOut(int count, char**) noexcept { return count; }
constexpr const char* DefencesTakenOut() noexcept { return nullptr; }

#endif

}  // namespace cloister
