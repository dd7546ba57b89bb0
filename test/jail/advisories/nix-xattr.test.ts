/**
 * Nix and Lix, setxattr and listxattr: an access control list or file capabilities on an output say something else than
 * its mode, and survive its being made canonical.
 */
import { out, storeDirectory } from "../../support/temporary-launcher.ts";
import { describeBothWays } from "./both-ways.ts";

describeBothWays({
  id: "Nix xattr",
  mechanism: "an output has extended attributes when it is in the store",
  without: ["seccomp", "attributes_removed"],
  eachHolds: true,
  async attack(bench) {
    const { answer } = await bench.build(bench.spec("attributes", ["set", `${storeDirectory}/${out}`]));
    const kept = await bench.here.keep(answer);
    const listed = await bench.startOutside("attributes", ["list", kept], "own").output;
    const names = listed.split("\n").filter((name) => name.startsWith("user.") || name.startsWith("system.posix"));
    return names.length > 0 ? names.join() : undefined;
  },
});
