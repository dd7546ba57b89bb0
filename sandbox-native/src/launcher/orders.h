// The orders about trees: what is restored, moved, rewritten and removed below the held directories. Each runs on a
// thread of its own kind and sends one answer.
#pragma once

#include "launcher/channel.h"
#include "launcher/name-source.h"
#include "launcher/reaper.h"
#include "launcher/root.h"
#include "launcher/view-pool.h"

namespace cloister {

struct TreeContext {
  Channel& channel;
  const Root& root;
  NameSource& names;
  ViewPool& views;
  Reaper& reaper;
};

void RunRestore(const TreeContext& context, const Order& order);
void RunWriteText(const TreeContext& context, const Order& order);
void RunMove(const TreeContext& context, const Order& order);
void RunRewrite(const TreeContext& context, const Order& order);
void RunRemove(const TreeContext& context, const Order& order);
void RunDiscard(const TreeContext& context, const Order& order);
/// Archives the directory that a build has left, if there is a descriptor to write to, and removes it in any case.
void RunGiveUpBuildDirectory(const TreeContext& context, const Order& order);

}  // namespace cloister
