import { describe, expect, test } from "vitest";
import { CliError } from "../../../../daemon/cli/errors.ts";
import { errorData, printFailure } from "../../../../daemon/cli/failure.ts";
import { Painter } from "../../../../daemon/cli/terminal.ts";
import { CloisterError } from "../../../../derivations/error.ts";

const paint = new Painter({ colours: false });

describe("an error as a person reads it", () => {
  test("what failed with its code, why, and what to do", () => {
    const cause = new Error("the disk is gone");
    const error = new CliError("CLI_FILE_UNREADABLE", { path: "/x", reason: "no" }, { cause });
    expect(printFailure(error, paint)).toBe(
      "error: /x cannot be read: no [CLI_FILE_UNREADABLE]\nbecause: the disk is gone\nhint: Check the name and its permissions",
    );
  });

  test("the code is on the first of several lines", () => {
    const error = new CloisterError({ code: "X", message: "it differs:\n  one\n  two", hint: "", details: {} });
    expect(printFailure(error, paint)).toBe("error: it differs: [X]\n  one\n  two");
  });

  test("nothing in it reaches the terminal raw", () => {
    const error = new CliError("CLI_FILE_UNREADABLE", { path: "/a\u001b]0;title\u0007b\u001b[2J", reason: "\r" });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
    expect(printFailure(error, paint)).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  });

  test("causes that refer to each other end", () => {
    const first = new Error("first");
    const second = new Error("second", { cause: first });
    first.cause = second;
    expect(printFailure(first, paint).split("because:").length).toBeLessThan(7);
  });

  test("a cause is told once: not again where the message has it already", () => {
    const cause = new Error("no space is left");
    const error = new CliError("CLI_FILE_UNREADABLE", { path: "/a", reason: "no space is left" }, { cause });
    expect(printFailure(error, paint)).not.toContain("because:");
    const other = new CliError("CLI_FILE_UNREADABLE", { path: "/a", reason: "it failed" }, { cause });
    expect(printFailure(other, paint)).toContain("because: no space is left");
  });

  test("what is no error of ours is our fault, and says how to report it", () => {
    expect(errorData(new TypeError("x is undefined"))).toMatchObject({ code: "INTERNAL", message: "x is undefined" });
    expect(errorData("").message).toBe("something failed without saying why");
  });
});
