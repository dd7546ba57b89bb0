/** A machine that does not grant what a jail needs: no build runs with less, and the error says which step failed. */
import { execFileSync, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { strengthsToTest } from "../support/granted-strengths.ts";

const program = fileURLToPath(new URL("../support/start-and-tell.ts", import.meta.url));
const single = (await strengthsToTest()).find(({ strength }) => strength === "single");
const works = single?.missing === "" && spawnSync("unshare", ["-r", "true"]).status === 0;
const missing = "needs single strength and unshare (util-linux)";

/** Starts a launcher where the kernel has this setting, which a user namespace can lower for itself. */
function startWhere(setting: string, value: number, strength: string) {
  const script = `echo ${value} > /proc/sys/user/${setting} && exec "$0" "$@"`;
  const args = ["-r", "sh", "-c", script, process.execPath, program, strength];
  return JSON.parse(execFileSync("unshare", args, { encoding: "utf8" })) as {
    code?: string;
    details?: { step?: string; errnoName?: string; reasons?: string[] };
    ending?: unknown;
  };
}

test("without user namespaces there is no strength to take, and each one's reason is told", ({ skip }) => {
  skip(!works, missing);
  const { code, details } = startWhere("max_user_namespaces", 0, "auto");
  expect(code).toBe("NO_STRENGTH_AVAILABLE");
  expect(details?.reasons).toHaveLength(3);
  expect(details?.reasons?.at(-1)).toContain("make-user-namespace failed with ENOSPC");
});

test("a strength that was asked for is not replaced by another", ({ skip }) => {
  skip(!works, missing);
  const { code, details } = startWhere("max_user_namespaces", 0, "single");
  expect([code, details?.step]).toEqual(["STRENGTH_UNAVAILABLE", "make-user-namespace"]);
});

test("without network namespaces for jails no build runs", ({ skip }) => {
  skip(!works, missing);
  const { code, details, ending } = startWhere("max_net_namespaces", 1, "single");
  expect([code, details?.step, details?.errnoName, ending]).toEqual([
    "JAIL_STEP_FAILED",
    "make-network-namespace",
    "ENOSPC",
    undefined,
  ]);
});

test("where nothing is lowered the same start works", ({ skip }) => {
  skip(!works, missing);
  expect(startWhere("max_net_namespaces", 1000, "single")).toEqual({ ending: { kind: "exited", code: 0 } });
});
