import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type DaemonConfig, readConfig } from "../../../../daemon/server/config.ts";
import { LiveSettings } from "../../../../daemon/server/live-settings.ts";

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cloister-live-"));
  file = join(folder, "cloister.toml");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function read(): DaemonConfig {
  const quiet = () => {};
  const place = { environment: { HOME: folder }, uid: 1000, print: quiet, printError: quiet };
  const config = readConfig(["--config", file, "--cores", "1"], place);
  if (typeof config === "number") throw new Error("wrong usage");
  return config;
}

test("what cannot change keeps its value and is named again until the daemon starts again", () => {
  writeFileSync(file, "maxJobs = 2\ndrain = 1\n");
  const applied: DaemonConfig[] = [];
  const live = new LiveSettings(read(), read, (config) => void applied.push(config));
  const shown = (name: string) => live.describe().find((setting) => setting.name === name);

  writeFileSync(file, 'maxJobs = 3\ndrain = 2\ncores = 7\ntrustedUsers = ["1234"]\n');
  expect(live.reload()).toEqual({ applied: ["trustedUsers", "drain"], needRestart: ["maxJobs"] });
  expect(applied.at(-1)).toMatchObject({ drainMs: 2000, trust: { trustedUids: new Set([1000, 0, 1234]) } });
  expect(live.config.drainMs).toBe(2000);
  expect(shown("maxJobs")).toMatchObject({ value: 2, source: { kind: "file", line: 1 } });
  expect(shown("cores")).toMatchObject({ value: 1, source: { kind: "flag" } }); // a flag comes before the file

  expect(live.reload()).toEqual({ applied: [], needRestart: ["maxJobs"] });
  writeFileSync(file, "\nmaxJobs = 2\n");
  expect(live.reload()).toEqual({ applied: ["trustedUsers", "drain"], needRestart: [] });
  expect(shown("maxJobs")).toMatchObject({ value: 2, source: { kind: "file", line: 2 } });
});

test("a file with a mistake changes nothing", () => {
  writeFileSync(file, "drain = 1\n");
  let count = 0;
  const live = new LiveSettings(read(), read, () => void ++count);
  for (const text of ["drain = -1\n", "drian = 2\n", "drain =\n", 'trustedUsers = ["nobody-of-this-name"]\n']) {
    writeFileSync(file, text);
    expect(() => live.reload()).toThrow(expect.objectContaining({ code: expect.stringMatching(/^CONFIG_/) }));
  }
  expect({ count, drainMs: live.config.drainMs }).toEqual({ count: 0, drainMs: 1000 });
});
