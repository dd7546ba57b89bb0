#include "launcher/running-builds.h"

namespace cloister {

void RunningBuilds::Add(uint64_t order) {
  const std::lock_guard lock(mutex_);
  entries_[order];
}

void RunningBuilds::Cancel(uint64_t order) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(order);
  if (found == entries_.end()) return;
  found->second.cancelled = true;
  if (found->second.jail != nullptr) found->second.jail->Kill();
}

bool RunningBuilds::IsCancelled(uint64_t order) {
  const std::lock_guard lock(mutex_);
  return entries_[order].cancelled;
}

void RunningBuilds::SetJail(uint64_t order, Jail& jail) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[order];
  entry.jail = &jail;
  if (entry.cancelled) jail.Kill();
}

void RunningBuilds::Remove(uint64_t order) {
  const std::lock_guard lock(mutex_);
  entries_.erase(order);
}

std::vector<std::pair<uint64_t, pid_t>> RunningBuilds::List() {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<uint64_t, pid_t>> list;
  for (const auto& [order, entry] : entries_)
    if (entry.jail != nullptr) list.emplace_back(order, entry.jail->pid());
  return list;
}

}  // namespace cloister
