import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  hashPartOf,
  isDerivationPath,
  nameOf,
  parseFullStorePath,
  parseStoreDirectory,
  parseStorePath,
  printStorePath,
} from "../../../derivations/store-path.ts";
import { storeDirectory, storePath } from "./arbitraries.ts";
import { refusalOf } from "./refusal.ts";

const hashPart = "0c0zq1jbyrs9cq5gsnbxbp3yqmjlxw4m";

describe("store paths", () => {
  test("are read back from what is printed", () => {
    fc.assert(
      fc.property(storePath(), (path) => {
        expect(parseFullStorePath(storeDirectory, printStorePath(storeDirectory, path))).toBe(path);
        expect(`${hashPartOf(path)}-${nameOf(path)}`).toBe(path);
      }),
    );
  });

  test.each(["a", "A+-._?=9", ".hidden", "..a", "-", "x".repeat(211)])("may have the name %s", (name) => {
    expect(nameOf(parseStorePath(`${hashPart}-${name}`))).toBe(name);
  });

  test.each(["", ".", "..", ".-a", "..-", "a b", "a/b", "é", "a\n", "a\0", "x".repeat(212)])(
    "may not have the name %j",
    (name) => {
      expect(refusalOf(() => parseStorePath(`${hashPart}-${name}`))).toMatchObject({
        code: "STORE_PATH_NAME_INVALID",
        details: { name },
      });
    },
  );

  test.each([
    "",
    "a",
    hashPart,
    `${hashPart}_a`,
    `e${hashPart.slice(1)}-a`,
    `${hashPart.toUpperCase()}-a`,
    `${hashPart}a-b`,
  ])("must begin with 32 base-32 digits and a dash, unlike %j", (text) => {
    expect(refusalOf(() => parseStorePath(text)).code).toBe("STORE_PATH_INVALID");
  });

  test.each([
    `/cloister/storex/${hashPart}-a`,
    `/cloister/store${hashPart}-a`,
    `/nix/store/${hashPart}-a`,
    `/cloister/store/${hashPart}-a/`,
    `/cloister/store/${hashPart}-a/bin`,
    `/cloister/store//${hashPart}-a`,
    `/cloister/store/../store/${hashPart}-a`,
    "/cloister/store",
    "",
  ])("must lie directly in the store directory, unlike %j", (text) => {
    expect(refusalOf(() => parseFullStorePath(storeDirectory, text)).code).toBe("STORE_PATH_INVALID");
  });

  test("are known as derivations by their ending", () => {
    expect(isDerivationPath(parseStorePath(`${hashPart}-a.drv`))).toBe(true);
    expect(isDerivationPath(parseStorePath(`${hashPart}-adrv`))).toBe(false);
  });

  test.each(["/gnu/store", "/a", "/with space/é"])("may lie in %s", (text) => {
    expect(parseStoreDirectory(text)).toBe(text);
  });

  test.each(["", "/", "nix/store", "/nix/store/", "/nix//store", "/nix/../store", "/./nix", "/nix\0"])(
    "cannot lie in %j",
    (text) => {
      expect(refusalOf(() => parseStoreDirectory(text))).toMatchObject({
        code: "STORE_DIRECTORY_INVALID",
        details: { text },
      });
    },
  );
});
