#include "addon/channel.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "addon/failure.h"
#include "addon/packet.h"
#include "core/message.h"
#include "core/sealed-memory.h"
#include "core/unique-fd.h"

namespace cloister {
namespace {

constexpr size_t kMostMessagesAtOnce = 64;

/// Starts the program with `channel` as its descriptor 3 and /dev/null as 0 to 2; 0, or errno.
int Spawn(const std::string& executable, const std::vector<std::string>& arguments, int channel, pid_t& pid) {
  std::vector<char*> list;
  for (const std::string& argument : arguments) list.push_back(const_cast<char*>(argument.c_str()));
  list.push_back(nullptr);
  char* const environment[] = {nullptr};
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, channel, 3);
  for (const int fd : {0, 1, 2}) posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", fd == 0 ? O_RDONLY : O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int error = posix_spawn(&pid, executable.c_str(), &actions, &attributes, list.data(), environment);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

/// Once: it is -1 then, and nothing is done.
void Reap(pid_t& pid) {
  while (pid > 0 && waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
  pid = -1;
}

/// new LauncherChannel(executable, arguments, onMessages, onEnd). `onMessages` gets a list: kind, order, body of each message;
/// `onEnd` is called once, when the launcher's last process and with it the last jail is gone.
class LauncherChannel : public Napi::ObjectWrap<LauncherChannel> {
 public:
  static void Init(Napi::Env env, Napi::Object exports) {
    exports.Set("LauncherChannel", DefineClass(env, "LauncherChannel",
                                               {InstanceMethod<&LauncherChannel::Send>("send"),
                                                InstanceMethod<&LauncherChannel::Close>("close"),
                                                InstanceMethod<&LauncherChannel::SetActive>("setActive")}));
  }

  explicit LauncherChannel(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<LauncherChannel>(info), context_(info.Env(), "LauncherChannel") {
    const std::string executable = info[0].As<Napi::String>();
    std::vector<std::string> arguments;
    const Napi::Array list = info[1].As<Napi::Array>();
    for (uint32_t index = 0; index < list.Length(); ++index) arguments.push_back(list.Get(index).As<Napi::String>());
    on_messages_ = Napi::Persistent(info[2].As<Napi::Function>());
    on_end_ = Napi::Persistent(info[3].As<Napi::Function>());
    const int error = Start(info.Env(), executable, arguments);
    if (error == 0) return;
    Throw(info.Env(), Failure{"LAUNCHER_START_FAILED", "spawn", error, executable, 0});
  }

  ~LauncherChannel() {
    StopPoll(socket_poll_);
    StopPoll(process_poll_);
  }

 private:
  int Start(Napi::Env env, const std::string& executable, const std::vector<std::string>& arguments) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return errno;
    socket_.Reset(ends[0]);
    const UniqueFd other(ends[1]);
    if (const int error = Spawn(executable, arguments, other.get(), starter_)) return error;
    napi_get_uv_event_loop(env, &loop_);
    socket_poll_ = StartPoll(socket_.get(), UV_READABLE, &LauncherChannel::OnSocket);
    Ref();  // until onEnd was called
    return 0;
  }

  uv_poll_t* StartPoll(int fd, int events, uv_poll_cb callback) {
    uv_poll_t* poll = new uv_poll_t;
    uv_poll_init(loop_, poll, fd);
    poll->data = this;
    uv_poll_start(poll, events, callback);
    if (!active_) uv_unref(reinterpret_cast<uv_handle_t*>(poll));
    return poll;
  }

  static void StopPoll(uv_poll_t*& poll) {
    if (poll == nullptr) return;
    uv_poll_stop(poll);
    uv_close(reinterpret_cast<uv_handle_t*>(poll), [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
    poll = nullptr;
  }

  /// send(kind, order, body, descriptors): the descriptors stay the caller's. Throws when it is not sent.
  void Send(const Napi::CallbackInfo& info) {
    if (!socket_) return;  // the end is being told already
    const Napi::Uint8Array body = info[2].As<Napi::Uint8Array>();
    const Napi::Array descriptors = info[3].As<Napi::Array>();
    const auto failed = [&info](const char* step, int error) {
      Throw(info.Env(), Failure{"POSIX_CALL_FAILED", step, error, "", 0});
    };
    // The launcher takes a packet past these limits for the end.
    if (body.ByteLength() > kLongestBody) return failed("send-order", EMSGSIZE);
    if (descriptors.Length() + 1 > kMostDescriptors) return failed("send-order", ETOOMANYREFS);
    MessageHead head;
    head.kind = static_cast<uint16_t>(info[0].As<Napi::Number>().Uint32Value());
    head.order = static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value());
    head.body_length = static_cast<uint32_t>(body.ByteLength());
    Packet packet;
    if (body.ByteLength() > kInlineBody) {
      head.flags = kBodyInMemory;
      UniqueFd memory = SealedMemory({reinterpret_cast<const char*>(body.Data()), body.ByteLength()});
      if (!memory) return failed("memfd_create", errno);
      packet.descriptors.push_back(std::move(memory));
    }
    for (uint32_t index = 0; index < descriptors.Length(); ++index) {
      UniqueFd copy(fcntl(descriptors.Get(index).As<Napi::Number>().Int32Value(), F_DUPFD_CLOEXEC, 0));
      if (!copy) return failed("fcntl", errno);
      packet.descriptors.push_back(std::move(copy));
    }
    packet.bytes.assign(reinterpret_cast<const char*>(&head), sizeof head);
    if (head.flags == 0) packet.bytes.append(reinterpret_cast<const char*>(body.Data()), body.ByteLength());

    const int error = waiting_.empty() ? SendPacket(socket_.get(), packet) : EAGAIN;
    if (error == EAGAIN) {
      waiting_.push_back(std::move(packet));
      uv_poll_start(socket_poll_, UV_READABLE | UV_WRITABLE, &LauncherChannel::OnSocket);
    } else if (error != 0 && !IsEnd(error)) {
      failed("sendmsg", error);
    }
  }

  /// The other end is gone, which reading finds out too, after what was said before.
  static bool IsEnd(int error) { return error == EPIPE || error == ECONNRESET || error == ENOTCONN; }

  /// close(): the launcher ends all jails and itself; onEnd tells when it has.
  void Close(const Napi::CallbackInfo&) { CloseSocket(); }

  /// setActive(boolean): whether Node's loop goes on for this alone.
  void SetActive(const Napi::CallbackInfo& info) {
    active_ = info[0].As<Napi::Boolean>();
    for (uv_poll_t* poll : {socket_poll_, process_poll_}) {
      if (poll == nullptr) continue;
      (active_ ? uv_ref : uv_unref)(reinterpret_cast<uv_handle_t*>(poll));
    }
  }

  static void OnSocket(uv_poll_t* poll, int status, int events) {
    LauncherChannel& self = *static_cast<LauncherChannel*>(poll->data);
    if (status == 0 && (events & UV_WRITABLE) != 0) self.SendWaiting();
    if (status != 0 || (events & UV_READABLE) != 0) self.ReceiveAll();
  }

  void SendWaiting() {
    while (!waiting_.empty()) {
      const int error = SendPacket(socket_.get(), waiting_.front());
      if (error == EAGAIN) return;
      // Whoever waits for the answer must hear of it, and only the end is told to all.
      if (error != 0 && !IsEnd(error)) return CloseSocket();
      waiting_.pop_front();
    }
    uv_poll_start(socket_poll_, UV_READABLE, &LauncherChannel::OnSocket);
  }

  void ReceiveAll() {
    const Napi::Env env = Env();
    const Napi::HandleScope scope(env);
    const Napi::Array messages = Napi::Array::New(env);
    bool open = true;
    uint32_t count = 0;
    // After an answer most often nothing more is there: the loop says if it is, for less than asking the socket costs.
    bool is_answer = false;
    while (count < kMostMessagesAtOnce && !is_answer && ReceiveOne(env, messages, count, open, is_answer)) ++count;
    if (count > 0) on_messages_.MakeCallback(Value(), {messages}, context_);
    if (!open) CloseSocket();
  }

  /// False when there is nothing more for now; `open` becomes false at the end, `is_answer` true after an order's last word.
  bool ReceiveOne(Napi::Env env, const Napi::Array& messages, uint32_t index, bool& open, bool& is_answer) {
    if (!socket_) return false;
    iovec part{buffer_, sizeof buffer_};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostDescriptors)];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t size = recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0) {
      open = errno == EAGAIN || errno == EINTR;
      return false;
    }
    UniqueFd memory;
    const cmsghdr* rights = CMSG_FIRSTHDR(&message);
    if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
      memory.Reset(fd);
    }
    MessageHead head;
    open = size >= static_cast<ssize_t>(sizeof head);
    if (!open) return false;
    std::memcpy(&head, buffer_, sizeof head);
    const MessageKind kind = static_cast<MessageKind>(head.kind);
    is_answer = kind == MessageKind::kAnswer || kind == MessageKind::kFailure;
    if (kind == MessageKind::kSpawned) LearnProcess(static_cast<size_t>(size));

    Napi::Buffer<uint8_t> body = Napi::Buffer<uint8_t>::New(env, head.body_length);
    if ((head.flags & kBodyInMemory) != 0) {
      for (size_t done = 0; done < head.body_length;) {
        const ssize_t got = pread(memory.get(), body.Data() + done, head.body_length - done, static_cast<off_t>(done));
        if (got <= 0) return open = false;
        done += static_cast<size_t>(got);
      }
    } else {
      std::memcpy(body.Data(), buffer_ + sizeof head, std::min<size_t>(head.body_length, static_cast<size_t>(size) - sizeof head));
    }
    messages.Set(3 * index, Napi::Number::New(env, head.kind));
    messages.Set(3 * index + 1, Napi::Number::New(env, static_cast<double>(head.order)));
    messages.Set(3 * index + 2, body);
    return true;
  }

  /// The process that we started made the launcher's first process a child of ours, said so, and does no more.
  void LearnProcess(size_t size) {
    Reap(starter_);
    MessageReader reader({buffer_ + sizeof(MessageHead), size - sizeof(MessageHead)});
    launcher_ = static_cast<pid_t>(reader.U32());
    pidfd_.Reset(static_cast<int>(syscall(SYS_pidfd_open, launcher_, 0)));
    fcntl(pidfd_.get(), F_SETFD, FD_CLOEXEC);
  }

  /// The socket is at its end before the launcher is: its process goes only when all jails are gone.
  void CloseSocket() {
    if (!socket_) return;
    StopPoll(socket_poll_);
    socket_.Reset();
    waiting_.clear();
    if (launcher_ < 0) kill(starter_, SIGKILL);  // whatever it waits for
    Reap(starter_);
    if (pidfd_) {
      process_poll_ = StartPoll(pidfd_.get(), UV_READABLE, &LauncherChannel::OnProcess);
    } else {
      End();
    }
  }

  static void OnProcess(uv_poll_t* poll, int, int) {
    LauncherChannel& self = *static_cast<LauncherChannel*>(poll->data);
    Reap(self.launcher_);
    StopPoll(self.process_poll_);
    self.End();
  }

  void End() {
    const Napi::HandleScope scope(Env());
    on_end_.MakeCallback(Value(), {}, context_);
    Unref();
  }

  uv_loop_t* loop_ = nullptr;
  UniqueFd socket_;
  UniqueFd pidfd_;
  uv_poll_t* socket_poll_ = nullptr;
  uv_poll_t* process_poll_ = nullptr;
  pid_t starter_ = -1;
  pid_t launcher_ = -1;
  bool active_ = true;
  std::deque<Packet> waiting_;
  Napi::FunctionReference on_messages_;
  Napi::FunctionReference on_end_;
  Napi::AsyncContext context_;
  char buffer_[sizeof(MessageHead) + kInlineBody];
};

Napi::Value MakePipe(const Napi::CallbackInfo& info) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) {
    Throw(info.Env(), Failure::Errno("POSIX_CALL_FAILED", "pipe2"));
    return info.Env().Undefined();
  }
  fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);  // what the system allows is enough
  Napi::Array ends = Napi::Array::New(info.Env(), 2);
  ends.Set(0u, Napi::Number::New(info.Env(), fds[0]));
  ends.Set(1u, Napi::Number::New(info.Env(), fds[1]));
  return ends;
}

}  // namespace

void InitChannel(Napi::Env env, Napi::Object exports) {
  LauncherChannel::Init(env, exports);
  exports.Set("makePipe", Napi::Function::New<MakePipe>(env, "makePipe"));
}

}  // namespace cloister
