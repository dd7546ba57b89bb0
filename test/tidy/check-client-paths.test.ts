import { expect, test } from "vitest";
import {
  type AnySchema,
  absentOr,
  integer,
  list,
  nil,
  object,
  oneOf,
  text,
  union,
  unknown,
} from "../../daemon/api/schema.ts";
import { clientPath, storePath } from "../../daemon/api/wire-values.ts";
import { checkClientPaths } from "./check-client-paths.ts";

const check = (params: AnySchema) => checkClientPaths({ ask: { params } }, []).map(({ wrong }) => wrong);

test("a request with a path of the client's is refused, however deep it lies", () => {
  expect(check(object({ file: clientPath }))).toEqual(["ask.file carries a path of the client's machine"]);
  const deep = object({ all: list(union(nil, object({ file: clientPath }))) });
  expect(check(deep)).toEqual(["ask.all[].file carries a path of the client's machine"]);
});

test("a text of no checked form is refused: it could be such a path", () => {
  expect(check(object({ text: absentOr(text()) }))).toEqual(["ask.text is a string that nothing checks"]);
  expect(check(object({ rest: unknown }))).toEqual(["ask.rest is a unknown that nothing checks"]);
});

test("checked forms and exceptions with a reason pass, and an exception that nothing needs does not", () => {
  expect(check(object({ path: storePath, mode: oneOf("a", "b"), number: integer }))).toEqual([]);
  const exception = { check: "client-paths", path: "ask.text", reason: "only compared" } as const;
  expect(checkClientPaths({ ask: { params: object({ text: text() }) } }, [exception])).toEqual([]);
  expect(checkClientPaths({ ask: { params: object({}) } }, [exception])).toHaveLength(1);
});
