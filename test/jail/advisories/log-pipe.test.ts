/** No advisory, but of their class: what one build changes of a thing that the next one is given too. */
import { describeBothWays } from "./both-ways.ts";

describeBothWays({
  id: "the log's pipe",
  mechanism: "a builder changes the flags and the size of the pipe that later builds write their logs to",
  without: ["log_pipe_reset"],
  async attack(bench) {
    const show = async () => {
      const { answer, log } = await bench.build(bench.spec("pipe-flags", ["show"], { outputs: [] }));
      await bench.discard(answer);
      return log;
    };
    const before = await show();
    // Any of the launcher's threads may take a build, and each has its pipe.
    for (let build = 0; build < 12; build++) {
      const { answer } = await bench.build(bench.spec("pipe-flags", ["change"], { outputs: [] }));
      await bench.discard(answer);
    }
    for (let build = 0; build < 12; build++) {
      const after = await show();
      if (after !== before) return after;
    }
    return undefined;
  },
});
