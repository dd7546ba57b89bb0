/** Runs the builder that types into its terminal; a process of its own, for what has a terminal is a process. */
import type { Strength } from "../../../sandbox-native/launcher.ts";
import { makeTemporaryLauncher } from "../../support/temporary-launcher.ts";
import { Bench } from "./both-ways.ts";

const [strength, removed = ""] = process.argv.slice(2);
await using here = await makeTemporaryLauncher({
  strength: strength as Strength,
  without: removed === "" ? [] : removed.split(","),
});
const bench = new Bench(here, strength as Strength, 1);
const { answer, log } = await bench.build(bench.spec("type-into-terminal", [], { outputs: [] }));
await bench.discard(answer);
process.stdout.write(log);
