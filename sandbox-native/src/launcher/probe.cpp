#include "launcher/probe.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "core/result.h"
#include "launcher/identity.h"
#include "linux/kernel.h"

namespace cloister {
namespace {

Result<void> TryOverlay() {
  Result<Identities> identities = TakeStrength(Strength::kSingle);
  if (!identities.ok()) return identities.failure();
  Result<void> left = LeaveHost();
  if (!left.ok()) return left;
  const auto failed = [](const char* step) { return Failure::Errno("PROBE", step); };
  if (Mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return failed("make-mounts-private");
  // Over /proc, which is there for sure; only this process sees it.
  if (Mount("tmpfs", "/proc", "tmpfs", 0, nullptr) != 0) return failed("mount-tmpfs");
  for (const char* folder : {"/proc/lower", "/proc/upper", "/proc/work", "/proc/merged"})
    if (mkdir(folder, 0755) != 0) return failed("make-directory");
  constexpr char kOptions[] = "lowerdir=/proc/lower,upperdir=/proc/upper,workdir=/proc/work,userxattr";
  if (Mount("overlay", "/proc/merged", "overlay", 0, kOptions) != 0) return failed("mount-overlay");
  if (mkdir("/proc/merged/directory", 0755) != 0) return failed("write-overlay");
  return {};
}

Result<void> TryUserNamespace() {
  Result<Identities> identities = TakeStrength(Strength::kSingle);
  if (!identities.ok()) return identities.failure();
  return LeaveHost();
}

void Write(std::string_view text) { (void)!write(STDOUT_FILENO, text.data(), text.size()); }

}  // namespace

int Probe(std::string_view feature) {
  Result<void> result;
  if (feature == "overlay") {
    result = TryOverlay();
  } else if (feature == "user-namespace") {
    result = TryUserNamespace();
  } else if (feature != "nothing") {
    return 2;
  }
  if (result.ok()) return Write("{\"ok\":true}\n"), 0;
  Write("{\"ok\":false,\"step\":\"" + std::string(result.failure().step) +
        "\",\"errno\":" + std::to_string(result.failure().error) + "}\n");
  return 0;
}

}  // namespace cloister
