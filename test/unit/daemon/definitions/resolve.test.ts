import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Service } from "../../../../daemon/api/service.ts";
import {
  type DerivationDescription,
  derivation,
  hostWorld,
  output,
  source,
  storePath,
} from "../../../../daemon/definitions/description.ts";
import { resolveHostWorld } from "../../../../daemon/definitions/host-world.ts";
import { loadTarget, resolveTarget } from "../../../../daemon/definitions/target.ts";
import { openLocal } from "../../../../daemon/server/local-service.ts";
import { parseStoreDirectory, printStorePath, type StorePath } from "../../../../derivations/store-path.ts";
import { makeFolder } from "./folder.ts";
import { describeGolden } from "./golden-nix.ts";

interface Golden {
  readonly files: Readonly<Record<string, string>>;
  readonly derivations: Readonly<Record<string, { readonly path: StorePath; readonly text: string }>>;
}

const golden: Golden = JSON.parse(
  readFileSync(new URL("../../../golden/definitions/nix.json", import.meta.url), "utf8"),
);

const storeDirectory = parseStoreDirectory("/nix/store");
const folder = makeFolder(golden.files);
const options = { system: "x86_64-linux", storeDirectory, cacheDirectory: folder.at("cache") };
const root = makeFolder();
let service: Service;

beforeAll(async () => {
  service = await openLocal({ root: root.path, storeDirectory });
});

afterAll(async () => {
  await service?.[Symbol.asyncDispose]();
  root[Symbol.dispose]();
  folder[Symbol.dispose]();
});

/** Goal: the derivations of Nix, to the byte. Method: the golden file's expression, described by our functions. */
describe("the .drv file is the one that Nix makes of the same attributes:", () => {
  for (const description of describeGolden(folder.path))
    test(description.name, async () => {
      const expected = golden.derivations[description.name];
      const drvPath = await resolve(description);
      expect(Buffer.concat(await collect(service.readFile(drvPath, ""))).toString()).toBe(expected?.text);
      expect(drvPath).toBe(expected?.path);
    });
});

test("a source without some of its files has the path of one that never had them; what is left out changes nothing", async () => {
  using files = makeFolder({ "src/a": "1", "src/b.o": "2", "src/cache/c": "3" });
  using fewer = makeFolder({ "src/a": "1" });
  const of = (path: string, exclude?: readonly string[]) =>
    resolve(derivation({ ...simple, name: "filtered", inputs: { src: source(path, exclude && { exclude }) } }));
  const expected = await of(fewer.at("src"));
  expect(await of(files.at("src"), ["*.o", "cache"])).toBe(expected);
  files.write({ "src/d.o": "4" });
  expect(await of(files.at("src"), ["*.o", "cache"])).toBe(expected);
  expect(await of(files.at("src"), ["*.o"])).not.toBe(expected);
  expect(await of(fewer.at("src"), [])).toBe(expected);
  await expect(of(files.at("src"), ["../x"])).rejects.toMatchObject({
    code: "DEFINITION_INVALID",
    details: { problems: [expect.stringContaining('src holds "../x"')] },
  });
});

test("a second time nothing is sent but the .drv itself, which holds all for the build", async () => {
  using files = makeFolder({ "src/a": "1" });
  const description = derivation({ ...simple, name: "twice", inputs: { src: source(files.at("src")) } });
  const first = await resolve(description);
  const sent: string[] = [];
  expect(await resolveWith(listening(sent), description)).toBe(first);
  expect(sent).toEqual(["queryValidPaths", "addText"]);
});

test("a source that changed gives another derivation, and its new contents are sent", async () => {
  using files = makeFolder({ "src/a": "1" });
  const description = derivation({ ...simple, name: "changing", inputs: { src: source(files.at("src")) } });
  const first = await resolve(description);
  writeFileSync(files.at("src/a"), "2");
  const sent: string[] = [];
  expect(await resolveWith(listening(sent), description)).not.toBe(first);
  expect(sent).toContain("addSource");
});

test("a chain of 1,500 derivations is no deeper than the stack", async () => {
  let last: DerivationDescription = derivation({ ...simple, name: "link-0" });
  for (let index = 1; index < 1500; index += 1)
    last = derivation({ ...simple, name: `link-${index}`, inputs: { last } });
  const drvPath = await resolve(last);
  expect(await service.queryClosure([drvPath], "forward")).toHaveLength(1500);
});

describe("is refused:", () => {
  const codeOf = (description: DerivationDescription) =>
    resolve(description).then(
      () => undefined,
      (error) => error.code,
    );

  test("a source that is not there, or holds what no store object may", async () => {
    using files = makeFolder({ "src/a": "1" });
    expect(await codeOf(derivation({ ...simple, inputs: { src: source(files.at("none")) } }))).toBe("SOURCE_NOT_FOUND");
    expect(await codeOf(derivation({ ...simple, inputs: { src: source("/dev/null") } }))).toBe("SOURCE_UNREADABLE");
  });

  test("a source that changes between being hashed and being sent", async () => {
    using files = makeFolder({ "src/a": "before" });
    const changing = listening([], (name) => name === "queryValidPaths" && writeFileSync(files.at("src/a"), "after"));
    const description = derivation({ ...simple, inputs: { src: source(files.at("src")) } });
    await expect(resolveWith(changing, description)).rejects.toMatchObject({ code: "SOURCE_CHANGED" });
  });

  test("an output that a derivation has not", async () => {
    const lib = derivation({ ...simple, name: "lib" });
    expect(await codeOf(derivation({ ...simple, inputs: { dev: output(lib, "dev") } }))).toBe(
      "DEFINITION_OUTPUT_UNKNOWN",
    );
    const target = { kind: "derivation", derivation: lib, outputs: ["dev"] } as const;
    await expect(resolveTarget(service, target, options)).rejects.toMatchObject({ code: "DEFINITION_OUTPUT_UNKNOWN" });
  });

  test("a store path that is not in the store", async () => {
    const path = "/nix/store/00000000000000000000000000000000-gone";
    expect(await codeOf(derivation({ ...simple, inputs: { gone: storePath(path) } }))).toBe(
      "DEFINITION_PATH_NOT_VALID",
    );
  });

  test("a circle, with the names on it", async () => {
    const inputs: Record<string, DerivationDescription> = {};
    const one = derivation({ ...simple, name: "one", inputs });
    inputs["two"] = derivation({ ...simple, name: "two", inputs: { one } });
    await expect(resolve(one)).rejects.toMatchObject({
      code: "DEFINITION_CYCLE",
      details: {
        names: [expect.stringMatching(/^one /), expect.stringMatching(/^two /), expect.stringMatching(/^one /)],
      },
    });
  });

  test("a script in a world without a shell", async () => {
    using world = makeFolder({ "bin/tool": "#!x" });
    const { builder: _none, ...rest } = simple;
    const description = derivation({ ...rest, world: source(world.path), script: "x" });
    expect(await codeOf(description)).toBe("DEFINITION_NO_SHELL");
  });
});

describe("a .drv file", () => {
  test("is sent with the .drv files and sources that lie beside it", async () => {
    using files = makeFolder();
    const lib = golden.derivations["library-2.1"];
    const program = golden.derivations["program-2.1"];
    const plain = golden.derivations["plain-1.0"];
    for (const each of [lib, program, plain]) if (each !== undefined) writeFileSync(files.at(each.path), each.text);
    using other = makeFolder();
    await using fresh = await openLocal({ root: other.path, storeDirectory });
    const target = await loadTarget(program?.path ?? "", { cwd: files.path });

    await expect(resolveTarget(fresh, target, options)).rejects.toMatchObject({ code: "DRV_INPUT_MISSING" });
    for (const name of ["tree", "single.txt"]) copySource(folder.at(name), files.at(pathIn(lib?.text ?? "", name)));
    expect(await resolveTarget(fresh, target, options)).toEqual({
      kind: "built",
      drvPath: program?.path,
      outputs: "all",
    });
    expect(await fresh.queryValidPaths([lib?.path, plain?.path] as StorePath[])).toHaveLength(2);
  });

  test("is refused if what lies beside it is something else", async () => {
    using files = makeFolder();
    const lib = golden.derivations["library-2.1"];
    writeFileSync(files.at(lib?.path ?? ""), lib?.text ?? "");
    for (const name of ["tree", "single.txt"]) writeFileSync(files.at(pathIn(lib?.text ?? "", name)), "something else");
    using other = makeFolder();
    await using fresh = await openLocal({ root: other.path, storeDirectory });
    const target = await loadTarget(lib?.path ?? "", { cwd: files.path });
    await expect(resolveTarget(fresh, target, options)).rejects.toMatchObject({ code: "DRV_INPUT_DIFFERENT" });
  });

  test("that is none, or cannot be read, is refused", async () => {
    using files = makeFolder({ "a.drv": "Derive(", "folder.drv/x": "" });
    const folderTarget = await loadTarget("folder.drv", { cwd: files.path });
    await expect(resolveTarget(service, folderTarget, options)).rejects.toMatchObject({
      code: "DEFINITION_UNREADABLE",
    });
    const target = await loadTarget("a.drv", { cwd: files.path });
    await expect(resolveTarget(service, target, options)).rejects.toMatchObject({ code: "ATERM_INVALID" });
  });

  test("of the store is itself, as any store path is", async () => {
    const path = await resolve(derivation({ ...simple, name: "in-store" }));
    const target = await loadTarget(printStorePath(storeDirectory, path), { cwd: "/" });
    expect(await resolveTarget(service, target, options)).toEqual({ kind: "built", drvPath: path, outputs: "all" });
    const opaque = await loadTarget("/nix/store/00000000000000000000000000000000-x", { cwd: "/" });
    expect(await resolveTarget(service, opaque, options)).toMatchObject({ kind: "opaque" });
  });
});

test("a host world is found again by its files' stats, and made anew for a store that has it not", async () => {
  const sent: string[] = [];
  const path = await resolveHostWorld(listening(sent), ["sh"], options);
  expect(sent).toEqual(["addSource"]);
  sent.length = 0;
  expect(await resolveHostWorld(listening(sent), ["sh"], options)).toBe(path);
  expect(sent).toEqual(["queryValidPaths"]);

  using other = makeFolder();
  await using fresh = await openLocal({ root: other.path, storeDirectory });
  expect(await resolveHostWorld(fresh, ["sh"], options)).toBe(path);
  expect(await fresh.queryValidPaths([path])).toEqual([path]);
});

test("a script runs in the world's own shell, with its PATH", async () => {
  const drvPath = await resolve(derivation({ name: "shell", world: hostWorld(["sh"]), script: ["one", "two"] }));
  const text = Buffer.concat(await collect(service.readFile(drvPath, ""))).toString();
  expect(text).toMatch(/\["-e","-u"(,"-o","pipefail")?,"-c","one\\ntwo"\]/);
  expect(text).toContain('("PATH","/usr/bin:/bin:');
  expect(text).toMatch(/\("__world","\/nix\/store\/[0-9a-z]{32}-host-world"\)/);
});

const simple = { name: "simple", world: "none", builder: "/bin/sh" } as const;

async function resolve(description: DerivationDescription): Promise<StorePath> {
  return resolveWith(service, description);
}

async function resolveWith(via: Service, description: DerivationDescription): Promise<StorePath> {
  const derived = await resolveTarget(via, { kind: "derivation", derivation: description, outputs: "all" }, options);
  if (derived.kind !== "built") throw new Error("a derivation is built");
  return derived.drvPath;
}

/** The real service; the names of its methods that were called are kept, and told before each call. */
function listening(names: string[], onCall: (name: string) => void = () => {}): Service {
  return new Proxy(service, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        names.push(String(name));
        onCall(String(name));
        return Reflect.apply(value, target, args);
      };
    },
  });
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return pieces;
}

function copySource(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to, { recursive: true, verbatimSymlinks: true });
}

/** The base name of the source of this name in a .drv's text. */
function pathIn(text: string, name: string): string {
  return new RegExp(`/nix/store/([0-9a-z]{32}-${name.replace(".", "\\.")})"`).exec(text)?.[1] ?? "";
}
