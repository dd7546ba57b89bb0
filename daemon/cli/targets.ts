/** From what a person named to what the daemon builds: definitions are read and evaluated here, never in the daemon. */
import type { DerivedPath } from "../../derivations/derived-path.ts";
import type { Service, Status } from "../api/service.ts";
import { cacheDirectory } from "../definitions/cache-directory.ts";
import { loadTarget, resolveTarget } from "../definitions/target.ts";
import type { Context } from "./context.ts";
import { findStorePlace } from "./store-path-argument.ts";

export async function resolveTargets(
  context: Context,
  service: Service,
  status: Status,
  texts: readonly string[],
): Promise<readonly DerivedPath[]> {
  const derived: DerivedPath[] = [];
  for (const text of texts) derived.push(await resolveOne(context, service, status, text));
  return derived;
}

async function resolveOne(context: Context, service: Service, status: Status, text: string): Promise<DerivedPath> {
  const place = findStorePlace(text, context.cwd, status);
  if (place !== undefined && place.inside === "")
    return place.path.endsWith(".drv")
      ? { kind: "built", drvPath: place.path, outputs: "all" }
      : { kind: "opaque", path: place.path };
  const target = await loadTarget(text, { cwd: context.cwd });
  return resolveTarget(service, target, {
    system: status.system,
    storeDirectory: status.storeDirectory,
    cacheDirectory: cacheDirectory(process.env),
    onProgress: (line) => context.say(context.paint.dim(line)),
    signal: context.signal,
  });
}
