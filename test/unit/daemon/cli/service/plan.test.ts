import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { assertReachable, planInstall } from "../../../../../daemon/cli/service/plan.ts";

test("a program that the service's user could not reach: CLI_SERVICE_UNREACHABLE, with the folder that is closed", () => {
  const top = mkdtempSync(join(tmpdir(), "cloister-closed-"));
  try {
    const folder = join(top, "home", "bin");
    mkdirSync(folder, { recursive: true });
    chmodSync(top, 0o755);
    const program = { node: join(folder, "node"), folder: "/" };
    assertReachable(program);
    chmodSync(join(top, "home"), 0o700);
    expect(() => assertReachable(program)).toThrow(
      expect.objectContaining({
        code: "CLI_SERVICE_UNREACHABLE",
        details: { file: program.node, folder: join(top, "home") },
      }),
    );
  } finally {
    rmSync(top, { recursive: true });
  }
});

test("on this machine the files come first, then the user, its ids, and last what starts it", () => {
  const machine = { rootDirectory: "/", program: { node: "/usr/bin/node", folder: "/usr/lib/cloister" } };
  const programs = (manager: "systemd" | "init") =>
    planInstall({ ...machine, manager }).flatMap((step) => (step.kind === "run" ? [step.command[0]] : []));
  expect(programs("systemd").slice(-4)).toEqual(["systemd-tmpfiles", "systemctl", "systemctl", "systemctl"]);
  expect(programs("init").at(-1)).toBe("/etc/init.d/cloister");
});

test("a path with blanks, quotes, percent signs or dollars is the same path in the unit and in the script", () => {
  const program = { node: '/opt/a b/50%/$x/n"ode', folder: "/opt/it's" };
  const texts = (["systemd", "init"] as const).map((manager) =>
    planInstall({ rootDirectory: "/nowhere", manager, program }).flatMap((step) =>
      step.kind === "write" ? [step.text] : [],
    ),
  );
  expect(texts[0]?.join("")).toContain(
    'ExecStart="/opt/a b/50%%/$$x/n\\"ode" "/opt/it\'s/daemon/server/bin.js" --root /\n',
  );
  expect(texts[1]?.join("")).toContain("program='/opt/it'\\''s/daemon/server/bin.js'\n");
});
