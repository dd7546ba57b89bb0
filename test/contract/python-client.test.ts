/** docs/protocol.md is enough for a client in another language: here is one, which shares no line with ours. */
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { printDerivation } from "../../derivations/aterm.ts";
import { referencesOf } from "../../derivations/derivation.ts";
import { packageFolder } from "../../sandbox-native/pinned-node.mjs";
import { missingBusybox } from "../support/busybox.ts";
import { missingJails } from "../support/command-line.ts";
import { LocalBuilds } from "../support/local-builds.ts";
import { storeDirectory } from "../support/temporary-store.ts";
import { TestDaemon } from "../support/test-daemon.ts";

const python = "/usr/bin/python3"; // the system's, which has the system's packages
const missingMsgpack = spawnSync(python, ["-c", "import msgpack"]).status !== 0;
const library = join(packageFolder, "test/support/cloister_client.py");

test("a client of 200 lines of Python adds, builds, fetches, cancels", async ({ skip }) => {
  skip(missingMsgpack, "needs msgpack for Python (python3-msgpack)");
  skip(missingBusybox, "needs a static busybox (busybox-static)");
  skip(missingJails !== "", missingJails);
  await using daemon = await TestDaemon.start();
  await using client = await daemon.connect();
  const builds = await LocalBuilds.over(client, daemon.root);
  const { derivation } = await builds.derive({ name: "from-python", script: "echo hello python; mkdir $out" });
  const slow = await builds.derive({ name: "slow", script: "sleep 100" });

  const child = spawn(python, [join(packageFolder, "test/contract/use_client.py"), daemon.socket], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.end(
    JSON.stringify({
      name: "from-python.drv",
      text: Buffer.from(printDerivation(storeDirectory, derivation)).toString("latin1"),
      references: [...referencesOf(derivation)],
      slow: slow.drvPath,
    }),
  );
  const [out, complaints] = await Promise.all([text(child.stdout), text(child.stderr)]);
  expect(complaints).toBe("");
  expect(JSON.parse(out)).toMatchObject({
    role: "trusted",
    status: { storeDirectory, pid: process.pid },
    ...{ sameBytes: true, sameArchive: true, sameText: true, validMeanwhile: true },
    results: [{ status: "built" }],
    events: ["plan", "build-started", "build-log", "build-finished"],
    log: "hello python\n",
    error: { code: "STORE_PATH_NOT_VALID", hint: expect.stringMatching(/\w/) },
    cancelled: "REQUEST_CANCELLED",
  });
});

test("it has 200 lines at most", () => {
  expect(readFileSync(library, "utf8").split("\n").length).toBeLessThanOrEqual(200);
});
