// Opens all that a build's jail is to see: a detached mount for each, made by name below the held directories.
#pragma once

#include <vector>

#include "core/result.h"
#include "core/unique-fd.h"
#include "launcher/jail-factory.h"
#include "launcher/root.h"
#include "launcher/view-pool.h"
#include "linux/jail-plan.h"
#include "linux/jail-spec.h"

namespace cloister {

struct OpenedMounts {
  JailMounts mounts;            // borrows the descriptors
  std::vector<UniqueFd> owned;
};

/// Also fills the view with the inputs, and puts the files in the build directory.
/// Fails with JAIL_STEP_FAILED; the path is the name of the input or file.
Result<OpenedMounts> OpenJailMounts(const Root& root, const PreparedJail& prepared, View& view, const JailSpec& spec);

}  // namespace cloister
