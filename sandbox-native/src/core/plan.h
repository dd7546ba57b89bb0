// A plan: system calls ready to make, as data. It can be printed and compared; what runs it knows nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cloister {

/// One system call; all that it points to belongs to the plan.
struct Step {
  const char* name;           // "pivot-root": for the report, as is the path the step is about (or null)
  const char* path;
  long number;                // SYS_pivot_root
  unsigned long argument[6];
  uint8_t from_slot;          // bit i: argument i names the slot in which an earlier step left its result
  int8_t to_slot;             // the slot that keeps this step's result (a descriptor, say), or -1
  long least;                 // the smallest result that is success: 0, or 1 for a read that must get its byte
};

inline constexpr int kSlots = 4;

/// The steps of a plan and the strings and structures that they point to, which stay where they are.
class Plan {
 public:
  Plan() = default;
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  Plan(Plan&&) = default;
  Plan& operator=(Plan&&) = default;

  const Step* data() const noexcept { return steps_.data(); }
  size_t size() const noexcept { return steps_.size(); }
  const Step& operator[](size_t index) const noexcept { return steps_[index]; }

  /// A string that lives as long as the plan.
  const char* Keep(std::string_view text) { return strings_.emplace_back(text).c_str(); }

  /// Bytes, pointers or a structure that live as long as the plan.
  template <class T>
  T* KeepArray(std::vector<T> items) {
    static_assert(alignof(T) <= alignof(std::max_align_t));
    const size_t size = items.size() * sizeof(T);
    std::vector<std::max_align_t>& block = blocks_.emplace_back((size + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t));
    T* kept = reinterpret_cast<T*>(block.data());
    for (size_t index = 0; index < items.size(); ++index) kept[index] = items[index];
    return kept;
  }

  /// Adds a system call; pointers and numbers are given as they are.
  template <class... Arguments>
  Step& Add(const char* name, const char* path, long number, Arguments... arguments) {
    static_assert(sizeof...(arguments) <= 6);
    steps_.push_back(Step{name, path, number, {Word(arguments)...}, 0, -1, 0});
    return steps_.back();
  }

 private:
  template <class T>
  static unsigned long Word(T value) noexcept {
    if constexpr (std::is_pointer_v<T>) {
      return reinterpret_cast<unsigned long>(value);
    } else if constexpr (std::is_null_pointer_v<T>) {
      return 0;
    } else {
      return static_cast<unsigned long>(value);
    }
  }

  std::vector<Step> steps_;
  std::deque<std::string> strings_;
  std::deque<std::vector<std::max_align_t>> blocks_;
};

/// Where a plan stopped: the index of its step and the errno (0: the result was too small).
struct StepFailure {
  uint32_t step;
  int32_t error;
};

}  // namespace cloister
