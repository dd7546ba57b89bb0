import { expect, test } from "vitest";
import { parseSettingsFile } from "../../../../daemon/settings/file.ts";

const read = (text: string) => Object.fromEntries(parseSettingsFile(text, "/c.toml").values);

test("settings have their values and lines, however TOML writes them", () => {
  const text = `# the settings
maxJobs = 4
"logLevel" = "debug"
blockedNetworks = [
  "10.0.0.0/8",
]
requireLimits = true

[limits]
memory = "2G"
processes = 100
timeout = 60 # a minute
`;
  expect(read(text)).toEqual({
    maxJobs: { value: 4, line: 2 },
    logLevel: { value: "debug", line: 3 },
    blockedNetworks: { value: ["10.0.0.0/8"], line: 4 },
    requireLimits: { value: true, line: 7 },
    "limits.memory": { value: 2 ** 31, line: 10 },
    "limits.processes": { value: 100, line: 11 },
    "limits.timeout": { value: 60_000, line: 12 },
  });
  expect(read('\nlimits = { silence = 5 }\nlimits."memory" = 7'.split("\n").slice(0, 2).join("\n"))).toEqual({
    "limits.silence": { value: 5000, line: 2 },
  });
  expect(read('limits.cpus = 1.5\nminFree = "1M"')).toEqual({
    "limits.cpus": { value: 1500, line: 1 },
    minFree: { value: 2 ** 20, line: 2 },
  });
  expect(read("")).toEqual({});
});

test("all that is wrong is told at once, each with its line, and unknown keys with the nearest known one", () => {
  const text = `maxJob = 3
cores = -1
allowedUsers = ["ada", 5]
[limits]
memroy = "1G"
silence = "soon"
[limit]
memory = 1
`;
  expect(() => parseSettingsFile(text, "/c.toml")).toThrow(
    expect.objectContaining({
      code: "CONFIG_FILE_INVALID",
      message: [
        '/c.toml:1: there is no setting "maxJob"; did you mean maxJobs?',
        "/c.toml:2: cores: it must be a whole number, at least 0",
        "/c.toml:3: allowedUsers.1: it must be a name",
        '/c.toml:5: there is no setting "limits.memroy"; did you mean limits.memory?',
        "/c.toml:6: limits.silence: it must be a whole number of seconds",
        '/c.toml:7: there is no setting "limit"',
      ].join("\n"),
    }),
  );
});

test.each([
  ["maxJobs = ", 1],
  ["cores = 1\n\nlimits = [", 3],
  ["cores = 1\ncores = 2", 2],
])("what is not TOML is told with its line: %j", (text, line) => {
  expect(() => parseSettingsFile(text, "/c.toml")).toThrow(
    expect.objectContaining({ code: "CONFIG_FILE_SYNTAX", details: expect.objectContaining({ line }) }),
  );
});

test.each([
  ['root = "relative"', "root: it must be an absolute path"],
  ['logLevel = "loud"', "logLevel: it is one of fatal, error, warn, info, debug, trace, silent"],
  ['requireLimits = "yes"', "requireLimits: it is true or false"],
  ["limits = 5", "limits: "],
  ['blockedNetworks = ["everything"]', "blockedNetworks.0: everything is no network"],
  ["maxJobs = 2026-01-01", "maxJobs: it must be a number"],
  ['user = ""', "user: it must not be empty"],
])("a value that cannot be is refused: %s", (text, says) => {
  expect(() => parseSettingsFile(text, "/c.toml")).toThrow(`/c.toml:1: ${says}`);
});
