/**
 * Machines that lack something, as far as one can be imitated on another: `doctor` says what and gives a command, and a
 * build in a strength that is not granted fails and takes no weaker one.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packageFolder } from "../../sandbox-native/pinned-node.mjs";
import type { Probe } from "../../sandbox-native/probe.ts";
import { StaticBuilders } from "../support/static-builders.ts";

const isRoot = process.geteuid?.() === 0;
const has = (program: string) => spawnSync("which", [program]).status === 0;

let builders: StaticBuilders;
let home: string;
beforeAll(() => {
  builders = new StaticBuilders(["confine"]);
  home = mkdtempSync(join(tmpdir(), "cloister-doctor-"));
});
afterAll(() => {
  builders[Symbol.dispose]();
  rmSync(home, { recursive: true, force: true });
});

interface Machine {
  readonly name: string;
  /** What comes before the command. */
  readonly wrap: () => readonly string[];
  readonly missing?: string;
  /** What doctor says: the line's name, and what its detail and its remedy hold. */
  readonly says: readonly (readonly [name: string, detail: RegExp, remedy: RegExp | undefined])[];
  /** The strengths that it does not grant. */
  readonly refuses: readonly ("range" | "root" | "single")[];
}

const machines: readonly Machine[] = [
  {
    name: "without user namespaces for anybody",
    wrap: () => [builders.path("confine"), "no-user-namespaces"],
    says: [
      ["user namespaces", /make-user-namespace failed with EPERM/, undefined],
      ["system call filter", /seccomp filter/, /--security-opt seccomp=unconfined/],
    ],
    refuses: ["range", "single"],
  },
  {
    name: "in a container with Docker's filter",
    wrap: () => [builders.path("confine"), "container"],
    says: [["system call filter", /seccomp filter/, /docker run --security-opt seccomp=unconfined/]],
    refuses: ["range", "root", "single"],
  },
  {
    name: "where user.max_user_namespaces is 0",
    wrap: () => ["unshare", "-Ur", "sh", "-c", 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"', "sh"],
    ...(has("unshare") ? {} : { missing: "needs unshare (util-linux)" }),
    says: [["user namespaces", /max_user_namespaces is 0/, /^sudo sysctl user\.max_user_namespaces=15000$/]],
    refuses: ["range", "single"],
  },
  {
    name: "of a root without CAP_SYS_ADMIN",
    wrap: () => ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"],
    ...(isRoot && has("setpriv") ? {} : { missing: "needs root and setpriv (util-linux)" }),
    says: [["root", /lacks CAP_SYS_ADMIN/, /docker run --cap-add SYS_ADMIN/]],
    refuses: ["root"],
  },
];

describe.for(machines)("on a machine $name", ({ wrap, missing, says, refuses }) => {
  const run = (args: readonly string[]) => {
    const [program = "", ...rest] = [...wrap(), process.execPath, join(packageFolder, "daemon/cli/bin.js"), ...args];
    return spawnSync(program, rest, {
      cwd: "/",
      encoding: "utf8",
      env: { PATH: process.env.PATH ?? "", HOME: home, CLOISTER_ROOT: join(home, "root") },
    });
  };

  test("doctor says what it lacks and how to mend it", ({ skip }) => {
    skip(missing !== undefined, missing ?? "");
    const { stdout, stderr } = run(["doctor", "--json"]);
    expect(stderr).toBe("");
    const probe = JSON.parse(stdout) as Probe;
    for (const [name, detail, remedy] of says) {
      const line = probe.lines.find((one) => one.name === name);
      expect(line).toMatchObject({ name, detail: expect.stringMatching(detail) });
      expect(line?.ok).not.toBe(true);
      if (remedy !== undefined) expect(line?.remedy).toMatch(remedy);
    }
    for (const strength of refuses) {
      expect([strength, probe.strengths[strength].ok]).toEqual([strength, false]);
      expect(probe.strengths[strength].remedy ?? "").not.toBe("");
    }
  });

  test("a daemon that is asked for a strength it does not grant says so and does not start", ({ skip }) => {
    skip(missing !== undefined, missing ?? "");
    for (const strength of refuses) {
      const { status, stdout, stderr } = run(["daemon", "--strength", strength]);
      expect([strength, status]).toEqual([strength, 1]);
      expect(stdout + stderr).toContain("STRENGTH_UNAVAILABLE");
      expect(stdout + stderr).toContain(`does not grant ${strength} strength`);
    }
  });
});
