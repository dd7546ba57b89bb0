// What this machine's kernel grants, tried for real in a process of its own.
#pragma once

#include <string_view>

namespace cloister {

/// Tries a feature and writes one JSON object to descriptor 1: {"ok":true}, or {"ok":false,"step":…,"errno":…}. Gives the
/// exit status; 2 for a feature it does not know. Features: user-namespace, overlay, nothing.
int Probe(std::string_view feature);

}  // namespace cloister
