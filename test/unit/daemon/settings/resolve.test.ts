import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { printSource } from "../../../../daemon/api/setting-values.ts";
import { resolveSettings } from "../../../../daemon/settings/resolve.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cloister-settings-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function write(text: string): string {
  const file = join(folder, "config", "cloister", "cloister.toml");
  mkdirSync(join(folder, "config", "cloister"), { recursive: true });
  writeFileSync(file, text);
  return file;
}

test("a flag comes before a variable, a variable before the file, the file before the default, and each says so", () => {
  const file = write('maxJobs = 3\ncores = 3\ndrain = 3\n[limits]\nmemory = "3M"\n');
  const environment = { XDG_CONFIG_HOME: join(folder, "config"), CLOISTER_MAX_JOBS: "2", CLOISTER_CORES: "2" };
  const { values, sources } = resolveSettings({ flags: { maxJobs: 1 }, environment });
  expect(values).toMatchObject({ maxJobs: 1, cores: 2, drain: 3, "limits.memory": 3 * 2 ** 20, maxConnections: 1000 });
  expect(
    (["maxJobs", "cores", "drain", "limits.memory", "maxConnections"] as const).map((name) =>
      printSource(sources[name]),
    ),
  ).toEqual(["--max-jobs", "CLOISTER_CORES", `${file}:3`, `${file}:5`, "default"]);
});

test("one's own file is not that of the system's daemon, and a file that is named is the only one", () => {
  const own = write("cores = 3");
  const environment = { HOME: folder, XDG_CONFIG_HOME: join(folder, "config") };
  expect(resolveSettings({ flags: {}, environment }).file).toBe(own);
  expect(resolveSettings({ flags: { root: "/" }, environment }).file).toBe("/etc/cloister/cloister.toml");
  expect(resolveSettings({ flags: {}, environment: { HOME: folder } }).file).toBe(
    `${folder}/.config/cloister/cloister.toml`,
  );
  const named = join(folder, "other.toml");
  writeFileSync(named, "drain = 1");
  expect(resolveSettings({ flags: {}, environment, file: named }).values).toMatchObject({ cores: 0, drain: 1 });
});

test("a file that is named and not there, or cannot be read, is an error; one's own need not be there", ({ skip }) => {
  const environment = { HOME: folder };
  expect(resolveSettings({ flags: {}, environment }).values.cores).toBe(0);
  const unreadable = expect.objectContaining({ code: "CONFIG_FILE_UNREADABLE" });
  expect(() => resolveSettings({ flags: {}, environment, file: join(folder, "none") })).toThrow(unreadable);
  expect(() => resolveSettings({ flags: {}, environment, file: folder })).toThrow(unreadable);
  skip(process.getuid?.() === 0, "needs a user who may not read everything");
  const file = write("cores = 3");
  chmodSync(file, 0);
  expect(() => resolveSettings({ flags: {}, environment: { XDG_CONFIG_HOME: join(folder, "config") } })).toThrow(
    unreadable,
  );
});
