import { describe, expect, test } from "vitest";
import { z } from "zod";
import { expandPattern, findToolNeeds, hostToolsText } from "../../../../daemon/definitions/host-tools.ts";

const texts = z.array(z.string().min(1));
const path = z.string().regex(/^[/{]/);
const group = z.strictObject({ why: z.string().min(1), paths: z.array(path), without: texts.optional() });
const schema = z.strictObject({
  searched: z.array(path),
  refusedTops: texts,
  skeleton: z.array(path),
  base: z.strictObject({ programs: texts, programsIfThere: texts }),
  always: z.array(group),
  lists: z.record(z.string(), texts),
  tools: z.record(
    z.string(),
    z.strictObject({
      match: z.string().startsWith("^").endsWith("$"),
      programs: texts.optional(),
      tools: texts.optional(),
      groups: z.array(group).optional(),
    }),
  ),
});

test("the table has the shape that its reader takes for granted", () => {
  const table = schema.parse(JSON.parse(hostToolsText));
  for (const [name, tool] of Object.entries(table.tools)) {
    expect(() => new RegExp(tool.match), name).not.toThrow();
    for (const other of tool.tools ?? []) expect(Object.keys(table.tools), name).toContain(other);
  }
});

describe("a program's names bring its needs:", () => {
  test.each([
    [["gcc", "gcc-12", "x86_64-linux-gnu-gcc-12"], { target: "x86_64-linux-gnu", version: "12" }],
    [["cc", "cc", "gcc", "gcc-13"], { version: "13" }],
    [["gcc"], {}],
  ])("%j", (names, variables) => {
    const { groups, programs } = findToolNeeds(names);
    for (const name of ["as", "ld", "cc", "cpp", "ar", "ranlib", "strip"]) expect(programs).toContain(name);
    for (const each of groups) expect(each.variables).toEqual(variables);
  });

  test("a compiler for C++ brings that for C, and each program once", () => {
    const whys = findToolNeeds(["g++", "g++-12"]).groups.map((each) => each.group.why);
    expect(whys).toContain("headers of the C++ library");
    expect(whys).toContain("headers of the C library and the kernel");
    const { programs } = findToolNeeds(["g++"]);
    expect(programs).toEqual(["c++", ...findToolNeeds(["gcc"]).programs]);
  });

  test("any other program brings nothing", () => {
    expect(findToolNeeds(["gccgo-tool", "mkdir", "ld", "gcc-ar"])).toEqual({ groups: [], programs: [] });
  });
});

test("a pattern stands for each value of its lists, and for what its variables say", () => {
  const variables = { multiarch: "m", version: "12" };
  expect(expandPattern("/usr/lib/{multiarch}/x", variables)).toEqual(["/usr/lib/m/x"]);
  expect(expandPattern("/{target|*}/{version|*}", variables)).toEqual(["/*/12"]);
  expect(expandPattern("{libdir}/a.so", variables)).toEqual(["/usr/lib/m/a.so", "/usr/lib64/a.so", "/usr/lib/a.so"]);
  expect(expandPattern("/{unknown}/x", variables)).toEqual([]);
});
