import { describe, expect, test } from "vitest";
import { findPhase, LineSplitter, lastWritten } from "../../../../daemon/cli/log-lines.ts";

const bytes = (text: string) => Buffer.from(text);

describe("lines of a log", () => {
  test("a line may come in pieces, and the last one may have no end", () => {
    const splitter = new LineSplitter();
    const lines = ["a", "b\nc", "\n\nd"].flatMap((piece) => [...splitter.push(bytes(piece))].map(String));
    expect(lines).toEqual(["ab", "c", ""]);
    expect(String(splitter.end())).toBe("d");
    expect(splitter.end()).toHaveLength(0);
  });

  test("a line without end is handed on in pieces, so that it is never held whole", () => {
    const splitter = new LineSplitter();
    const lengths: number[] = [];
    for (let piece = 0; piece < 100; piece += 1) {
      for (const line of splitter.push(bytes("x".repeat(1000)))) lengths.push(line.length);
      expect(splitter.partial.length).toBeLessThanOrEqual(64 * 1024);
    }
    expect(lengths).toEqual([66_000]);
  });

  test.each([
    ["10 %\r20 %", "20 %"],
    ["10 %\r20 %\r", "20 %"],
    ["plain", "plain"],
    ["\r", ""],
    ["", ""],
  ])("of %j a terminal shows %j last", (line, shown) => {
    expect(String(lastWritten(bytes(line)))).toBe(shown);
  });
});

describe("the phase that a line says has begun", () => {
  test.each([
    ['@nix {"action":"setPhase","phase":"buildPhase"}', "buildPhase"],
    ["starting phase `configure'", "configure"],
    ['@nix {"action":"setPhase","phase":"\\u001b[2Jx\\ny"}', "x⏎y"],
    [`@nix {"action":"setPhase","phase":"${"p".repeat(500)}"}`, "p".repeat(40)],
    ['@nix {"action":"setPhase","phase":7}', undefined],
    ['@nix {"action":"start"}', undefined],
    ["@nix null", undefined],
    ["@nix {", undefined],
    [`@nix {"action":"setPhase","phase":"${"p".repeat(5000)}"}`, undefined],
    ["something else", undefined],
    ["", undefined],
  ])("%j: %j", (line, phase) => {
    expect(findPhase(bytes(line))).toBe(phase);
  });
});
