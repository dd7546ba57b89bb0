#include "launcher/move-into-store.h"

#include <utility>

#include "tree/move.h"

namespace cloister {

Result<void> MoveIntoStore(const Root& root, Reaper& reaper, int from_fd, const std::string& from, const std::string& to) {
  const int trash_fd = root.trash.get();
  Result<MovedEntry> moved = MoveEntry(from_fd, from.c_str(), root.store.get(), to.c_str(), trash_fd);
  if (!moved.ok()) return moved.failure();
  if (moved->trashed.empty()) return {};
  root.changes->fetch_add(1);
  reaper.Remove(trash_fd, std::move(moved->trashed));
  return {};
}

void TakeOutOfStore(const Root& root, Reaper& reaper, const std::string& name, const std::string& name_in_trash) {
  const int trash_fd = root.trash.get();
  if (!MoveEntry(root.store.get(), name.c_str(), trash_fd, name_in_trash.c_str(), -1).ok()) return;
  root.changes->fetch_add(1);
  reaper.Remove(trash_fd, name_in_trash);
}

}  // namespace cloister
