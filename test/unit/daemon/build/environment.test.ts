import { describe, expect, test } from "vitest";
import { readAttributes } from "../../../../daemon/build/attributes.ts";
import { makeSurroundings } from "../../../../daemon/build/environment.ts";
import { makeReplacements } from "../../../../daemon/build/replace-bytes.ts";
import { bytes, text } from "../../../../derivations/bytes.ts";
import type { Derivation } from "../../../../derivations/derivation.ts";
import { sha256 } from "../../../../derivations/hash.ts";
import type { Output } from "../../../../derivations/output.ts";
import { makePlaceholder } from "../../../../derivations/placeholder.ts";
import { parseStoreDirectory } from "../../../../derivations/store-path.ts";

const storeDirectory = parseStoreDirectory("/cloister/store");

function surroundings(variables: Record<string, string>, output: Output = { kind: "deferred" }) {
  const derivation: Derivation = {
    name: "x",
    outputs: new Map([["out", output]]),
    inputDerivations: new Map(),
    inputSources: new Set(),
    system: "x86_64-linux",
    builder: bytes("/b"),
    args: [],
    environment: new Map(Object.entries(variables).map(([name, value]) => [name, bytes(value)])),
  };
  const made = makeSurroundings({
    storeDirectory,
    derivation,
    attributes: readAttributes("/s/x.drv", derivation),
    cores: 3,
    replacements: makeReplacements([[makePlaceholder("out"), "/cloister/store/scratch"]]),
    outputPaths: new Map([["out", "/cloister/store/scratch"]]),
    impureEnvironment: new Map([["http_proxy", "http://proxy"]]),
    graphs: { graph: [{ path: "/cloister/store/a" }] },
  });
  return {
    environment: Object.fromEntries(Array.from(made.environment, ([name, value]) => [name, text(value)])),
    files: Object.fromEntries(made.files.map(({ name, contents }) => [name, text(contents)])),
  };
}

const always = {
  HOME: "/homeless-shelter",
  NIX_BUILD_CORES: "3",
  NIX_BUILD_TOP: "/build",
  NIX_LOG_FD: "2",
  NIX_STORE: "/cloister/store",
  PATH: "/path-not-set",
  PWD: "/build",
  TEMP: "/build",
  TEMPDIR: "/build",
  TERM: "xterm-256color",
  TMP: "/build",
  TMPDIR: "/build",
};

describe("the environment contract", () => {
  test("is exactly this, and nothing of the daemon's own", () => {
    expect(surroundings({}).environment).toEqual(always);
  });

  test("the derivation's variables win over defaults, but not over places, log and terminal", () => {
    const { environment } = surroundings({ PATH: "/bin", HOME: "/h", TMPDIR: "/t", TERM: "dumb", mine: "1" });
    expect(environment).toEqual({ ...always, PATH: "/bin", HOME: "/h", mine: "1" });
  });

  test("own placeholders become the paths at which the outputs are made", () => {
    const { environment } = surroundings({
      out: makePlaceholder("out"),
      flags: `--prefix=${makePlaceholder("out")}/x`,
    });
    expect(environment).toMatchObject({ out: "/cloister/store/scratch", flags: "--prefix=/cloister/store/scratch/x" });
  });

  test("a fixed output is told so, and gets the impure variables that it names", () => {
    const fixed: Output = { kind: "fixed", method: "flat", hash: sha256("") };
    const { environment } = surroundings({ impureEnvVars: "http_proxy no_proxy" }, fixed);
    expect(environment).toMatchObject({ NIX_OUTPUT_CHECKED: "1", http_proxy: "http://proxy", no_proxy: "" });
    expect(surroundings({ impureEnvVars: "http_proxy" }).environment).not.toHaveProperty("http_proxy");
  });
});

describe("files", () => {
  test("passAsFile moves a value into a file, of which a variable tells", () => {
    const { environment, files } = surroundings({ passAsFile: "text", text: `a ${makePlaceholder("out")}` });
    expect(Object.keys(files)).toHaveLength(1);
    const [name] = Object.keys(files);
    expect(name).toMatch(/^\.attr-[0-9a-z]{52}$/);
    expect(files[name ?? ""]).toBe("a /cloister/store/scratch");
    expect(environment).toMatchObject({ textPath: `/build/${name}` });
    expect(environment).not.toHaveProperty("text");
  });

  test("structured attributes come in two files, and none of the variables", () => {
    const json = JSON.stringify({ z: makePlaceholder("out"), a: 1 });
    const { environment, files } = surroundings({ __json: json, other: "1" });
    expect(environment).toEqual({
      ...always,
      NIX_ATTRS_JSON_FILE: "/build/.attrs.json",
      NIX_ATTRS_SH_FILE: "/build/.attrs.sh",
    });
    expect(JSON.parse(files[".attrs.json"] ?? "")).toEqual({
      a: 1,
      graph: [{ path: "/cloister/store/a" }],
      outputs: { out: "/cloister/store/scratch" },
      z: "/cloister/store/scratch",
    });
    expect(files[".attrs.sh"]).toBe(
      "declare a=1\ndeclare -A outputs=(['out']='/cloister/store/scratch' )\ndeclare z='/cloister/store/scratch'\n",
    );
  });
});
