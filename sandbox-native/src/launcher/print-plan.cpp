#include "launcher/print-plan.h"

#include <unistd.h>

#include <cstring>
#include <string>

#include "launcher/build.h"
#include "linux/jail-plan.h"

namespace cloister {
namespace {

void Append(std::string& text, const Plan& plan) {
  const char* previous = "";
  for (size_t index = 0; index < plan.size(); ++index) {
    const Step& step = plan[index];
    if (step.path == nullptr && std::strcmp(previous, step.name) == 0) continue;  // 41 dropped capabilities are one line
    previous = step.name;
    text += step.name;
    if (step.path != nullptr) text.append(" ").append(step.path);
    text += '\n';
  }
}

bool WriteWhole(std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = write(STDOUT_FILENO, text.data(), text.size());
    if (size <= 0) return false;
    text.remove_prefix(static_cast<size_t>(size));
  }
  return true;
}

}  // namespace

int PrintPlan() {
  std::string body;
  char buffer[4096];
  for (ssize_t size; (size = read(STDIN_FILENO, buffer, sizeof buffer)) > 0;) body.append(buffer, static_cast<size_t>(size));
  const std::optional<BuildOrder> order = ReadBuildOrder(body);
  if (!order) return 2;

  JailMounts mounts;
  mounts.etc.push_back({JailEntry::Kind::kDirectory, "etc", -1, {}});
  std::string text;
  Append(text, MakePreparePlan(JailHost{}));
  text += "-- prepared; what follows is known only when a build is ordered\n";
  Append(text, MakeFinishPlan(order->spec, mounts, 5, 64));
  return WriteWhole(text) ? 0 : 1;
}

}  // namespace cloister
