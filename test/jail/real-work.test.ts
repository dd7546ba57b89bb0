/** Real software, as a user would build it: the upstream archives of Debian's source packages, with their own tests. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { definitionOf, fetchArchives, type Software } from "../real-work/archives.ts";
import { CommandLine, missingJails } from "../support/command-line.ts";

/** What other languages' programs and a developer's tools need of a world. */
const small: readonly { programs: readonly string[]; script: string; says: string }[] = [
  {
    programs: ["base", "python3"],
    script: `cat > test_small.py <<'END'
import asyncio, json, multiprocessing, socket, sqlite3, subprocess, tempfile, unittest
async def one(): return 1
class Small(unittest.TestCase):
    def test_modules(self):
        self.assertEqual(json.loads("[1]"), [1])
        self.assertEqual(sqlite3.connect(":memory:").execute("select 1").fetchone(), (1,))
        self.assertEqual(asyncio.run(one()), 1)
    def test_processes(self):
        self.assertEqual(subprocess.check_output(["echo", "hi"]), b"hi\\n")
        with multiprocessing.Pool(2) as pool: self.assertEqual(pool.map(abs, [-1, 2]), [1, 2])
    def test_loopback(self):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0)); server.listen()
            socket.create_connection(server.getsockname()).close()
    def test_files(self):
        with tempfile.NamedTemporaryFile("w") as file: file.write("é")
END
python3 -m unittest test_small.py; echo > $out`,
    says: "Ran 4 tests",
  },
  {
    programs: ["base", "perl", "prove"],
    script: `echo 'use strict; use Test::More tests => 2; use POSIX; use File::Temp qw(tempfile); use List::Util qw(sum); use JSON::PP;
is(sum(1, 2), 3); is(decode_json("[7]")->[0], 7);' > small.t; prove small.t; echo > $out`,
    says: "All tests successful",
  },
  {
    programs: ["base", "git"],
    script: `export HOME=$PWD; git init -q one; cd one; git config user.email a@localhost; git config user.name a
echo 1 > file; git add file; git commit -qm first; echo 2 >> file; git commit -qam second
git format-patch -1 --stdout > ../patch; git reset -q --hard HEAD~1; git am -q ../patch; git clone -q . ../two; git fsck; git log --oneline
git archive HEAD | tar tf -; echo > $out`,
    says: "second",
  },
  {
    programs: ["base", "gcc", "make", "autoreconf", "aclocal", "libtoolize"],
    script: `printf 'AC_INIT([x],[1])\\nAM_INIT_AUTOMAKE([foreign])\\nLT_INIT\\nAC_PROG_CC\\nAC_CONFIG_FILES([Makefile])\\nAC_OUTPUT\\n' > configure.ac
printf 'lib_LTLIBRARIES=libx.la\\nlibx_la_SOURCES=x.c\\n' > Makefile.am; echo 'int f(void) { return 1; }' > x.c
autoreconf -fi; ./configure -q --prefix=$out; make -s; make -s install; ls $out/lib`,
    says: "libx.so.0",
  },
  {
    programs: ["base", "bzip2", "xz"],
    script: `mkdir tree; echo text > tree/file; ln tree/file tree/linked; ln -s file tree/symbolic; chmod 750 tree
tar cf tree.tar tree; mkdir again; tar xf tree.tar -C again --same-permissions; cp -a tree again/copied; diff -r tree again/tree; diff -r tree again/copied
for kind in gzip bzip2 xz; do tar cf t.$kind --$kind tree; tar tf t.$kind > /dev/null; done; install -m 755 tree/file here
export LC_ALL=C.UTF-8; word=é; echo "one letter is \${#word} long"; echo > $out`,
    says: "one letter is 1 long",
  },
];

/** Against a hang only, on a machine that has much else to do. */
const minutes = 10 * 60_000;

const missing = missingJails || fetchArchives(["hello", "zlib"]);

describe.skipIf(missingJails !== "")(`small work${missingJails && `: ${missingJails}`}`, () => {
  let cli: CommandLine;
  beforeAll(() => {
    cli = new CommandLine();
  });
  afterAll(() => cli?.[Symbol.asyncDispose]());

  test.for(small)("in a world of $programs", async ({ programs, script, says }, { skip }) => {
    const lacks = programs.filter((name) => name !== "base" && !existsSync(`/usr/bin/${name}`));
    skip(lacks.length > 0, `needs ${lacks.join(", ")}`);
    const text = `import { derivation, hostWorld } from "cloister";
export default derivation({ name: "small", world: hostWorld(${JSON.stringify(programs)}), script: ${JSON.stringify(script)} });`;
    const { status, stderr } = await cli.run(["build", cli.write("small.ts", text), "-L", "--no-link"]);
    expect(status, stderr).toBe(0);
    expect(stderr).toContain(says);
    expect(stderr).not.toContain("warning");
  });
});

describe.skipIf(missing !== "")(`real work${missing && `: ${missing}`}`, () => {
  let cli: CommandLine;
  beforeAll(() => {
    cli = new CommandLine();
  });
  afterAll(() => cli?.[Symbol.asyncDispose]());

  async function build(name: Software): Promise<{ readonly link: string; readonly log: string }> {
    const { status, stderr } = await cli.run(["build", definitionOf(name), "-o", name]);
    expect(status, stderr).toBe(0);
    const { log } = await cli.json("log", ["log", name]);
    return { link: join(cli.cwd, name), log };
  }

  test("GNU hello is configured, made, tested by its own tests, and runs", { timeout: minutes }, async () => {
    const { link, log } = await build("hello");
    expect(log).toMatch(/^# PASS: +[1-9]/m);
    expect(log).toMatch(/^# FAIL: +0$/m);
    const ran = spawnSync(join(link, "bin/hello"), ["--greeting=built in a jail"], { encoding: "utf8" });
    expect(ran.stdout).toBe("built in a jail\n");
  });

  test("zlib passes its own tests as a static, a shared and a 64-bit library", { timeout: minutes }, async () => {
    const { link, log } = await build("zlib");
    for (const kind of ["zlib test OK", "zlib shared test OK", "zlib 64-bit test OK"]) expect(log).toContain(kind);
    expect(readdirSync(join(link, "lib"))).toEqual(expect.arrayContaining(["libz.a", "libz.so", "libz.so.1"]));
  });
});
