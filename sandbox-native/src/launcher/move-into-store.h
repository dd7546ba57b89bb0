// Putting an entry of staging into the store, whatever lies there.
#pragma once

#include <string>

#include "core/result.h"
#include "launcher/reaper.h"
#include "launcher/root.h"

namespace cloister {

/// Renames it; what had the name in the store goes to the trash, to be removed. Fails with TREE_SYSTEM_CALL.
Result<void> MoveIntoStore(const Root& root, Reaper& reaper, int from_fd, const std::string& from, const std::string& to);

/// Puts it into the trash again, to be removed: what was to go into the store with it could not.
void TakeOutOfStore(const Root& root, Reaper& reaper, const std::string& name, const std::string& name_in_trash);

}  // namespace cloister
