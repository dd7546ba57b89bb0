import { Buffer } from "node:buffer";
import { describe, expect, test } from "vitest";
import { bytes } from "../../../../derivations/bytes.ts";
import { decodeNar } from "../../../../derivations/nar/decoder.ts";
import {
  findInListing,
  listNar,
  NarLister,
  type NarListing,
  printListing,
} from "../../../../derivations/nar/listing.ts";
import { golden } from "../golden.ts";

interface GoldenNars {
  readonly nars: readonly {
    readonly name: string;
    readonly base64: string;
    readonly withNameNotUtf8?: string;
    readonly listing: NarListing;
  }[];
}

const { nars } = golden<GoldenNars>("nars.json");
const listingOf = (base64: string) => listNar(decodeNar([Buffer.from(base64, "base64")]));

describe("a NAR listing", () => {
  test.each(nars)("of $name is what nix nar ls prints", ({ base64, listing }) => {
    expect(JSON.parse(printListing(listingOf(base64)))).toEqual({
      version: 1,
      root: JSON.parse(JSON.stringify(listing)),
    });
  });

  test("finds a path in it, and no property that every object has", () => {
    const listing = listingOf(nars.at(-1)?.base64 ?? "");
    expect(findInListing(listing, ["sub", "inner", "l"])).toEqual({ type: "symlink", target: "a" });
    expect(findInListing(listing, ["__proto__"])).toMatchObject({ type: "regular", size: 1 });
    expect(findInListing(listing, [])).toBe(listing);
    for (const parts of [["constructor"], ["sub", "nothing"], ["a", "b"]])
      expect(findInListing(listing, parts)).toBeUndefined();
  });

  test("shows the bytes of a name that is not UTF-8", () => {
    const listing = listingOf(nars.at(-1)?.withNameNotUtf8 ?? "");
    expect(findInListing(listing, ["z\\xff"])).toMatchObject({ type: "regular", size: 1 });
  });

  test("of a tree that comes from no archive has no offsets", () => {
    const events = [
      { kind: "file", executable: true, size: 1n } as const,
      { kind: "contents", bytes: bytes("x") } as const,
    ];
    expect(listNar(events)).toEqual({ type: "regular", size: 1, executable: true });
    expect(() => new NarLister().finish()).toThrow();
  });
});
