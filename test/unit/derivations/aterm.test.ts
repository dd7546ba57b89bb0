import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseDerivation, printDerivation } from "../../../derivations/aterm.ts";
import { bytes, text } from "../../../derivations/bytes.ts";
import { derivationPath, referencesOf } from "../../../derivations/derivation.ts";
import { derivationNameOf } from "../../../derivations/placeholder.ts";
import { parseStoreDirectory, parseStorePath } from "../../../derivations/store-path.ts";
import { derivation, storeDirectory } from "./arbitraries.ts";
import { golden } from "./golden.ts";
import { refusalOf } from "./refusal.ts";

interface GoldenDerivations {
  readonly storeDirectory: string;
  readonly derivations: readonly { readonly path: string; readonly aterm: string }[];
}

const store = "/cloister/store";
const hashPart = "0c0zq1jbyrs9cq5gsnbxbp3yqmjlxw4m";
const out = `("out","${store}/${hashPart}-a","","")`;
const parse = (aterm: string | Uint8Array) =>
  parseDerivation(storeDirectory, "a", typeof aterm === "string" ? bytes(aterm) : aterm);
const withEnvironment = (environment: string) => `Derive([${out}],[],[],"s","b",[],[${environment}])`;

describe("a .drv file", () => {
  test.each(["derivations-nix.json", "derivations-guix.json"])("of %s is read, printed and named as there", (file) => {
    const made = golden<GoldenDerivations>(file);
    const directory = parseStoreDirectory(made.storeDirectory);
    for (const { path, aterm } of made.derivations) {
      const read = parseDerivation(directory, derivationNameOf(parseStorePath(path)), bytes(aterm));
      expect(text(printDerivation(directory, read))).toBe(aterm);
      expect(derivationPath(directory, read)).toBe(path);
      for (const reference of referencesOf(read)) expect(aterm).toContain(reference);
    }
  });

  test("of any derivation gives that derivation back", () => {
    fc.assert(
      fc.property(derivation, (value) => {
        expect(parseDerivation(storeDirectory, value.name, printDerivation(storeDirectory, value))).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  test("does not depend on the order in which the derivation was put together", () => {
    fc.assert(
      fc.property(derivation, (value) => {
        const reversed = {
          ...value,
          outputs: new Map([...value.outputs].reverse()),
          inputDerivations: new Map(
            [...value.inputDerivations].reverse().map(([path, ids]) => [path, new Set([...ids].reverse())]),
          ),
          inputSources: new Set([...value.inputSources].reverse()),
          environment: new Map([...value.environment].reverse()),
        };
        expect(printDerivation(storeDirectory, reversed)).toEqual(printDerivation(storeDirectory, value));
      }),
    );
  });

  test("that is cut short anywhere, or goes on, is refused at its end", () => {
    const whole = bytes(withEnvironment(`("a","x\\n"),("out","${store}/${hashPart}-a")`));
    expect(() => parse(whole)).not.toThrow();
    for (let length = 0; length < whole.length; ++length) {
      const refusal = refusalOf(() => parse(whole.subarray(0, length)));
      expect(refusal.code).toBe("ATERM_INVALID");
      expect(refusal.details.offset).toBeLessThanOrEqual(length);
    }
    expect(refusalOf(() => parse(Buffer.concat([whole, bytes("\n")])))).toMatchObject({
      code: "ATERM_INVALID",
      details: { offset: whole.length, expected: "the end" },
    });
  });

  test("with any byte changed is refused with a code of ours, or is another derivation", () => {
    const whole = bytes(withEnvironment(`("a","x\\n"),("out","${store}/${hashPart}-a")`));
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (index, change) => {
        const changed = Uint8Array.from(whole);
        changed[index] = (changed[index] ?? 0) ^ change;
        let read: ReturnType<typeof parse>;
        try {
          read = parse(changed);
        } catch (error) {
          expect(error).toHaveProperty("code");
          return;
        }
        // An escape is the one other way to write a string: a backslash before a newline is a newline, as \n is.
        if (whole[index - 1] !== 0x5c) expect(read).not.toEqual(parse(whole));
      }),
      { numRuns: 2000 },
    );
  });

  test("may escape what needs no escape, and is printed without", () => {
    const read = parse(withEnvironment('("a","\\x\\\\\\"\\n\\r\\t")'));
    expect(text(read.environment.get("a") ?? bytes(""))).toBe('x\\"\n\r\t');
  });

  test("keeps values that are not UTF-8", () => {
    const aterm = Buffer.from(withEnvironment('("a","\u00ff\u0080")'), "latin1");
    expect(parse(aterm).environment.get("a")).toEqual(Uint8Array.of(0xff, 0x80));
    expect(Buffer.from(printDerivation(storeDirectory, parse(aterm)))).toEqual(aterm);
  });

  test.each([
    ["of another kind of text", '¦Derivation("x")'],
    ["with a space", 'Derive(¦ [("out","","","")],[],[],"s","b",[],[])'],
    ["with a string that is no string", 'Derive([("out",¦,"","")],[],[],"s","b",[],[])'],
    ["with a comma too many", `Derive([${out},¦],[],[],"s","b",[],[])`],
    ["with a field missing", `Derive([${out}],[],[],"s","b",[]¦)`],
    ["with an output twice", `Derive([${out},¦${out}],[],[],"s","b",[],[])`],
    ["with variables out of order", withEnvironment('("b",""),¦("a","")')],
    ["with a variable twice", withEnvironment('("a",""),¦("a","")')],
    [
      "with sources out of order",
      `Derive([${out}],[],["${store}/${hashPart}-b",¦"${store}/${hashPart}-a"],"s","b",[],[])`,
    ],
    ["with 10,000 brackets", `Derive([¦${"[".repeat(10_000)}`],
  ])("%s is refused at that byte", (_, marked) => {
    expect(refusalOf(() => parse(marked.replace("¦", "")))).toMatchObject({
      code: "ATERM_INVALID",
      details: { name: "a", offset: marked.indexOf("¦") },
    });
  });

  test("with a name that is not UTF-8 is refused at that byte", () => {
    const aterm = Buffer.from(withEnvironment('("\u00ff","")'), "latin1");
    expect(refusalOf(() => parse(aterm))).toMatchObject({
      code: "ATERM_INVALID",
      details: { offset: aterm.indexOf('"\u00ff"', "latin1") },
    });
  });

  test("of a dynamic derivation is refused as such", () => {
    expect(refusalOf(() => parse('DrvWithVersion("xp-dyn-drv",[],[],[],"s","b",[],[])'))).toMatchObject({
      code: "DERIVATION_VERSION_UNSUPPORTED",
      details: { version: "xp-dyn-drv" },
    });
  });

  test("with an impure output is refused as such", () => {
    expect(refusalOf(() => parse('Derive([("out","","r:sha256","impure")],[],[],"s","b",[],[])'))).toMatchObject({
      code: "DERIVATION_IMPURE_UNSUPPORTED",
      details: { outputId: "out" },
    });
  });

  const sha = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  test.each([
    ["a hash without an algorithm", `("out","${store}/${hashPart}-a","","${sha}")`, "DERIVATION_INVALID"],
    ["an unknown algorithm", `("out","","r:sha3-256","")`, "DERIVATION_INVALID"],
    [
      "a git hash",
      `("out","${store}/${hashPart}-a","git:sha1","da39a3ee5e6b4b0d3255bfef95601890afd80709")`,
      "DERIVATION_INVALID",
    ],
    ["a text by another hash", `("out","","text:sha1","")`, "DERIVATION_INVALID"],
    ["a path and no hash", `("out","${store}/${hashPart}-a","sha256","")`, "DERIVATION_INVALID"],
    ["a hash and no path", `("out","","sha256","${sha}")`, "DERIVATION_INVALID"],
    ["a hash of another length", `("out","${store}/${hashPart}-a","md5","${sha}")`, "HASH_INVALID"],
    ["a path of another store", `("out","/nix/store/${hashPart}-a","","")`, "STORE_PATH_INVALID"],
    ["an id that no path can have", `("o/ut","${store}/${hashPart}-a","","")`, "STORE_PATH_NAME_INVALID"],
  ])("with an output of %s is refused", (_, output, code) => {
    expect(refusalOf(() => parse(`Derive([${output}],[],[],"s","b",[],[])`)).code).toBe(code);
  });
});
