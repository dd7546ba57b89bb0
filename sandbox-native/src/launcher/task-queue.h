// Threads that do what is put in their queue, first in, first out.
#pragma once

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>

#include "core/result.h"
#include "launcher/thread.h"

namespace cloister {

class TaskQueue {
 public:
  using Task = std::function<void()>;

  /// Starts the threads, which live as long as the process; `name` (a literal, to 15 characters) is what ps shows.
  /// `niceness` above 0 makes them give way to all others. Fails as StartThread.
  Result<void> Start(const char* name, unsigned int threads, int niceness = 0) {
    name_ = name;
    niceness_ = niceness;
    for (unsigned int index = 0; index < threads; ++index) {
      if (Result<void> started = StartThread(&TaskQueue::Main, this); !started.ok()) return started;
    }
    return {};
  }

  void Push(Task task) {
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    ready_.notify_one();
  }

  /// How many wait.
  size_t size() {
    const std::lock_guard lock(mutex_);
    return tasks_.size();
  }

 private:
  static void* Main(void* self) {
    static_cast<TaskQueue*>(self)->Run();
    return nullptr;
  }

  [[noreturn]] void Run() {
    pthread_setname_np(pthread_self(), name_);
    if (niceness_ > 0) setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), niceness_);
    for (;;) {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return !tasks_.empty(); });
      const Task task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
  }

  const char* name_ = "";
  int niceness_ = 0;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Task> tasks_;
};

}  // namespace cloister
