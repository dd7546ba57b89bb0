/** The process that test/crash/store-kills.ts kills: opens a store and works on it until it is dead or done. */
import { type CrashPoint, setCrashPoint } from "../../store/crash-points.ts";
import { openStore } from "../../store/store.ts";
import { workOn } from "../support/store-state.ts";
import { storeDirectory } from "../support/temporary-store.ts";
import { type WriterKind, writerStarter } from "../support/tree-writers.ts";

const [root = "", writer = "", point = "", nth = "", seed = ""] = process.argv.slice(2);
if (point !== "any-moment") setCrashPoint(point as CrashPoint, Number(nth));
const store = await openStore({
  storeDirectory,
  root,
  syncIntervalMs: 30,
  startWriter: writerStarter(writer as WriterKind),
});
process.send?.("open");
await workOn(store, Number(seed), 60);
await store[Symbol.asyncDispose]();
process.exit(0);
