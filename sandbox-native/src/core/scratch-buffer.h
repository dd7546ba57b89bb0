// A buffer that a thread keeps for its next task: fresh memory costs a page fault for every 4 KiB of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace cloister {

class ScratchBuffer {
 public:
  static constexpr size_t kSize = 256 * 1024;

  ScratchBuffer() noexcept : data_(std::exchange(Kept().data, nullptr)) {
    if (data_ == nullptr) data_ = static_cast<uint8_t*>(std::malloc(kSize));
    if (data_ == nullptr) std::abort();  // As operator new does without exceptions.
  }
  ~ScratchBuffer() { std::free(std::exchange(Kept().data, data_)); }
  ScratchBuffer(const ScratchBuffer&) = delete;
  ScratchBuffer& operator=(const ScratchBuffer&) = delete;

  uint8_t* data() noexcept { return data_; }
  static constexpr size_t size() noexcept { return kSize; }

 private:
  struct Keeper {
    uint8_t* data;
    ~Keeper() { std::free(data); }
  };
  static Keeper& Kept() noexcept {
    static thread_local Keeper kept{nullptr};
    return kept;
  }

  uint8_t* data_;
};

}  // namespace cloister
