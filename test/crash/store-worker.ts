/** The process that test/crash/store-kills.ts kills: opens a store and works on it until it is dead or done. */
import { type CrashPoint, setCrashPoint } from "../../store/crash-points.ts";
import { openStore } from "../../store/store.ts";
import { PlainTreeWriter } from "../support/plain-tree-writer.ts";
import { workOn } from "../support/store-state.ts";
import { storeDirectory } from "../support/temporary-store.ts";

const [root = "", point = "", nth = "1", seed = "1", count = "60"] = process.argv.slice(2);
if (point !== "any-moment") setCrashPoint(point as CrashPoint, Number(nth));
const store = await openStore({
  storeDirectory,
  root,
  syncIntervalMs: 30,
  startWriter: async (layout) => new PlainTreeWriter(layout),
});
process.send?.("open");
await workOn(store, Number(seed), Number(count));
await store[Symbol.asyncDispose]();
process.exit(0);
