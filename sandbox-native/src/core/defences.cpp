#include "core/defences.h"

#if defined(CLOISTER_TEST_DEFENCES)

#include <unistd.h>

#include <string_view>

namespace cloister {
namespace {

constexpr std::string_view kPrefix = "without=";

uint64_t taken_out = 0;
const char* argument = nullptr;

uint64_t BitOf(Defence defence) { return uint64_t{1} << static_cast<unsigned int>(defence); }

uint64_t BitOfName(std::string_view name) {
  for (const NamedDefence& row : kDefences)
    if (name == row.name) return BitOf(row.defence);
  _exit(2);
}

}  // namespace

bool HasDefence(Defence defence) noexcept { return (taken_out & BitOf(defence)) == 0; }

int TakeDefencesOut(int count, char** arguments) {
  if (count == 0 || !std::string_view(arguments[count - 1]).starts_with(kPrefix)) return count;
  argument = arguments[count - 1];
  std::string_view names = std::string_view(argument).substr(kPrefix.size());
  while (!names.empty()) {
    const size_t end = names.find(',');
    taken_out |= BitOfName(names.substr(0, end));
    names = end == std::string_view::npos ? std::string_view() : names.substr(end + 1);
  }
  arguments[count - 1] = nullptr;
  return count - 1;
}

const char* DefencesTakenOut() noexcept { return argument; }

}  // namespace cloister

#endif
