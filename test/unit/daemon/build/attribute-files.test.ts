import { describe, expect, test } from "vitest";
import { printAttributesJson, printAttributesShell } from "../../../../daemon/build/attribute-files.ts";
import { type JsonObject, parseJson } from "../../../../daemon/build/json.ts";
import { bytes, text } from "../../../../derivations/bytes.ts";

const parse = (json: string) => parseJson(bytes(json)) as JsonObject;

describe(".attrs.json", () => {
  test("keys are sorted, and numbers stay as they were written", () => {
    const attributes = parse('{"b": {"z": 1, "a": [true, null]}, "a": 1152921504606846977, "c": 1.0, "d": 1e3}');
    expect(text(printAttributesJson(attributes))).toBe(
      '{"a":1152921504606846977,"b":{"a":[true,null],"z":1},"c":1.0,"d":1e3}',
    );
  });
});

describe(".attrs.sh", () => {
  test("simple values, lists and objects of them", () => {
    const attributes = parse(
      `{"s": "it's $HOME", "n": 7, "yes": true, "no": false, "none": null, "list": ["a b", 1, true], "object": {"k y": "v"}}`,
    );
    expect(text(printAttributesShell(attributes))).toBe(
      [
        "declare -a list=('a b' 1 1 )",
        "declare n=7",
        "declare no=",
        "declare none=''",
        "declare -A object=(['k y']='v' )",
        "declare s='it'\\''s $HOME'",
        "declare yes=1",
        "",
      ].join("\n"),
    );
  });

  test("what a shell cannot hold is left out", () => {
    const attributes = parse(
      '{"not-a-name": 1, "1a": 1, "half": 1.5, "nested": [[1]], "objects": {"a": {}}, "ok": 1.0}',
    );
    expect(text(printAttributesShell(attributes))).toBe("declare ok=1\n");
  });
});
