import { describe, expect, test } from "vitest";
import { cutToWidth, padToWidth, widthOf } from "../../../../daemon/cli/text-width.ts";

describe("columns of a text", () => {
  test.each([
    ["", 0],
    ["plain", 5],
    ["日本語", 6],
    ["e\u0301", 1],
    ["a\u200bb\u200d", 2],
    ["한", 2],
    ["\u001b[1;31mred\u001b[0m", 3],
    ["🙂", 2],
    ["❤\ufe0f", 2],
    ["Ａ", 2],
  ])("%j takes %i", (text, width) => {
    expect(widthOf(text)).toBe(width);
  });

  test.each([
    ["plain", 5, "plain"],
    ["plain", 4, "pla…"],
    ["日本語", 5, "日本…"],
    ["日本語", 4, "日…"],
    ["e\u0301e\u0301e\u0301", 2, "e\u0301…"],
    ["a\tb", 3, "a b"],
    ["\u001b[31mred and\u001b[0m", 4, "\u001b[31mred…\u001b[0m"],
    ["x", 0, ""],
  ])("%j cut to %i is %j", (text, columns, cut) => {
    expect(cutToWidth(text, columns)).toBe(cut);
    expect(widthOf(cutToWidth(text, columns))).toBeLessThanOrEqual(columns);
  });

  test("what is too short is filled up", () => {
    expect(padToWidth("日", 4)).toBe("日  ");
  });
});
