// Reading trees in this process: archives, hashes, listings and single files, all off the main thread.
#include "addon/read-tree.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "addon/failure.h"
#include "core/unique-fd.h"
#include "tree/dump.h"
#include "tree/entry.h"
#include "tree/list.h"

namespace cloister {
namespace {

/// An entry named by a path of this machine. What leads to it is resolved as the system does, it itself is not followed.
struct Place {
  UniqueFd parent;
  std::string name;
};

Result<Place> OpenPlace(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const size_t slash = path.rfind('/');
  std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..") {
    directory = path;
    name = ".";
  }
  UniqueFd parent(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!parent) return Failure::Errno("TREE_SYSTEM_CALL", "open directory", directory);
  return Place{std::move(parent), std::move(name)};
}

struct Dump {
  explicit Dump(Place opened) : place(std::move(opened)), source(place.parent.get(), place.name.c_str()) {}
  Place place;
  NarSource source;
  bool busy = false;
};

/// openDump(path): External
Napi::Value OpenDump(const Napi::CallbackInfo& info) {
  auto place = OpenPlace(BytesOf(info[0]));
  if (!place) {
    Throw(info.Env(), place.failure());
    return info.Env().Undefined();
  }
  return Napi::External<Dump>::New(info.Env(), new Dump(std::move(*place)), [](Napi::Env, Dump* dump) { delete dump; });
}

/// fillFromDump(dump, buffer): Promise of the number of bytes; fewer than the buffer holds only at the end
Napi::Value FillFromDump(const Napi::CallbackInfo& info) {
  Dump* dump = info[0].As<Napi::External<Dump>>().Data();
  const auto buffer = info[1].As<Napi::Uint8Array>();
  auto* data = const_cast<uint8_t*>(buffer.Data());  // to be filled: that is what it was made for
  const size_t size = buffer.ByteLength();
  if (std::exchange(dump->busy, true)) {
    Throw(info.Env(), Failure{"TREE_SYSTEM_CALL", "dump", EBUSY, {}, 0});
    return info.Env().Undefined();
  }
  Napi::Object kept = Napi::Object::New(info.Env());
  kept.Set("dump", info[0]);
  kept.Set("buffer", buffer);
  return RunAsync(
      info.Env(), kept,
      [=] {
        auto filled = dump->source.Fill(data, size);
        dump->busy = false;
        return filled;
      },
      [](Napi::Env env, const Result<size_t>& filled) { return Napi::Number::New(env, static_cast<double>(*filled)); });
}

/// hashTree(path): Promise of { narHash, narSize }
Napi::Value HashTreeAt(const Napi::CallbackInfo& info) {
  return RunAsync(
      info.Env(), Napi::Object::New(info.Env()),
      [path = BytesOf(info[0])]() -> Result<HashedTree> {
        auto place = OpenPlace(path);
        if (!place) return place.failure();
        return HashTree(place->parent.get(), place->name.c_str());
      },
      [](Napi::Env env, const Result<HashedTree>& hashed) {
        Napi::Object object = Napi::Object::New(env);
        object.Set("narHash", Napi::Buffer<uint8_t>::Copy(env, hashed->nar_hash.data(), hashed->nar_hash.size()));
        object.Set("narSize", Napi::BigInt::New(env, hashed->nar_size));
        return object;
      });
}

/// listTree(path): Promise of the listing in the packed form of tree/list.h
Napi::Value ListTreeAt(const Napi::CallbackInfo& info) {
  return RunAsync(
      info.Env(), Napi::Object::New(info.Env()),
      [path = BytesOf(info[0])]() -> Result<std::string> {
        auto place = OpenPlace(path);
        if (!place) return place.failure();
        return ListTree(place->parent.get(), place->name.c_str());
      },
      [](Napi::Env env, const Result<std::string>& packed) {
        return Napi::Buffer<char>::Copy(env, packed->data(), packed->size());
      });
}

Result<int> OpenFileBelow(const std::string& path, const std::string& inside) {
  auto place = OpenPlace(path);
  if (!place) return place.failure();
  UniqueFd top = OpenEntry(place->parent.get(), place->name.c_str(), inside.empty() ? O_RDONLY : O_PATH | O_DIRECTORY);
  if (!top) return CallFailed("open", inside);
  if (!inside.empty()) {
    struct open_how how = {};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    top = UniqueFd(static_cast<int>(syscall(SYS_openat2, top.get(), inside.c_str(), &how, sizeof how)));
    if (!top) return CallFailed("open", inside);
  }
  struct stat status;
  if (fstat(top.get(), &status) != 0) return CallFailed("stat", inside);
  if (!S_ISREG(status.st_mode)) return Failure{"TREE_NOT_A_FILE", "open", 0, inside, 0};
  return top.Release();
}

/// openFileBelow(path, inside): Promise of a descriptor of a regular file, to be closed by the caller
Napi::Value OpenFileBelowAt(const Napi::CallbackInfo& info) {
  return RunAsync(
      info.Env(), Napi::Object::New(info.Env()),
      [path = BytesOf(info[0]), inside = BytesOf(info[1])] { return OpenFileBelow(path, inside); },
      [](Napi::Env env, const Result<int>& fd) { return Napi::Number::New(env, *fd); });
}

}  // namespace

void InitReadTree(Napi::Env env, Napi::Object exports) {
  exports.Set("openDump", Napi::Function::New(env, OpenDump));
  exports.Set("fillFromDump", Napi::Function::New(env, FillFromDump));
  exports.Set("hashTree", Napi::Function::New(env, HashTreeAt));
  exports.Set("listTree", Napi::Function::New(env, ListTreeAt));
  exports.Set("openFileBelow", Napi::Function::New(env, OpenFileBelowAt));
}

}  // namespace cloister
