/** A world's entries at the jail's root, build directories of both kinds, and the files put into them. */
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JailSpec } from "../../sandbox-native/jail-spec.ts";
import { strengthsToTest } from "../support/granted-strengths.ts";
import {
  busyboxFile,
  makeTemporaryLauncher,
  shellSpec,
  storeName,
  type TemporaryLauncher,
} from "../support/temporary-launcher.ts";

const world = storeName("w", "world");

function makeWorld(store: string): void {
  const top = join(store, world);
  for (const folder of ["usr/bin", "etc", "proc", "sys", "dev", "tmp", "build", "cloister", "opt"])
    mkdirSync(join(top, folder), { recursive: true });
  cpSync(busyboxFile, join(top, "usr/bin/busybox"));
  chmodSync(join(top, "usr/bin/busybox"), 0o4555);
  symlinkSync("busybox", join(top, "usr/bin/sh"));
  symlinkSync("usr/bin", join(top, "bin"));
  for (const file of ["passwd", "group", "hosts"]) writeFileSync(join(top, "etc", file), "");
  writeFileSync(join(top, "etc/world.conf"), "of the world\n");
  writeFileSync(join(top, "tmp/undeclared"), "");
  writeFileSync(join(top, "top-file"), "a file at the top\n");
}

describe.for(await strengthsToTest())("in $strength strength", ({ strength, missing }) => {
  let here: TemporaryLauncher;
  beforeAll(async () => {
    if (missing !== "") return;
    here = await makeTemporaryLauncher({ strength });
    makeWorld(here.store);
  });
  afterAll(() => here?.[Symbol.asyncDispose]());
  const inWorld = (script: string, changes: Partial<JailSpec> = {}) => ({
    ...shellSpec(script, { outputs: [], ...changes, inputs: [world] }),
    world,
    builder: Buffer.from("/bin/sh"),
    environment: [Buffer.from("PATH=/bin")],
  });
  const run = async (spec: JailSpec) => {
    const { answer, log } = await here.run(spec);
    await here.launcher.discard([], [answer.view]);
    return { ending: answer.ending, log };
  };

  test("a world's entries are at the root, without those that are the jail's own", async ({ skip }) => {
    skip(missing !== "", missing);
    const { log, ending } = await run(
      inWorld("busybox ls /; busybox ls /tmp /build; busybox cat /top-file; busybox readlink /bin; busybox ls /etc"),
    );
    expect(ending).toEqual({ kind: "exited", code: 0 });
    const top = "bin build cloister dev etc opt proc tmp top-file usr".replaceAll(" ", "\n");
    expect(log).toBe(`${top}\n/build:\n\n/tmp:\na file at the top\nusr/bin\ngroup\nhosts\npasswd\nworld.conf\n`);
  });

  test("the world's /etc says who the builder is, over its placeholders", async ({ skip }) => {
    skip(missing !== "", missing);
    const { log } = await run(inWorld("busybox cat /etc/world.conf /etc/hosts; busybox id -un"));
    expect(log).toBe("of the world\n127.0.0.1 localhost\n::1 localhost\nnixbld\n");
  });

  test("a world cannot be written, and its setuid bits count for nothing", async ({ skip }) => {
    skip(missing !== "", missing);
    const { log } = await run(
      inWorld(`for path in /new /usr/new /etc/new /opt/new; do busybox touch $path 2>/dev/null && echo wrote $path; done
        busybox touch /top-file /etc/passwd 2>/dev/null && echo touched; busybox id -u; busybox rm /bin 2>/dev/null && echo removed; true`),
    );
    expect(log).toBe("1000\n");
  });

  test("a world that is missing or no directory is a failed step that names it", async ({ skip }) => {
    skip(missing !== "", missing);
    const file = storeName("f", "file");
    writeFileSync(join(here.store, file), "");
    const { ending } = await run({ ...inWorld("true"), inputs: [world, file], world: file });
    expect(ending).toEqual({ kind: "setup-failed", step: "open-world", errno: 20, errnoName: "ENOTDIR", path: file });
  });

  const kinds = ["disk", "tmpfs"] as const;
  test.for(kinds)("files are put into a build directory on $0, as the builder's", async (kind, { skip }) => {
    skip(missing !== "", missing);
    const files = [
      { name: "script.sh", contents: Buffer.from("#!/bin/sh\necho ran\n"), executable: true },
      { name: ".attrs.json", contents: Buffer.from("{}"), executable: false },
      { name: "big", contents: Buffer.alloc(300_000, 1), executable: false },
    ];
    const buildDirectory = { inside: "/build", kind, sizeBytes: 0n, inodes: 0n };
    const { log } = await run(
      inWorld(
        "./script.sh; busybox cat .attrs.json; busybox wc -c big; echo more >> big; busybox stat -c '%u %g %a' . big script.sh",
        {
          files,
          buildDirectory,
        },
      ),
    );
    expect(log).toBe("ran\n{}300000 big\n1000 100 700\n1000 100 644\n1000 100 755\n");
  });

  test("a build directory in memory has its limits of bytes and of inodes", async ({ skip }) => {
    skip(missing !== "", missing);
    const buildDirectory = { inside: "/build", kind: "tmpfs" as const, sizeBytes: 65_536n, inodes: 10n };
    const { log } = await run(
      inWorld(
        `busybox dd if=/dev/zero of=big bs=4096 count=100 2>&1; busybox rm big
         for i in 1 2 3 4 5 6 7 8 9 10 11; do busybox touch $i || break; done 2>&1`,
        { buildDirectory },
      ),
    );
    expect(log).toMatch(/dd: .*No space left on device/);
    expect(log).toMatch(/touch: .*No space left on device/);
  });

  test("the build directory can be where Guix has it", async ({ skip }) => {
    skip(missing !== "", missing);
    const inside = "/tmp/guix-build-hello.drv-0";
    const buildDirectory = { inside, kind: "disk" as const, sizeBytes: 0n, inodes: 0n };
    expect((await run(inWorld("busybox pwd; echo x > file; busybox ls /tmp", { buildDirectory }))).log).toBe(
      `${inside}\nguix-build-hello.drv-0\n`,
    );
  });

  test("the store directory can be another one", async ({ skip }) => {
    skip(missing !== "", missing);
    const spec = {
      ...inWorld(`busybox ls /nix/store; echo x > /nix/store/${storeName("0", "out")}`),
      storeDirectory: "/nix/store",
    };
    const { answer } = await here.run({ ...spec, outputs: [storeName("0", "out")] });
    const kept = await here.keep(answer);
    expect(existsSync(kept)).toBe(true);
  });

  test("1,000 inputs are all there", async ({ skip }) => {
    skip(missing !== "", missing);
    const inputs = Array.from({ length: 1000 }, (_, index) => storeName("9", `input-${index}`));
    for (const name of inputs) {
      mkdirSync(join(here.store, name));
      writeFileSync(join(here.store, name, "file"), "");
    }
    const spec = inWorld("busybox ls -d /cloister/store/*/file | busybox wc -l");
    const { log, ending } = await run({ ...spec, inputs: [world, ...inputs] });
    expect([log, ending]).toEqual(["1000\n", { kind: "exited", code: 0 }]);
    expect(readdirSync(join(here.store, inputs[0] ?? ""))).toEqual(["file"]);
  });
});
