import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Status } from "../../../../daemon/api/service.ts";
import { findStorePlace, parseStorePlace } from "../../../../daemon/cli/store-path-argument.ts";
import { parseStoreDirectory } from "../../../../derivations/store-path.ts";

const base = "00bgd045z0d4icpbc2yyz4gx48ak44la-net-tools-1.60";
let directory: string;
let status: Status;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cloister-argument-"));
  status = {
    version: "0",
    buildId: "0",
    pid: 1,
    startedAtMs: 0,
    storeDirectory: parseStoreDirectory("/cloister/store"),
    realStoreDirectory: join(directory, "cloister/store"),
    stateDirectory: join(directory, "cloister/var/cloister"),
    strength: "single",
    system: "x86_64-linux",
    maxJobs: 1,
    runningBuilds: 0,
    waitingBuilds: 0,
    connections: 1,
    validPaths: 0,
  };
  mkdirSync(status.realStoreDirectory, { recursive: true });
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("what a person types for a store path", () => {
  test.each([
    ["a logical path", () => `/cloister/store/${base}`],
    ["a physical path", () => `${status.realStoreDirectory}/${base}`],
    ["a base name", () => base],
  ])("%s", (_name, text) => {
    expect(findStorePlace(text(), directory, status)).toEqual({ path: base, inside: "" });
  });

  test("a place inside, also with a slash at the end", () => {
    expect(findStorePlace(`/cloister/store/${base}/share/doc/`, directory, status)).toEqual({
      path: base,
      inside: "share/doc",
    });
  });

  test("a result link, a link to a link, and a place behind one", () => {
    symlinkSync(`${status.realStoreDirectory}/${base}`, join(directory, "result"));
    symlinkSync("result", join(directory, "again"));
    expect(findStorePlace("result", directory, status)).toEqual({ path: base, inside: "" });
    expect(findStorePlace("./again/bin/hello", directory, status)).toEqual({ path: base, inside: "bin/hello" });
  });

  test("links in a circle lead nowhere and do not hang", () => {
    symlinkSync("b", join(directory, "a"));
    symlinkSync("a", join(directory, "b"));
    expect(findStorePlace("a", directory, status)).toBeUndefined();
  });

  test.each(["/etc/passwd", "./nothing", "/cloister/store/not-a-path", "/cloister/store"])(
    "%s is no store path",
    (text) => {
      expect(() => parseStorePlace(text, directory, status)).toThrow(
        expect.objectContaining({ code: "CLI_PATH_UNKNOWN" }),
      );
    },
  );
});
