import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Target } from "../../../../daemon/definitions/target.ts";
import { type Files, makeFolder } from "./folder.ts";
import { type Answer, type Loader, startLoader } from "./loader.ts";

let loader: Loader;

beforeAll(() => {
  loader = startLoader();
});

afterAll(() => {
  loader[Symbol.dispose]();
});

async function load(text: string, files: Files): Promise<{ readonly answer: Answer; readonly folder: string }> {
  using folder = makeFolder(files);
  return { answer: await loader.load(text, folder.path), folder: folder.path };
}

const hello = `import { derivation, hostWorld, source } from "cloister";
const name: string = "hello-1.0";
export default derivation({ name, world: hostWorld(["bash"]), inputs: { src: source("./src") }, script: "touch $out" });
`;

describe("a module", () => {
  for (const extension of ["ts", "mts", "js", "mjs"])
    test(`with the extension ${extension} is loaded outside of any npm project, without a warning`, async () => {
      const text = extension.endsWith("ts") ? hello : hello.replace(": string", "");
      const { answer, folder } = await load(`hello.${extension}`, { [`hello.${extension}`]: text });
      expect(answer.targets).toMatchObject([
        {
          kind: "derivation",
          outputs: "all",
          derivation: {
            name: "hello-1.0",
            inputs: { src: { path: `${folder}/src` } },
            where: `${folder}/hello.${extension}:3`,
          },
        },
      ]);
      expect(loader.complaints()).toBe("");
    });

  test("gets the running program for cloister, also where a package of that name is installed", async () => {
    const other = {
      "node_modules/cloister/package.json": '{"main":"index.js"}',
      "node_modules/cloister/index.js": "throw 1;",
    };
    expect((await load("a.ts", { ...other, "a.ts": hello })).answer.targets).toHaveLength(1);
  });

  test("may import others, and their sources are relative to the file that names them", async () => {
    const { answer, folder } = await load("deep/a.ts", {
      "deep/a.ts": `import { derivation } from "cloister"; import { src, world } from "../parts/b.ts";
        export default derivation({ name: "a", world, inputs: { src }, script: "x" });`,
      "parts/b.ts": `import { hostWorld, source } from "cloister"; export const world = hostWorld(["bash"]); export const src = source("src");`,
    });
    expect(answer.targets).toMatchObject([{ derivation: { inputs: { src: { path: `${folder}/parts/src` } } } }]);
  });

  const several = `import { derivation, output } from "cloister";
    const make = (name) => derivation({ name, world: "none", builder: "/x", outputs: ["out", "dev"] });
    export const one = make("one"); export const group = { two: make("two"), three: make("three") };
    export const later = Promise.resolve(make("later")); export const dev = output(one, "dev");
    export default [make("four"), make("five")]; export const number = 3;`;

  test.each([
    ["a.ts#one", ["one"]],
    ["a.ts#group", ["two", "three"]],
    ["a.ts#group.three", ["three"]],
    ["a.ts#later", ["later"]],
    ["a.ts", ["four", "five"]],
    ["a.ts#1", ["five"]],
  ])("%s names %j", async (text, names) => {
    expect((await load(text, { "a.ts": several })).answer.targets?.map(nameOf)).toEqual(names);
  });

  test("outputs are chosen by ^ or by exporting one", async () => {
    expect((await load("a.ts#one^dev,out", { "a.ts": several })).answer.targets).toMatchObject([
      { outputs: ["dev", "out"] },
    ]);
    expect((await load("a.ts#one^*", { "a.ts": several })).answer.targets).toMatchObject([{ outputs: "all" }]);
    expect((await load("a.ts#dev", { "a.ts": several })).answer.targets).toMatchObject([{ outputs: ["dev"] }]);
  });

  test.each([
    ["a.ts#onne", "DEFINITION_EXPORT_MISSING", { nearest: ["one"] }],
    ["a.ts#group.four", "DEFINITION_EXPORT_MISSING", { name: "group.four" }],
    ["a.ts#number", "DEFINITION_NOT_A_DERIVATION", { found: "a number" }],
  ])("%s is %s", async (text, code, details) => {
    expect((await load(text, { "a.ts": several })).answer).toMatchObject({ code, details });
  });

  test.each([
    ["a syntax error", "const x = 1;\nconst y = ;\n", "DEFINITION_SYNTAX", 2],
    ["TypeScript that cannot be stripped", "const x = 1;\n\nenum A { B }\n", "DEFINITION_SYNTAX", 3],
    ["an error that it throws", "const x: number = 1;\nthrow new Error('no');\n", "DEFINITION_THREW", 2],
    ["a use before its definition", "export const a: unknown = b;\nconst b = 1;\n", "DEFINITION_THREW", 1],
  ])("with %s is an error with file and line", async (_name, text, code, line) => {
    const { answer, folder } = await load("a.ts", { "a.ts": text });
    expect(answer).toMatchObject({ code, details: { file: `${folder}/a.ts`, line } });
  });

  test("in JavaScript with a syntax error, also in what it imports, is an error with file and line", async () => {
    const files = { "a.js": 'import "./b.js";\n', "b.js": "const x = 1;\n\nconst y = ;\n" };
    const { answer, folder } = await load("a.js", files);
    expect(answer).toMatchObject({ code: "DEFINITION_SYNTAX", details: { file: `${folder}/b.js`, line: 3 } });
  });

  test("that imports what is not there says so", async () => {
    expect((await load("a.ts", { "a.ts": 'import "./none.ts";' })).answer.code).toBe("DEFINITION_IMPORT_MISSING");
    expect((await load("a.ts", { "a.ts": 'import { hostWord } from "cloister";' })).answer).toMatchObject({
      code: "DEFINITION_IMPORT_MISSING",
      details: { reason: expect.stringContaining("hostWord") },
    });
  });

  test("without a default export says what it has", async () => {
    expect((await load("a.ts", { "a.ts": "export const thing = 1;" })).answer).toMatchObject({
      code: "DEFINITION_EXPORT_MISSING",
      hint: expect.stringContaining("thing"),
    });
  });
});

describe("a place", () => {
  test("that is a folder stands for its cloister.ts", async () => {
    expect((await load("sub", { "sub/cloister.ts": hello })).answer.targets).toHaveLength(1);
    expect(
      (await load(".", { "cloister.json": '{"name":"j","world":"none","builder":"/x"}' })).answer.targets,
    ).toMatchObject([{ derivation: { name: "j" } }]);
  });

  test("that does not exist comes with what is near", async () => {
    expect((await load("helo.ts", { "hello.ts": hello })).answer).toMatchObject({
      code: "DEFINITION_NOT_FOUND",
      hint: expect.stringContaining("hello.ts"),
    });
    expect((await load("hello", { "hello.ts": hello })).answer).toMatchObject({
      code: "DEFINITION_NOT_FOUND",
      hint: expect.stringContaining("hello.ts"),
    });
  });

  test("that is a folder which nothing stands for names the definitions in it", async () => {
    expect((await load(".", { "hello.ts": hello, "notes.txt": "" })).answer).toMatchObject({
      code: "DEFINITION_FOLDER_EMPTY",
      hint: "Name a definition in it: hello.ts",
    });
    expect((await load("sub", { "sub/a.ts": hello, "sub/b.json": "{}" })).answer).toMatchObject({
      code: "DEFINITION_FOLDER_EMPTY",
      hint: "Name a definition in it: sub/a.ts or sub/b.json",
    });
    expect((await load(".", { "one/a.ts": hello, "two/b.ts": hello })).answer).toMatchObject({
      code: "DEFINITION_FOLDER_EMPTY",
      hint: "Name a definition in it: one/a.ts or two/b.ts",
    });
    expect((await load("sub", { "sub/notes.txt": "" })).answer).toMatchObject({
      code: "DEFINITION_FOLDER_EMPTY",
      hint: expect.stringContaining("no file in it has the name of one"),
    });
  });

  test("of another kind is refused", async () => {
    expect((await load("a.yaml", { "a.yaml": "x" })).answer.code).toBe("DEFINITION_KIND_UNKNOWN");
  });

  test("in a store, or a .drv file, is left for the store to say", async () => {
    const path = "/cloister/store/00000000000000000000000000000000-hello-1.0";
    expect((await load(path, {})).answer.targets).toMatchObject([{ kind: "path", path, outputs: "all" }]);
    expect((await load(`${path}.drv^dev`, {})).answer.targets).toMatchObject([
      { kind: "path", path: `${path}.drv`, outputs: ["dev"] },
    ]);
    expect((await load("a.drv", { "a.drv": "Derive()" })).answer.targets).toMatchObject([{ kind: "path" }]);
    expect((await load("b.drv", { "a.drv": "Derive()" })).answer.code).toBe("DEFINITION_NOT_FOUND");
  });
});

describe("JSON", () => {
  const base = { name: "a", world: { host: ["bash"] }, script: ["one", "two"] };
  const write = (value: object) => ({ "a.json": JSON.stringify(value) });

  test("gives what the functions give", async () => {
    const { answer, folder } = await load("a.json", {
      ...write({
        ...base,
        inputs: {
          src: { source: "./src", name: "other", exclude: ["*.o"] },
          inner: { source: "./src", inside: "x/y" },
          old: { storePath: "/cloister/store/x" },
          lib: { derivation: { ...base, name: "lib" }, output: "dev" },
          next: { file: "b.json#two" },
          typed: { file: "c.ts" },
        },
        env: { words: ["a", { source: "./src" }] },
      }),
      "b.json": JSON.stringify({
        derivations: {
          one: { ...base, name: "one" },
          two: { ...base, name: "two", inputs: { one: { file: "#one" } } },
        },
      }),
      "c.ts": hello,
    });
    const src = { kind: "source", path: `${folder}/src` };
    expect(answer.targets).toMatchObject([
      {
        derivation: {
          kind: "derivation",
          where: `${folder}/a.json`,
          world: { kind: "host-world", programs: ["bash"] },
          inputs: {
            src: { ...src, name: "other" },
            inner: { kind: "file", of: src, inside: "x/y" },
            old: { kind: "store-path", path: "/cloister/store/x" },
            lib: { kind: "output", id: "dev", derivation: { name: "lib", where: `${folder}/a.json inputs.lib` } },
            next: { kind: "derivation", name: "two", inputs: { one: { name: "one" } } },
            typed: { kind: "derivation", name: "hello-1.0" },
          },
          env: { words: ["a", src] },
        },
      },
    ]);
  });

  test.each([
    [
      "an unknown way to name an input",
      { ...base, inputs: { x: { sorce: "./x" } } },
      /inputs\.x: must have one of source/,
    ],
    [
      "a mistyped name in an input",
      { ...base, inputs: { x: { file: "b.json", outputt: "dev" } } },
      /no attribute outputt \(did you mean output\?\)/,
    ],
    [
      "a path out of an input",
      { ...base, inputs: { x: { source: "./x", inside: "../y" } } },
      /inside: must be a relative path/,
    ],
    ["a list", [1], /it must be an object/],
    ["attributes beside derivations", { derivations: {}, name: "x" }, /name cannot stand beside derivations/],
  ])("is refused for %s", async (_name, value, problem) => {
    const { answer } = await load("a.json", write(value));
    expect(answer.code).toBe("DEFINITION_INVALID");
    expect(String(answer.details?.["problems"])).toMatch(problem);
  });

  test("with a syntax error names the line", async () => {
    expect((await load("a.json", { "a.json": '{\n  "name": "a",\n  "world": oops\n}\n' })).answer).toMatchObject({
      code: "DEFINITION_SYNTAX",
      details: { line: 3 },
    });
    expect((await load("a.json", { "a.json": '{\n  "name": "a",\n' })).answer.code).toBe("DEFINITION_SYNTAX");
  });

  test("with several derivations needs a name where one is wanted", async () => {
    const several = JSON.stringify({ derivations: { one: { ...base, name: "one" }, two: { ...base, name: "two" } } });
    const files = { ...write({ ...base, inputs: { b: { file: "b.json" } } }), "b.json": several };
    expect((await load("a.json", files)).answer).toMatchObject({
      code: "DEFINITION_EXPORT_AMBIGUOUS",
      details: { names: ["one", "two"] },
      hint: expect.stringContaining("b.json#one"),
    });
  });

  test("files that need each other are a circle", async () => {
    const a = JSON.stringify({ ...base, inputs: { b: { file: "b.json" } } });
    const b = JSON.stringify({ ...base, inputs: { a: { file: "a.json" } } });
    expect((await load("a.json", { "a.json": a, "b.json": b })).answer.code).toBe("DEFINITION_CYCLE");
  });
});

function nameOf(target: Target): string | undefined {
  return target.kind === "derivation" ? target.derivation.name : undefined;
}
