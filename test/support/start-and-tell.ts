/**
 * A program: starts a launcher and a build and says as JSON how that went: { code, details } of the error, or { ending }.
 * usage: start-and-tell.ts STRENGTH
 */
import { CloisterError } from "../../derivations/error.ts";
import type { Strength } from "../../sandbox-native/launcher.ts";
import { makeTemporaryLauncher, shellSpec } from "./temporary-launcher.ts";

const [strength] = process.argv.slice(2) as ["auto" | Strength];
try {
  await using here = await makeTemporaryLauncher({ strength });
  const { answer } = await here.run(shellSpec("true", { outputs: [] }));
  process.stdout.write(JSON.stringify({ ending: answer.ending }));
} catch (error) {
  if (!(error instanceof CloisterError)) throw error;
  process.stdout.write(JSON.stringify({ code: error.code, details: error.details }));
}
