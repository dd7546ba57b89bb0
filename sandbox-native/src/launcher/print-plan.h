// The steps of a jail as text: for people who want to know, and for a golden test.
#pragma once

namespace cloister {

/// Reads the body of a build's order from descriptor 0 and writes its plan, a step a line. Gives the exit status. Inputs
/// and the world's entries are taken to be directories: no store is looked at.
int PrintPlan();

}  // namespace cloister
