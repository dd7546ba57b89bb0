// One build: its jail, its end, its outputs sealed, one answer.
#pragma once

#include <fcntl.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/defences.h"
#include "core/result.h"
#include "launcher/channel.h"
#include "launcher/control-groups.h"
#include "launcher/jail-factory.h"
#include "launcher/reaper.h"
#include "launcher/root.h"
#include "launcher/running-builds.h"
#include "launcher/view-pool.h"
#include "launcher/watch.h"
#include "linux/jail-spec.h"
#include "tree/hash-part.h"
#include "tree/seal.h"

namespace cloister {

struct OutputOrder {
  std::string name;
  std::optional<ExtraHash> hash;
  bool modulo_self = false;
};

struct BuildOrder {
  JailSpec spec;
  std::vector<HashPart> candidates;
  std::vector<OutputOrder> outputs;
  /// Move all outputs into the store as soon as all are sealed; else none is moved.
  bool move_outputs = false;
  /// Leave the build directory, which must not be in memory, for an order that gives it up.
  bool keep_directory = false;
};

/// What a build's thread works with.
struct BuildContext {
  Channel& channel;
  const Root& root;
  JailFactory& factory;
  JailFactory& other_factory;  // of jails whose filter is not the standard one
  JailFactory& varied_factory;  // of those whose builders have other ids inside
  ViewPool& views;
  RunningBuilds& running;
  Reaper& reaper;
  NameSource& names;
  const ControlGroups& groups;
  int network_fd = -1;  // of the network helper, if there is one
};

/// The pipe of a builder's output; one for each thread, used for one build after the other: when a jail has ended,
/// nobody else can hold it.
struct LogPipe {
  UniqueFd read_end;
  UniqueFd write_end;
  int size = 0;  // bytes that it holds

  /// It goes from build to build, and its flags and size are the pipe's and not a descriptor's: the last builder may
  /// have made it one that does not wait, or that holds a page.
  void Reset() const {
    if (!HasDefence(Defence::kLogPipeReset)) return;
    (void)fcntl(write_end.get(), F_SETFL, 0);
    if (fcntl(write_end.get(), F_GETPIPE_SZ) != size) (void)fcntl(write_end.get(), F_SETPIPE_SZ, size);
  }
};

/// Makes `count` of them; descriptors of `first_private` and above are the launcher's own business.
Result<std::vector<LogPipe>> MakeLogPipes(unsigned int count, int& first_private);

std::optional<BuildOrder> ReadBuildOrder(std::string_view body);

/// Runs the build and sends its answer.
void RunBuild(const BuildContext& context, const LogPipe& log, int first_private, const Order& order);

/// Appends what an output is: to the answer of a build or a rewriting.
void WriteSealedTree(MessageWriter& body, const SealedTree& sealed);

std::optional<std::vector<HashPart>> ReadHashParts(MessageReader& reader);
/// Method (0: none, 1: flat, 2: recursive) and algorithm.
std::optional<ExtraHash> ReadExtraHash(MessageReader& reader);

}  // namespace cloister
