import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cleanLogLine, cleanText, TerminalCleaner } from "../../../../daemon/cli/terminal.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");

function clean(text: string | Uint8Array, colours = true): string {
  const cleaner = new TerminalCleaner({ colours });
  return cleaner.push(typeof text === "string" ? Buffer.from(text, "utf8") : text) + cleaner.end();
}

describe("what a builder prints reaches the terminal without its power", () => {
  test.each([
    ["colours stay", "\u001b[31mred\u001b[0m", "\u001b[31mred\u001b[0m"],
    ["the cursor is not moved", "a\u001b[2Jb\u001b[1;1Hc", "abc"],
    ["the title is not set", "a\u001b]0;evil\u0007b", "ab"],
    ["the clipboard is not written (OSC 52, ended by ST)", "a\u001b]52;c;ZXZpbA==\u001b\\b", "ab"],
    ["device control strings are dropped", "a\u001bP1$r0m\u001b\\b", "ab"],
    ["a character set is not switched", "a\u001b(0b", "ab"],
    ["C1 forms count too", "a\u009b2Jb\u009d0;x\u009cc", "abc"],
    ["no carriage return hides what was printed", "evil\rgood", "evilgood"],
    ["no backspace either", "ab\b\bcd", "abcd"],
    ["no right-to-left override", "a\u202eb", "ab"],
    ["lines and tabs stay", "a\tb\nc", "a\tb\nc"],
    ["an unended string ends with its line", "a\u001b]0;evil\nb", "a\nb"],
    ["a device attribute request is dropped", "\u001b[>0c\u001b[6n", ""],
    ["a private sequence that ends in m is no colour", "\u001b[>4;2mx", "x"],
  ])("%s", (_name, input, expected) => {
    expect(clean(input)).toBe(expected);
  });

  test("colours go too where none are wanted", () => {
    expect(clean("\u001b[31mred\u001b[0m", false)).toBe("red");
  });

  test("a sequence cut in two by the border of pieces is still taken out", () => {
    fc.assert(
      fc.property(fc.nat({ max: 13 }), (cut) => {
        const input = bytes("a\u001b]0;evil\u0007b");
        const cleaner = new TerminalCleaner({ colours: true });
        expect(cleaner.push(input.subarray(0, cut)) + cleaner.push(input.subarray(cut)) + cleaner.end()).toBe("ab");
      }),
    );
  });

  test("whatever the bytes are, the only escape sequences left are colours", () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 20 }),
      fc
        .constantFrom("\u001b", "\u001b[", "\u001b]", "\u009b", "m", "1;31m", "\u0007", "\n")
        .map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const shown = clean(Buffer.concat(pieces));
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
        const left = shown.replace(/\u001b\[[0-9;:]*m/g, "");
        // biome-ignore lint/suspicious/noControlCharactersInRegex: as above
        expect(left).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
      }),
      { numRuns: 500 },
    );
  });

  test("a log line's colour ends with the line", () => {
    expect(cleanLogLine(bytes("\u001b[31mred"), { colours: true })).toBe("\u001b[31mred\u001b[0m");
  });

  test("a name in a sentence of ours stays on its line", () => {
    expect(cleanText("a\nb\u001b[31mc")).toBe("a⏎bc");
  });
});
