/** Fetches what a failed build left in its build directory, and says where it is now. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KeptDirectory } from "../../derivations/build-result.ts";
import type { Service } from "../api/service.ts";
import type { Context } from "./context.ts";
import { errorData } from "./failure.ts";
import { cleanText } from "./terminal.ts";
import { unpackArchive } from "./unpack-archive.ts";

export interface KeptBuild {
  readonly recordId: string;
  readonly name: string;
  readonly kept: KeptDirectory;
}

/** The directory, below that for temporary files unless `into` is given. */
export async function fetchKeptBuild(
  context: Context,
  service: Service,
  build: Pick<KeptBuild, "recordId" | "name">,
  into?: string,
): Promise<string> {
  const name = build.name.replace(/[^\w.+-]/g, "_"); // as a derivation's is anyhow
  const prefix = join(into ?? tmpdir(), `cloister-${name}-`);
  return await unpackArchive(service.readKeptBuild(build.recordId, { signal: context.signal }), prefix);
}

/** The directories by record; what cannot be fetched is said, with the command that tries it again. */
export async function fetchKeptBuilds(
  context: Context,
  service: Service,
  builds: readonly KeptBuild[],
): Promise<ReadonlyMap<string, string>> {
  const directories = new Map<string, string>();
  const { paint } = context;
  for (const { recordId, name, kept } of builds) {
    const what = `what ${cleanText(name)} left`;
    if (kept.problem !== undefined) {
      context.say(`${paint.yellow("■")} ${what} is not kept: ${cleanText(kept.problem)}`);
      continue;
    }
    try {
      const directory = await fetchKeptBuild(context, service, { recordId, name });
      directories.set(recordId, directory);
      context.say(`${what}: ${paint.bold(directory)}`);
      const { leftOut = 0, leftOutNames = [] } = kept;
      if (leftOut > 0)
        context.say(paint.dim(`  without ${leftOut} that no archive holds: ${cleanText(leftOutNames.join(", "))}`));
    } catch (error) {
      context.signal.throwIfAborted();
      context.say(`${paint.yellow("■")} ${what} could not be fetched: ${cleanText(errorData(error).message)}`);
      context.say(`  ${paint.dim("to try again:")} ${paint.bold(`cloister recover ${recordId}`)}`);
    }
  }
  return directories;
}
