import { expect, test } from "vitest";
import { z } from "zod";
import { clientPath, storePath } from "../../daemon/api/wire-values.ts";
import { checkClientPaths } from "./check-client-paths.ts";

const check = (params: z.ZodType) => checkClientPaths({ ask: { params } }, []).map(({ wrong }) => wrong);

test("a request with a path of the client's is refused, however deep it lies", () => {
  expect(check(z.object({ file: clientPath }))).toEqual(["ask.file carries a path of the client's machine"]);
  const deep = z.object({ all: z.array(z.union([z.null(), z.object({ file: clientPath })])) });
  expect(check(deep)).toEqual(["ask.all[].file carries a path of the client's machine"]);
});

test("a text of no checked form is refused: it could be such a path", () => {
  expect(check(z.object({ text: z.string().optional() }))).toEqual(["ask.text is a string that nothing checks"]);
  expect(check(z.object({ rest: z.unknown() }))).toEqual(["ask.rest is a unknown that nothing checks"]);
});

test("checked forms and exceptions with a reason pass, and an exception that nothing needs does not", () => {
  expect(check(z.object({ path: storePath, mode: z.enum(["a", "b"]), number: z.int() }))).toEqual([]);
  const exception = { check: "client-paths", path: "ask.text", reason: "only compared" } as const;
  expect(checkClientPaths({ ask: { params: z.object({ text: z.string() }) } }, [exception])).toEqual([]);
  expect(checkClientPaths({ ask: { params: z.object({}) } }, [exception])).toHaveLength(1);
});
