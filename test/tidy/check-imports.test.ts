import { expect, test } from "vitest";
import { checkImports } from "./check-imports.ts";
import { printFinding } from "./finding.ts";

const check = (path: string, text: string) => checkImports([{ path, text }]).map(printFinding);

test("an import against the table is refused with its place", () => {
  const text = 'import { a } from "./a.ts";\nimport type { Jail } from "../sandbox-native/jail-spec.ts";\n';
  expect(check("store/gc.ts", text)).toEqual([
    "store/gc.ts:2: store may not import sandbox-native/jail-spec.ts; use what its row in test/tidy/may-import.ts names " +
      "(derivations, sandbox-native/posix, sandbox-native/read-tree)",
  ]);
});

test("what a row names may be imported: a folder, and of another folder one module", () => {
  const text = `import { open } from "../sandbox-native/posix.ts";
import {
  type StorePath,
  parseStorePath,
} from "../derivations/store-path.ts";
import Database from "better-sqlite3";
`;
  expect(check("store/gc.ts", text)).toEqual([]);
});

test("re-exports, imports over several lines and dynamic imports count", () => {
  expect(check("daemon/client/a.ts", 'export { b } from "../../store/b.ts";\n')).toHaveLength(1);
  expect(check("daemon/client/a.ts", 'import {\n  b,\n  c,\n} from "../../store/b.ts";\n')).toHaveLength(1);
  expect(check("daemon/client/a.ts", 'const { b } = await import("../../store/b.ts");\n')).toHaveLength(1);
  expect(check("daemon/client/a.ts", 'import "../../store/b.ts";\n')).toHaveLength(1);
});

test("the client's half does not reach into the daemon's", () => {
  expect(check("daemon/cli/main.ts", 'import { main } from "../server/main.ts";\n')).toHaveLength(1);
  expect(check("daemon/library.ts", 'import { openLocal } from "./server/local-service.ts";\n')).toHaveLength(1);
});

test("the modules of Node that open sockets or start programs belong to a few folders", () => {
  expect(check("store/gc.ts", 'import { connect } from "node:net";\n')).toEqual([
    "store/gc.ts:1: store may not import node:net; use an argument that a layer above passes in",
  ]);
  expect(check("daemon/client/connection.ts", 'import { connect } from "node:net";\n')).toEqual([]);
  expect(check("store/gc.ts", 'import type { Socket } from "node:net";\n')).toEqual([]);
  expect(check("store/gc.ts", 'import { rename } from "node:fs/promises";\n')).toEqual([]);
});

test("derivations is pure: no path, no package", () => {
  expect(check("derivations/a.ts", 'import { join } from "node:path";\n')).toHaveLength(1);
  expect(check("derivations/a.ts", 'import { z } from "zod";\n')).toHaveLength(1);
  expect(check("derivations/a.ts", 'import { createHash } from "node:crypto";\n')).toEqual([]);
});

test("an error table brings no code along, and daemon/api may load every one", () => {
  expect(check("store/errors.ts", 'import { a } from "./gc.ts";\n')).toHaveLength(1);
  expect(check("store/errors.ts", 'import type { A } from "./gc.ts";\n')).toEqual([]);
  expect(check("daemon/api/all-errors.ts", 'import { a } from "../../store/errors.ts";\n')).toEqual([]);
  expect(check("daemon/api/all-errors.ts", 'import { a } from "../../store/gc.ts";\n')).toHaveLength(1);
});

test("a new folder needs a row", () => {
  expect(check("daemon/dashboard/page.ts", "")).toEqual([
    "daemon/dashboard/page.ts:1: lies in no folder that may-import.ts has a row for; use one of its folders, or add a row",
  ]);
});
