import { expect, test } from "vitest";
import { bodyOf, decodeBody, encodeFrame } from "../../../../daemon/api/frames.ts";
import { plainDetails } from "../../../../daemon/api/plain-details.ts";

test("an error's details cross the wire, whatever they are", () => {
  const circle: Record<string, unknown> = { name: "round" };
  circle["self"] = circle;
  const details = {
    ...{ text: "a", number: 1.5, big: 2n ** 64n - 1n, bigger: 2n ** 80n, nothing: null, absent: undefined },
    set: new Set(["b"]),
    map: new Map([["c", 1n]]),
    error: new Error("inner"),
    when: new Date(0),
    act: () => {},
    circle,
  };
  const received = decodeBody(bodyOf(encodeFrame(plainDetails(details)))) as Record<string, unknown>;
  expect(received).toMatchObject({
    ...{ text: "a", number: 1.5, big: 2n ** 64n - 1n, bigger: String(2n ** 80n), nothing: null },
    ...{ set: ["b"], map: [["c", 1n]], error: "inner" },
  });
  expect(Object.keys(received)).not.toContain("absent");
});
