#include "launcher/orders.h"

#include <fcntl.h>

#include <cerrno>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "launcher/build.h"
#include "launcher/move-into-store.h"
#include "linux/jail-spec.h"
#include "linux/kernel.h"
#include "tree/move.h"
#include "tree/remove.h"
#include "tree/restore.h"
#include "tree/rewrite.h"

namespace cloister {
namespace {

constexpr char kCode[] = "TREE_SYSTEM_CALL";

/// An entry of staging, or one of a view there: "NAME" or "VIEW/NAME".
struct StagedEntry {
  UniqueFd view;  // none: it lies in staging itself
  int directory_fd = -1;
  std::string name;
};

Result<StagedEntry> FindStaged(const Root& root, std::string_view text) {
  StagedEntry entry;
  const size_t slash = text.find('/');
  entry.name = slash == std::string_view::npos ? text : text.substr(slash + 1);
  const std::string view(slash == std::string_view::npos ? "" : text.substr(0, slash));
  if (!IsBaseName(entry.name) || (slash != std::string_view::npos && !IsBaseName(view)))
    return Failure{kCode, "find-staged", EINVAL, std::string(text), 0};
  entry.directory_fd = root.staging.get();
  if (view.empty()) return entry;
  entry.view = OpenBelow(root.staging.get(), view.c_str(), O_RDONLY | O_DIRECTORY);
  if (!entry.view) return Failure::Errno(kCode, "open-view", view);
  entry.directory_fd = entry.view.get();
  return entry;
}

Failure InvalidOrder() { return Failure{"LAUNCHER_ORDER_INVALID", "read-order", EINVAL, "", 0}; }

void WriteRestored(MessageWriter& body, const RestoredTree& restored) {
  body.Bytes(restored.nar_hash.data(), restored.nar_hash.size()).U64(restored.nar_size);
}

void ReleaseViews(const TreeContext& context, const std::vector<std::string>& views) {
  for (const std::string& view : views) context.views.Release(view);
}

void Answer(const TreeContext& context, uint64_t order, const Result<void>& result, const MessageWriter& body) {
  if (!result.ok()) return context.channel.SendFailure(order, result.failure());
  context.channel.Send(MessageKind::kAnswer, order, body.body());
}

}  // namespace

void RunRestore(const TreeContext& context, const Order& order) {
  MessageReader reader(order.body);
  RestoreOptions options;
  options.extra_hash = ReadExtraHash(reader);
  if (!reader.Finished() || order.descriptors.size() != 1) return context.channel.SendFailure(order.id, InvalidOrder());
  const std::string name = context.names.Next("restored");
  Result<RestoredTree> restored = RestoreTree(order.descriptors[0].get(), context.root.staging.get(), name.c_str(), options);
  if (!restored.ok()) return context.channel.SendFailure(order.id, restored.failure());
  MessageWriter body;
  body.Bytes(name);
  WriteRestored(body, *restored);
  body.Bytes(restored->extra_hash ? restored->extra_hash->data() : nullptr, restored->extra_hash ? restored->extra_hash->size : 0);
  context.channel.Send(MessageKind::kAnswer, order.id, body.body());
}

void RunWriteText(const TreeContext& context, const Order& order) {
  MessageReader reader(order.body);
  const std::string to = reader.Text();
  const std::string_view contents = reader.Bytes();
  if (!reader.Finished() || !IsBaseName(to)) return context.channel.SendFailure(order.id, InvalidOrder());
  const std::string name = context.names.Next("text");
  const std::span bytes(reinterpret_cast<const uint8_t*>(contents.data()), contents.size());
  Result<RestoredTree> written = WriteFileEntry(context.root.staging.get(), name.c_str(), bytes);
  if (!written.ok()) return context.channel.SendFailure(order.id, written.failure());
  Result<void> moved = MoveIntoStore(context.root, context.reaper, context.root.staging.get(), name, to);
  if (!moved.ok()) context.reaper.Remove(context.root.staging.get(), name);
  MessageWriter body;
  WriteRestored(body, *written);
  Answer(context, order.id, moved, body);
}

void RunMove(const TreeContext& context, const Order& order) {
  MessageReader reader(order.body);
  std::vector<std::pair<std::string, std::string>> moves;
  for (uint32_t left = reader.Count(8); left > 0; --left) {
    std::string from = reader.Text();
    moves.emplace_back(std::move(from), reader.Text());
  }
  const std::vector<std::string> views = reader.Texts();
  if (!reader.Finished()) return context.channel.SendFailure(order.id, InvalidOrder());
  Result<void> done;
  for (const auto& [from, to] : moves) {
    Result<StagedEntry> entry = FindStaged(context.root, from);
    if (!entry.ok()) {
      done = entry.failure();
    } else if (!IsBaseName(to)) {
      done = InvalidOrder();
    } else {
      done = MoveIntoStore(context.root, context.reaper, entry->directory_fd, entry->name, to);
    }
    if (!done.ok()) break;
  }
  Answer(context, order.id, done, MessageWriter());
  if (done.ok()) ReleaseViews(context, views);
}

void RunRewrite(const TreeContext& context, const Order& order) {
  MessageReader reader(order.body);
  Result<StagedEntry> entry = FindStaged(context.root, reader.Bytes());
  std::vector<HashPartPair> pairs;
  const std::optional<std::vector<HashPart>> from = ReadHashParts(reader);
  const std::optional<std::vector<HashPart>> to = ReadHashParts(reader);
  const std::optional<std::vector<HashPart>> candidates = ReadHashParts(reader);
  SealOptions options;
  options.self_hash_part = MakeHashPart(reader.Bytes());
  options.extra_hash = ReadExtraHash(reader);
  if (!reader.Finished() || !from || !to || !candidates || from->size() != to->size())
    return context.channel.SendFailure(order.id, InvalidOrder());
  if (!entry.ok()) return context.channel.SendFailure(order.id, entry.failure());
  for (size_t index = 0; index < from->size(); ++index) pairs.emplace_back((*from)[index], (*to)[index]);
  options.candidates = *candidates;
  if (options.self_hash_part && options.extra_hash) {
    options.modulo_algorithm = options.extra_hash->algorithm;
    options.extra_hash.reset();
  }
  const std::string name = context.names.Next("rewritten");
  Result<SealedTree> rewritten =
      RewriteTree(entry->directory_fd, entry->name.c_str(), context.root.staging.get(), name.c_str(), pairs, options);
  if (!rewritten.ok()) return context.channel.SendFailure(order.id, rewritten.failure());
  MessageWriter body;
  body.Bytes(name);
  WriteSealedTree(body, *rewritten);
  context.channel.Send(MessageKind::kAnswer, order.id, body.body());
}

void RunRemove(const TreeContext& context, const Order& order) {
  MessageReader reader(order.body);
  const std::vector<std::string> names = reader.Texts();
  if (!reader.Finished()) return context.channel.SendFailure(order.id, InvalidOrder());
  context.views.Forget(names);
  uint64_t freed_bytes = 0;
  std::vector<std::string> missing;
  for (const std::string& name : names) {
    if (!IsBaseName(name)) return context.channel.SendFailure(order.id, InvalidOrder());
    // First out of the store by one rename: what is half removed never has a store object's name.
    const std::string trashed = context.names.NextForTrash();
    const int trash_fd = context.root.trash.get();
    Result<MovedEntry> moved = MoveEntry(context.root.store.get(), name.c_str(), trash_fd, trashed.c_str(), -1);
    if (!moved.ok() && moved.failure().error == ENOENT) {
      missing.push_back(name);
      continue;
    }
    if (!moved.ok()) return context.channel.SendFailure(order.id, moved.failure());
    context.root.changes->fetch_add(1);
    Result<RemovedTree> removed = RemoveTree(trash_fd, trashed.c_str());
    if (!removed.ok()) return context.channel.SendFailure(order.id, removed.failure());
    freed_bytes += removed->freed_bytes;
  }
  MessageWriter body;
  body.U64(freed_bytes).U32(static_cast<uint32_t>(missing.size()));
  for (const std::string& name : missing) body.Bytes(name);
  context.channel.Send(MessageKind::kAnswer, order.id, body.body());
}

void RunDiscard(const TreeContext& context, const Order& order) {
  MessageReader reader(order.body);
  const std::vector<std::string> names = reader.Texts();
  const std::vector<std::string> views = reader.Texts();
  if (!reader.Finished()) return context.channel.SendFailure(order.id, InvalidOrder());
  for (const std::string& name : names) {
    Result<StagedEntry> entry = FindStaged(context.root, name);
    if (!entry.ok()) continue;  // gone with its view
    // Under a name of its own, directly in staging, so that the view need not be held open for the reaper.
    const std::string discarded = context.names.Next("discarded");
    const int staging_fd = context.root.staging.get();
    if (MoveEntry(entry->directory_fd, entry->name.c_str(), staging_fd, discarded.c_str(), -1).ok())
      context.reaper.Remove(staging_fd, discarded);
  }
  ReleaseViews(context, views);
  context.channel.Send(MessageKind::kAnswer, order.id, {});
}

}  // namespace cloister
