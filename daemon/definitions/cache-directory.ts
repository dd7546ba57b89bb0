/** Where this user's caches lie. Source: XDG Base Directory Specification 0.8; a relative value is ignored, as it says. */
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

export function cacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const set = environment["XDG_CACHE_HOME"];
  return join(set !== undefined && isAbsolute(set) ? set : join(homedir(), ".cache"), "cloister");
}
