// Node keeps the code that it compiled for the next start, which saves a command a third of its time to load. In a folder of
// the user's own: what lies in one for all, such as /tmp, could be made by anyone, and it is run. Plain JavaScript, as the
// bins that load it.
import * as nodeModule from "node:module";
import { join } from "node:path";

/** Does nothing where Node cannot or the folder cannot be made. */
export async function keepCompiledCode() {
  const { cacheDirectory } = await import("../dist/daemon/definitions/cache-directory.js");
  nodeModule.enableCompileCache?.(join(cacheDirectory(process.env), "compiled-code"));
}
