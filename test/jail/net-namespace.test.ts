/** When a network namespace may go from one jail to the next. */
import { beforeAll, expect, test } from "vitest";
import { compileNativePrograms, runProgram } from "../support/native-programs.ts";

beforeAll(() => compileNativePrograms("plain"), 300_000);

test("only if no socket, no packet, no failed call and no flow label could tell that it has been used", ({ skip }) => {
  const result = runProgram("plain", "net-namespace-test", []);
  skip(result.status === 77, "needs the right to make user and network namespaces");
  expect({ stdout: String(result.stdout), stderr: String(result.stderr) }).toEqual({ stdout: "ok\n", stderr: "" });
});
