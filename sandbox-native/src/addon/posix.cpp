// System calls that Node does not have. Each takes and gives plain values; sandbox-native/posix.ts gives them a shape.
#include "addon/posix.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "addon/failure.h"
#include "core/unique-fd.h"

namespace cloister {
namespace {

Failure PosixFailed(const char* step, std::string_view path = {}) {
  return Failure::Errno("POSIX_CALL_FAILED", step, path);
}

Napi::Value Fail(Napi::Env env, const Failure& failure) {
  Throw(env, failure);
  return env.Undefined();
}

/// openDirectory(path): descriptor
Napi::Value OpenDirectory(const Napi::CallbackInfo& info) {
  const std::string path = BytesOf(info[0]);
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Fail(info.Env(), PosixFailed("open", path));
  return Napi::Number::New(info.Env(), fd);
}

Result<UniqueFd> OpenLocked(const std::string& path, bool exclusive) {
  for (;;) {
    UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return PosixFailed("open", path);
    if (flock(fd.get(), (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return UniqueFd();
      return PosixFailed("flock", path);
    }
    struct stat held;
    struct stat named;
    if (fstat(fd.get(), &held) != 0) return PosixFailed("fstat", path);
    // Whoever held it may have unlinked it before we got it: then the next one would lock another file.
    if (lstat(path.c_str(), &named) == 0 && named.st_dev == held.st_dev && named.st_ino == held.st_ino) return fd;
  }
}

/// lockFile(path, exclusive): descriptor, or undefined when another has it
Napi::Value LockFile(const Napi::CallbackInfo& info) {
  auto locked = OpenLocked(BytesOf(info[0]), info[1].As<Napi::Boolean>().Value());
  if (!locked) return Fail(info.Env(), locked.failure());
  if (!locked->valid()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), locked->Release());
}

/// The supplementary groups of a socket's peer as the kernel noted them (SO_PEERGROUPS, Linux 4.13); none where it did not.
Napi::Value PeerGroups(Napi::Env env, int fd) {
  std::array<gid_t, 64> few;
  std::vector<gid_t> many;
  gid_t* groups = few.data();
  socklen_t size = sizeof few;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) != 0) {
    if (errno != ERANGE) return env.Undefined();
    many.resize(size / sizeof(gid_t));
    groups = many.data();
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) != 0) return env.Undefined();
  }
  Napi::Array array = Napi::Array::New(env, size / sizeof(gid_t));
  for (uint32_t index = 0; index < array.Length(); ++index) array.Set(index, static_cast<double>(groups[index]));
  return array;
}

/// peerCredentials(descriptor of a connected Unix socket): { pid, uid, gid, groups? }
Napi::Value PeerCredentials(const Napi::CallbackInfo& info) {
  const int fd = info[0].As<Napi::Number>().Int32Value();
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return Fail(info.Env(), PosixFailed("getsockopt"));
  }
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("pid", static_cast<double>(peer.pid));
  object.Set("uid", static_cast<double>(peer.uid));
  object.Set("gid", static_cast<double>(peer.gid));
  if (const Napi::Value groups = PeerGroups(info.Env(), fd); !groups.IsUndefined()) object.Set("groups", groups);
  return object;
}

/// sendDatagram(name of a Unix socket, bytes): a name that begins with a zero byte is an abstract one (unix(7))
Napi::Value SendDatagram(const Napi::CallbackInfo& info) {
  const std::string name = BytesOf(info[0]);
  const std::string message = BytesOf(info[1]);
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (name.empty() || name.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return Fail(info.Env(), PosixFailed("sendto", name));
  }
  std::copy(name.begin(), name.end(), address.sun_path);
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return Fail(info.Env(), PosixFailed("socket"));
  // Its length says where an abstract name ends.
  const auto size = static_cast<socklen_t>(offsetof(struct sockaddr_un, sun_path) + name.size());
  const auto* to = reinterpret_cast<const struct sockaddr*>(&address);
  if (sendto(fd.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT, to, size) < 0) {
    return Fail(info.Env(), PosixFailed("sendto", name));
  }
  return info.Env().Undefined();
}

/// syncFileSystem(descriptor): Promise
Napi::Value SyncFileSystem(const Napi::CallbackInfo& info) {
  const int fd = info[0].As<Napi::Number>().Int32Value();
  return RunAsync(
      info.Env(), Napi::Object::New(info.Env()),
      [fd]() -> Result<void> {
        if (syncfs(fd) != 0) return PosixFailed("syncfs");
        return {};
      },
      [](Napi::Env env, const Result<void>&) { return env.Undefined(); });
}

/// releaseFreeMemory(): Promise; gives free pages of the heap back to the system (malloc_trim(3)), off the main thread
Napi::Value ReleaseFreeMemory(const Napi::CallbackInfo& info) {
  return RunAsync(
      info.Env(), Napi::Object::New(info.Env()),
      []() -> Result<void> {
#ifdef __GLIBC__
        malloc_trim(0);
#endif
        return {};
      },
      [](Napi::Env env, const Result<void>&) { return env.Undefined(); });
}

/// openProcess(pid): descriptor, or undefined when there is no such process
Napi::Value OpenProcess(const Napi::CallbackInfo& info) {
  const auto fd = static_cast<int>(syscall(SYS_pidfd_open, info[0].As<Napi::Number>().Int32Value(), 0));
  if (fd >= 0) return Napi::Number::New(info.Env(), fd);
  if (errno == ESRCH) return info.Env().Undefined();
  return Fail(info.Env(), PosixFailed("pidfd_open"));
}

/// signalProcess(descriptor, signal): false when it has ended
Napi::Value SignalProcess(const Napi::CallbackInfo& info) {
  const int fd = info[0].As<Napi::Number>().Int32Value();
  const int signal = info[1].As<Napi::Number>().Int32Value();
  if (syscall(SYS_pidfd_send_signal, fd, signal, nullptr, 0) == 0) return Napi::Boolean::New(info.Env(), true);
  if (errno == ESRCH) return Napi::Boolean::New(info.Env(), false);
  return Fail(info.Env(), PosixFailed("pidfd_send_signal"));
}

/// A wait of the event loop for a descriptor to become readable; deletes itself.
class Waiting {
 public:
  static Napi::Value Start(Napi::Env env, int fd) {
    uv_loop_t* loop = nullptr;
    napi_get_uv_event_loop(env, &loop);
    auto* waiting = new Waiting(env);
    const Napi::Promise promise = waiting->deferred_.Promise();
    if (const int error = uv_poll_init(loop, &waiting->poll_, fd); error != 0) {
      waiting->deferred_.Reject(ToObject(env, Failure{"POSIX_CALL_FAILED", "poll", -error, {}, 0}));
      delete waiting;
      return promise;
    }
    waiting->poll_.data = waiting;
    uv_poll_start(&waiting->poll_, UV_READABLE, [](uv_poll_t* poll, int, int) {
      auto* self = static_cast<Waiting*>(poll->data);
      uv_poll_stop(poll);
      const Napi::HandleScope scope(self->env_);
      const Napi::CallbackScope callback(self->env_, self->context_);
      self->deferred_.Resolve(self->env_.Undefined());
      uv_close(reinterpret_cast<uv_handle_t*>(poll), [](uv_handle_t* handle) {
        delete static_cast<Waiting*>(handle->data);
      });
    });
    return promise;
  }

 private:
  explicit Waiting(Napi::Env env)
      : env_(env), deferred_(Napi::Promise::Deferred::New(env)), context_(env, "cloister:wait") {}

  Napi::Env env_;
  Napi::Promise::Deferred deferred_;
  Napi::AsyncContext context_;
  uv_poll_t poll_;
};

/// waitReadable(descriptor): Promise; the descriptor must stay open until then
Napi::Value WaitReadable(const Napi::CallbackInfo& info) {
  return Waiting::Start(info.Env(), info[0].As<Napi::Number>().Int32Value());
}

}  // namespace

void InitPosix(Napi::Env env, Napi::Object exports) {
  exports.Set("openDirectory", Napi::Function::New(env, OpenDirectory));
  exports.Set("lockFile", Napi::Function::New(env, LockFile));
  exports.Set("peerCredentials", Napi::Function::New(env, PeerCredentials));
  exports.Set("sendDatagram", Napi::Function::New(env, SendDatagram));
  exports.Set("syncFileSystem", Napi::Function::New(env, SyncFileSystem));
  exports.Set("releaseFreeMemory", Napi::Function::New(env, ReleaseFreeMemory));
  exports.Set("openProcess", Napi::Function::New(env, OpenProcess));
  exports.Set("signalProcess", Napi::Function::New(env, SignalProcess));
  exports.Set("waitReadable", Napi::Function::New(env, WaitReadable));
}

}  // namespace cloister
