/**
 * The strengths in which the tests of jails run: those that this machine grants to this user, or the one that
 * CLOISTER_STRENGTH names. Root has root and single, an ordinary user range and single.
 */
import { type Strength, startLauncher } from "../../sandbox-native/launcher.ts";
import { strengths } from "../../sandbox-native/launcher-messages.ts";
import { hasBusybox, makeTemporaryFolders } from "./temporary-launcher.ts";

export interface StrengthToTest {
  readonly strength: Strength;
  /** Why its tests are skipped, or "". */
  readonly missing: string;
}

export async function strengthsToTest(): Promise<StrengthToTest[]> {
  const asked = process.env.CLOISTER_STRENGTH ?? "auto";
  const own = process.geteuid?.() === 0 ? "root" : "range";
  const wanted = strengths.filter((strength) =>
    asked === "auto" ? strength === own || strength === "single" : strength === asked,
  );
  return Promise.all(wanted.map(async (strength) => ({ strength, missing: await findWhyNot(strength) })));
}

/** Why a test that takes any strength is skipped, or "". */
export async function findWhyNoStrength(): Promise<string> {
  const all = await strengthsToTest();
  return all.every(({ missing }) => missing !== "") ? "needs a machine that grants some strength" : "";
}

async function findWhyNot(strength: Strength): Promise<string> {
  if (!hasBusybox) return "needs a static /bin/busybox (apt-get install busybox-static)";
  await using folders = makeTemporaryFolders();
  try {
    await using _launcher = await startLauncher({ ...folders.options, strength, maxJobs: 1 });
    return "";
  } catch (error) {
    return `needs a machine and a user with ${strength} strength: ${(error as Error).message}`;
  }
}
