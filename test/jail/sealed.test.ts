/**
 * Goal: nothing that a builder left, gave away or agreed upon changes an output once it is sealed, and nobody else comes
 * near it before.
 * Method: a builder (test/support/smuggler.c) tries to send descriptors to an accomplice outside, makes hard links and leaves
 * a process that writes for ever; the accomplice writes to all it was sent; then the output is hashed again.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hashTree } from "../../sandbox-native/read-tree.ts";
import { Accomplice } from "../support/accomplice.ts";
import { strengthsToTest } from "../support/granted-strengths.ts";
import { findProcesses } from "../support/processes.ts";
import { StaticBuilders } from "../support/static-builders.ts";
import {
  busyboxFile,
  makeTemporaryLauncher,
  out,
  shellSpec,
  storeDirectory,
  storeName,
  type TemporaryLauncher,
} from "../support/temporary-launcher.ts";

let builders: StaticBuilders;
let folder: string;
let accomplice: Accomplice;
beforeAll(async () => {
  builders = new StaticBuilders(["smuggler", "outside"]);
  folder = mkdtempSync(join(tmpdir(), "cloister-outside-"));
  chmodSync(folder, 0o755);
  accomplice = await Accomplice.start(builders.path("outside"), folder);
});
afterAll(async () => {
  await accomplice?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
  builders?.[Symbol.dispose]();
});

describe.for(await strengthsToTest())("in $strength strength", ({ strength, missing }) => {
  let here: TemporaryLauncher;
  beforeAll(async () => {
    if (missing !== "") return;
    here = await makeTemporaryLauncher({ strength });
    copyFileSync(builders.path("smuggler"), join(here.store, program));
    chmodSync(join(here.store, program), 0o555);
  });
  afterAll(() => here?.[Symbol.asyncDispose]());

  test("a sealed output stays as it was hashed, whoever the builder gave it to or left at work", async ({ skip }) => {
    skip(missing !== "", missing);
    for (let round = 0; round < 5; round += 1) {
      const { answer, log } = await here.run(smuggle());
      expect(log).toContain("sent 0\n");
      const output = answer.outputs[0];
      if (output?.kind !== "sealed") throw new Error(`not sealed, but ${JSON.stringify(output)}: ${log}`);
      const path = await here.keep(answer);
      expect(await accomplice.write()).toEqual({ connections: 0, descriptors: 0, written: 0 });
      expect(findProcesses(accomplice.name)).toEqual([accomplice.pid]);
      expect(Buffer.from((await hashTree(path)).narHash).toString("hex")).toBe(
        Buffer.from(output.narHash).toString("hex"),
      );
      // No other name leads to it, and nobody may write to it.
      expect(statSync(path)).toMatchObject({ nlink: 1, uid: process.geteuid?.(), size: 4096 });
      expect(statSync(path).mode & 0o7777).toBe(0o444);
      await here.launcher.remove([out]);
    }
  });

  test("a build that fails gives nothing away either", async ({ skip }) => {
    skip(missing !== "", missing);
    const { answer, log } = await here.run(smuggle("fail"));
    expect(answer.ending).toEqual({ kind: "exited", code: 1 });
    expect(log).toContain("sent 0\n");
    expect(answer.outputs).toEqual([]);
    expect(findProcesses(accomplice.name)).toEqual([accomplice.pid]);
    await here.launcher.discard([], [answer.view]);
  });

  test("two builds at once do not meet", async ({ skip }) => {
    skip(missing !== "", missing);
    const pair = await Promise.all([here.run(smuggle("meet")), here.run(smuggle("meet"))]);
    for (const { log } of pair) expect(log).toContain("waiting\nmet 0\n");
    await here.launcher.discard(
      [],
      pair.map(({ answer }) => answer.view),
    );
  });

  test("what one build kills, stops or renices is not another's", async ({ skip }) => {
    skip(missing !== "", missing);
    const begun = Promise.withResolvers<void>();
    const spec = shellSpec("echo begun; sleep 0.3; echo whole; echo made > $out");
    const pieces: Uint8Array[] = [];
    const onLog = (bytes: Uint8Array) => {
      pieces.push(bytes);
      begun.resolve();
    };
    const building = here.launcher.build({ spec, candidates: [], outputs: [{ name: out }] }, { onLog });
    await begun.promise;
    // It is process 1 itself, so that no signal of its own ends it.
    const log = await here.shell("kill -STOP -1; kill -9 -1; kill -CONT -1; echo here");
    expect(log).toContain("here");
    const answer = await building;
    expect(answer.ending).toEqual({ kind: "exited", code: 0 });
    expect(Buffer.concat(pieces).toString()).toBe("begun\nwhole\n");
    await here.launcher.discard([], [answer.view]);
  });

  test("somebody else, or the build's own uid outside, comes near no output or build directory", async ({ skip }) => {
    skip(missing !== "", missing);
    skip(process.geteuid?.() !== 0, "needs root, to be somebody else");
    skip(strength === "single", "needs a second uid, which single strength has not");
    const begun = Promise.withResolvers<void>();
    const cancel = new AbortController();
    const marker = `1${process.pid}`;
    const script = `umask 0; mkdir -m 777 $out; chmod 777 /build; echo x > $out/x; echo x > /build/x; echo begun; sleep ${marker}`;
    const building = here.launcher.build(
      { spec: shellSpec(script), candidates: [], outputs: [] },
      { onLog: () => begun.resolve(), signal: cancel.signal },
    );
    await begun.promise;
    const [pid] = findProcesses(`sleep ${marker}`);
    const uid = statSync(`/proc/${pid}`).uid;
    expect(uid).toBeGreaterThan(1000);
    const names = [here.staging, here.builds].flatMap((directory) =>
      readdirSync(directory, { recursive: true }).map((name) => join(directory, String(name))),
    );
    expect(names.filter((name) => name.endsWith("/x")).length).toBe(2); // so root can: they are there
    const places = [...names, here.staging, here.builds];
    const throughBuilder = [`/proc/${pid}/root/build/x`, `/proc/${pid}/cwd/x`, `/proc/${pid}/fd`];
    expect(await look(uid, places)).toBe("looked");
    expect(await look(65534, [...places, ...throughBuilder])).toBe("looked");
    cancel.abort();
    await building;
  });

  const program = storeName("s", "smuggler");

  function smuggle(how = "") {
    return {
      ...shellSpec("", { inputs: [program] }),
      builder: Buffer.from(`${storeDirectory}/${program}`),
      argv0: Buffer.from("smuggler"),
      args: [accomplice.name, accomplice.socketPath, how].map((text) => Buffer.from(text)),
      environment: [Buffer.from(`out=${storeDirectory}/${out}`)],
    };
  }
});

test("without a jail the accomplice gets descriptors, and changes what was made", async () => {
  const bare = mkdtempSync(join(tmpdir(), "cloister-bare-"));
  await using other = await Accomplice.start(builders.path("outside"), bare);
  try {
    mkdirSync(join(bare, "work"));
    const made = join(bare, "made");
    const child = spawn(builders.path("smuggler"), [other.name, other.socketPath], {
      cwd: join(bare, "work"),
      env: { out: made },
      stdio: "ignore",
    });
    await once(child, "exit");
    const left = findProcesses(other.name).filter((pid) => pid !== other.pid);
    expect(left.length).toBeGreaterThan(0);
    for (const pid of left) process.kill(pid, "SIGKILL");
    expect((await other.write()).written).toBeGreaterThan(0);
    expect(readFileSync(made, "latin1").slice(0, 7)).toBe("changed");
    expect(statSync(made).nlink).toBeGreaterThan(1);
  } finally {
    rmSync("/tmp/smuggled", { force: true });
    rmSync(bare, { recursive: true, force: true });
  }
});

/** Tries to read, write and list paths as a user, and says what it reached. */
async function look(uid: number, paths: readonly string[]): Promise<string> {
  const script = `for path in "$@"; do
      for way in "$path" "$path/x"; do
        cat "$way" 2>/dev/null && echo "read $way"
        { echo changed > "$way"; } 2>/dev/null && echo "wrote $way"
      done
      ls "$path" 2>/dev/null && echo "listed $path"
    done; echo looked`;
  const user = { uid, gid: uid, encoding: "utf8" } as const;
  const { stdout } = await promisify(execFile)(busyboxFile, ["sh", "-c", script, "look", ...paths], user);
  return stdout.trim();
}
