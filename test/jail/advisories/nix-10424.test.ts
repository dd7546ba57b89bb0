/**
 * Nix issue 10424: the filter named the system calls that set modes, and fchmodat2, which came later, was not among them.
 * Here what is not named is refused.
 */
import { describeBothWays } from "./both-ways.ts";

describeBothWays({
  id: "nix#10424",
  mechanism: "a file becomes setuid by a system call that somebody forgot, or one that is newer than the filter",
  without: ["seccomp"],
  async attack(bench) {
    const { answer, log } = await bench.build(bench.spec("set-bits", ["/build/files"], { outputs: [] }));
    await bench.discard(answer);
    return log === "" ? undefined : log;
  },
});
