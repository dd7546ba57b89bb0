/**
 * Nix 1.11.10 (2017): a builder leaves a setuid program in its output, with which the users of the machine become the
 * user of the builds, or of the store.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { out, storeDirectory } from "../../support/temporary-launcher.ts";
import { describeBothWays } from "./both-ways.ts";

describeBothWays({
  id: "Nix 1.11.10",
  mechanism: "an output has a setuid program when it is in the store",
  without: ["seccomp", "canonical_modes"],
  eachHolds: true,
  async attack(bench) {
    const { answer } = await bench.build(bench.spec("set-bits", [`${storeDirectory}/${out}`]));
    const kept = await bench.here.keep(answer);
    const found = readdirSync(kept).filter((name) => (statSync(join(kept, name)).mode & 0o6000) !== 0);
    return found.length > 0 ? `setuid by ${found}` : undefined;
  },
});
