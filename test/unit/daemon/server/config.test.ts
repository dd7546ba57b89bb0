import { expect, test } from "vitest";
import { type DaemonConfig, readConfig } from "../../../../daemon/server/config.ts";
import { defaultBlockedNetworks } from "../../../../sandbox-native/way-out.ts";

const printed: string[] = [];
const place = (environment: NodeJS.ProcessEnv = {}, uid = 1000) => ({
  environment: { HOME: "/home/ada", ...environment },
  uid,
  print: (text: string) => void printed.push(text),
  printError: (text: string) => void printed.push(text),
});

function read(argv: readonly string[], environment?: NodeJS.ProcessEnv, uid?: number): DaemonConfig {
  const config = readConfig(argv, place(environment, uid));
  if (typeof config === "number") throw new Error(printed.join(""));
  return config;
}

test("without a word: a store of one's own, which never ends by itself", () => {
  expect(read([])).toMatchObject({
    root: "/home/ada/.local/share/cloister",
    storeDirectory: "/cloister/store",
    socket: "/home/ada/.local/share/cloister/cloister/var/cloister/socket",
    strength: "auto",
    idleExitMs: 0,
    network: { mode: "auto", blocked: defaultBlockedNetworks },
  });
  expect(read(["--network", "required", "--blocked-networks", "10.0.0.0/8,fc00::/7"]).network).toEqual({
    ...{ mode: "required", blocked: ["10.0.0.0/8", "fc00::/7"] },
  });
  expect(read([], { XDG_DATA_HOME: "/data" }).root).toBe("/data/cloister");
  expect(read([], { XDG_DATA_HOME: "relative" }).root).toBe("/home/ada/.local/share/cloister");
});

test("the command line comes before the environment", () => {
  const environment = {
    ...{
      CLOISTER_ROOT: "/env",
      CLOISTER_STORE_DIR: "/nix/store",
      CLOISTER_STATE_DIR: "/var/x",
      CLOISTER_IDLE_EXIT: "5",
    },
    ...{ CLOISTER_STRENGTH: "single", CLOISTER_SOCKET: "" },
  };
  expect(read([], environment)).toMatchObject({
    ...{ root: "/env", storeDirectory: "/nix/store", stateDirectory: "/var/x", idleExitMs: 5000, strength: "single" },
    socket: "/env/var/x/socket",
  });
  const argv = ["--root", "/flag", "--store-dir", "/gnu/store", "--state-dir", "/var/y", "--idle-exit", "0"];
  expect(read([...argv, "--strength", "range", "--socket", "/run/s"], environment)).toMatchObject({
    ...{ root: "/flag", storeDirectory: "/gnu/store", stateDirectory: "/var/y", idleExitMs: 0, strength: "range" },
    socket: "/run/s",
  });
});

test("in the background it ends when idle; at the root of all it is for all", () => {
  expect(read(["--background"]).idleExitMs).toBe(60_000);
  expect(read(["--root", "/"], {}, 0)).toMatchObject({ socket: "/run/cloister/socket", trust: { allowedUids: "all" } });
  expect(read(["--root", "/", "--allow-user", "root"], {}, 0).trust.allowedUids).toEqual(new Set([0]));
  expect(read(["--allow-user", "*"]).trust.allowedUids).toBe("all");
  expect(read(["--trust-user", "1234"]).trust.trustedUids).toEqual(new Set([1000, 0, 1234]));
});

test("all limits are told by flags, by variables and by their defaults, as the launcher takes them", () => {
  expect(read([]).limits).toEqual({ processes: 16_384 });
  expect(
    read(["--memory", "1G", "--timeout", "3", "--cpus", "1.5"], { CLOISTER_LIMITS_LOG_SIZE: "2M" }).limits,
  ).toEqual({
    ...{ memoryBytes: 2 ** 30, timeoutMs: 3000, cpuThousandths: 1500, logBytes: 2 ** 21, processes: 16_384 },
  });
});

test("users and groups are told by names and numbers, several times or with commas", () => {
  const { trust } = read(["--allow-user", "root", "--allow-user", "1234", "--trust-user", "@root,@77"]);
  expect(trust.allowedUids).toEqual(new Set([0, 1234]));
  expect(trust.trustedGids).toEqual(new Set([0, 77]));
  expect(trust.trustedUids).toEqual(new Set([1000, 0]));
  expect(read([], { CLOISTER_ALLOWED_USERS: "@5,6" }).trust).toMatchObject({
    ...{ allowedUids: new Set([6]), allowedGids: new Set([5]) },
  });
});

test.each<[string, readonly string[], NodeJS.ProcessEnv, string]>([
  ["a user that is not there", ["--allow-user", "nobody-of-this-name"], {}, "CONFIG_USER_UNKNOWN"],
  ["a group that is not there", ["--trust-user", "@nobody-of-this-name"], {}, "CONFIG_GROUP_UNKNOWN"],
  ["another user's name without being root", ["--user", "root"], {}, "CONFIG_USER_NEEDS_ROOT"],
  ["a store directory that cannot be", ["--store-dir", "store"], {}, "STORE_DIRECTORY_INVALID"],
  ["a strength of the environment that is none", [], { CLOISTER_STRENGTH: "iron" }, "CONFIG_INVALID"],
  ["a number of the environment that is none", [], { CLOISTER_IDLE_EXIT: "soon" }, "CONFIG_INVALID"],
])("%s", (_, argv, environment, code) => {
  expect(() => readConfig(argv, place(environment))).toThrow(expect.objectContaining({ code }));
});

test("wrong usage is exit status 2 and says what was meant, help and version are 0", () => {
  printed.length = 0;
  expect(readConfig(["--max-job", "2"], place())).toBe(2);
  expect(printed.join("")).toContain("--max-jobs");
  expect(readConfig(["--max-jobs", "0"], place())).toBe(2);
  expect(readConfig(["--max-jobs", "many"], place())).toBe(2);
  expect(readConfig(["extra"], place())).toBe(2);
  expect(readConfig(["--version"], place())).toBe(0);
  printed.length = 0;
  expect(readConfig(["--help"], place())).toBe(0);
  expect(printed.join("")).toContain("Example:");
});
