import { expect, test } from "vitest";
import { wantsColours } from "../../../../daemon/cli/context.ts";

test.each([
  [true, {}, true],
  [false, {}, false],
  [true, { TERM: "dumb" }, false],
  [true, { NO_COLOR: "1" }, false],
  [true, { NO_COLOR: "" }, true],
  [true, { CLICOLOR: "0" }, false],
  [false, { CLICOLOR: "1" }, false],
  [false, { CLICOLOR_FORCE: "1" }, true],
  [false, { CLICOLOR_FORCE: "0" }, false],
  [false, { CLICOLOR_FORCE: "1", CLICOLOR: "0", TERM: "dumb" }, true],
  [false, { FORCE_COLOR: "1" }, true],
  [false, { FORCE_COLOR: "" }, true],
  [true, { FORCE_COLOR: "0" }, false],
  [true, { FORCE_COLOR: "1", CLICOLOR_FORCE: "1", NO_COLOR: "1" }, false],
])("on a terminal: %s, with %j: %s", (isTTY, environment, wanted) => {
  expect(wantsColours({ isTTY }, environment)).toBe(wanted);
});
