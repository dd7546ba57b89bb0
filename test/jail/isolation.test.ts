/** What a builder can reach, seen from inside of the jail. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { strengthsToTest } from "../support/granted-strengths.ts";
import {
  busybox,
  makeTemporaryLauncher,
  noLimits,
  shellSpec,
  storeDirectory,
  storeName,
  type TemporaryLauncher,
} from "../support/temporary-launcher.ts";

describe.for(await strengthsToTest())("in $strength strength", ({ strength, missing }) => {
  let here: TemporaryLauncher;
  beforeAll(async () => {
    if (missing === "") here = await makeTemporaryLauncher({ strength });
  });
  afterAll(() => here?.[Symbol.asyncDispose]());

  test("a file of the host that is not an input is invisible", async ({ skip }) => {
    skip(missing !== "", missing);
    const secret = join(here.folder, "secret");
    writeFileSync(secret, "secret");
    const log = await here.shell(`ls ${secret} ${here.store} /home /root /usr /work 2>&1; ls /proc/1/root; true`);
    expect(log).not.toContain("secret\n");
    for (const path of [secret, here.store, "/home", "/root", "/usr"])
      expect(log).toContain(`ls: ${path}: No such file or directory`);
  });

  test("the root holds the jail's own directories and nothing else", async ({ skip }) => {
    skip(missing !== "", missing);
    expect((await here.shell("ls /")).split("\n")).toEqual(["build", "cloister", "dev", "etc", "proc", "tmp", ""]);
    expect(await here.shell("ls -a /build /tmp")).toBe("/build:\n.\n..\n\n/tmp:\n.\n..\n");
  });

  test("only declared inputs are in the store directory", async ({ skip }) => {
    skip(missing !== "", missing);
    writeFileSync(join(here.store, storeName("1", "undeclared")), "undeclared");
    writeFileSync(join(here.store, storeName("2", "file")), "a file");
    symlinkSync("anywhere", join(here.store, storeName("3", "link")));
    const inputs = [storeName("2", "file"), storeName("3", "link")];
    const log = await here.shell(`cd ${storeDirectory}; ls; cat ${inputs[0]}; readlink ${inputs[1]}`, { inputs });
    expect(log).toBe(`${inputs.join("\n")}\n${busybox}\na fileanywhere\n`);
  });

  test("an input can be neither written nor replaced nor removed", async ({ skip }) => {
    skip(missing !== "", missing);
    const input = storeName("4", "input");
    mkdirSync(join(here.store, input));
    writeFileSync(join(here.store, input, "file"), "as it was");
    chmodSync(join(here.store, input, "file"), 0o666);
    const script = `cd ${storeDirectory}
      for command in "touch ${input}/new" "cp /proc/version ${input}/file" "rm -f ${input}/file" "rmdir ${input}" \
        "mv ${input} other" "chmod 777 ${input}" "rm -rf ${input}" "mount -o remount,rw ${input}"; do
        $command 2>/dev/null && echo "worked: $command"
      done; cat ${input}/file`;
    expect(await here.shell(script, { inputs: [input] })).toBe("as it was");
  });

  test("there is no network but a loopback interface that is up", async ({ skip }) => {
    skip(missing !== "", missing);
    const log = await here.shell(`ip -o link; ip -o addr; ip route; nc -w 1 192.0.2.1 80 </dev/null 2>&1 || true
      (echo heard | nc -l -p 4000) & sleep 0.2; nc -w 1 127.0.0.1 4000 </dev/null`);
    expect(log.split("\n").filter((line) => /^\d+: /.test(line) && !line.includes(" lo"))).toEqual([]);
    expect(log).toMatch(/lo: <LOOPBACK,UP/);
    expect(log).toContain("Network is unreachable");
    expect(log).toContain("heard");
  });

  test("the environment is exactly the given one", async ({ skip }) => {
    skip(missing !== "", missing);
    const environment = ["A=1", "B=two words", `C=\x80\xff`, "EMPTY="].map((text) => Buffer.from(text, "latin1"));
    const path = `${storeDirectory}/${busybox}/bin/cat`;
    const builder = {
      builder: Buffer.from(path),
      argv0: Buffer.from("cat"),
      args: [Buffer.from("/proc/self/environ")],
    };
    const pieces: Uint8Array[] = [];
    const order = { spec: { ...shellSpec(""), ...builder, outputs: [], environment }, candidates: [], outputs: [] };
    await here.launcher.build(order, { onLog: (bytes) => pieces.push(bytes) });
    expect(Buffer.concat(pieces).toString("latin1")).toBe("A=1\0B=two words\0C=\x80\xff\0EMPTY=\0");
  });

  test("ids, host name, session, limits and descriptors are the documented ones", async ({ skip }) => {
    skip(missing !== "", missing);
    const log = await here.shell(
      `id -u; id -g; id -un; hostname; cat /proc/sys/kernel/domainname; umask; echo $$
      ls /proc/self/fd | wc -l; readlink /proc/$$/fd/0; ulimit -c; pwd; cat /proc/$$/stat | sed 's/.*) //' | cut -d' ' -f4`.replace(
        "cut",
        "busybox cut",
      ),
    );
    expect(log.split("\n").slice(0, 11)).toEqual([
      "1000",
      "100",
      "nixbld",
      "localhost",
      "(none)",
      "0022",
      "1",
      "4",
      "/dev/null",
      "0",
      "/build",
    ]);
  });

  test("limits are the same whatever the daemon was started with", async ({ skip }) => {
    skip(missing !== "", missing);
    expect(await here.shell("ulimit -Sc; ulimit -Hc; ulimit -Sn; ulimit -Ss")).toBe("0\n0\n1024\n8192\n");
    const rlimits = [{ resource: "nofile" as const, soft: 99n, hard: 100n }];
    const limits = { ...noLimits, rlimits };
    expect(await here.shell("ulimit -Sn; ulimit -Hn; ulimit -n 200 2>&1 || true", { limits })).toMatch(
      /^99\n100\n.*not permitted/,
    );
  });

  test("nobody in it has privileges or can get some", async ({ skip }) => {
    skip(missing !== "", missing);
    const log = await here.shell(`grep -E '^(Cap|NoNewPrivs|SigIgn|SigBlk|Uid|Gid|TracerPid)' /proc/self/status
      cp ${storeDirectory}/${busybox}/bin/busybox /build/su; chmod 6755 /build/su; /build/su -c id 2>&1
      mount -t tmpfs none /tmp 2>&1; umount /build 2>&1; mknod /build/null c 1 3 2>&1; hostname other 2>&1; true`);
    for (const set of ["Inh", "Prm", "Eff", "Bnd", "Amb"]) expect(log).toContain(`Cap${set}:\t0000000000000000\n`);
    expect(log).toContain("NoNewPrivs:\t1\n");
    expect(log).toContain("SigIgn:\t0000000000000000\n");
    expect(log).toContain("SigBlk:\t0000000000000000\n");
    expect(log).toContain("Uid:\t1000\t1000\t1000\t1000\n");
    expect(log).not.toMatch(/uid=0/);
    expect(log).toMatch(/mount: .*(permission denied|Operation not permitted)/i);
    expect(log).toMatch(/mknod: .*Operation not permitted/);
    expect(log).toMatch(/sethostname: Operation not permitted/);
  });

  test("mounts are read-only but the builder's own, and none allows devices or setuid but /dev", async ({ skip }) => {
    skip(missing !== "", missing);
    const mounts = (await here.shell("cat /proc/self/mountinfo")).trimEnd().split("\n");
    const parsed = mounts
      .map((line) => line.split(" "))
      .map((fields) => ({ at: fields[4] ?? "", flags: fields[5]?.split(",") ?? [] }));
    const writable = parsed.filter(({ flags }) => flags.includes("rw")).map(({ at }) => at);
    expect(writable.filter((at) => !at.startsWith("/dev/")).sort()).toEqual(
      ["/build", storeDirectory, "/proc", "/tmp"].sort(),
    );
    expect(parsed.filter(({ at, flags }) => !flags.includes("nosuid") && !/^\/dev\/\w+$/.test(at))).toEqual([]);
    expect(parsed.filter(({ at, flags }) => !flags.includes("nodev") && !at.startsWith("/dev"))).toEqual([]);
    expect(mounts.join("\n")).not.toContain("shared:");
  });

  test("mountinfo names no place of the host outside of the store's own tree", async ({ skip }) => {
    skip(missing !== "", missing);
    const roots = (await here.shell("cat /proc/self/mountinfo"))
      .trimEnd()
      .split("\n")
      .map((line) => line.split(" ")[3] ?? "");
    const telling = roots.filter(
      (root) =>
        root !== "/" &&
        !root.includes("/cloister-jail-") &&
        !/^\/(null|zero|full|random|urandom|tty|empty-file|empty-directory|sys)$/.test(root),
    );
    expect(telling).toEqual([]);
  });

  test("/dev has the harmless devices, and terminals of its own", async ({ skip }) => {
    skip(missing !== "", missing);
    const log = await here.shell(`ls /dev; echo x > /dev/null; dd if=/dev/zero bs=1 count=1 2>/dev/null | wc -c
      dd if=/dev/urandom bs=4 count=1 2>/dev/null | wc -c; { echo x > /dev/full; } 2>&1; ls /dev/pts; echo y > /dev/shm/file; cat /dev/shm/file
      touch /dev/new 2>&1; true`);
    expect(log).toBe(
      `${"fd full null ptmx pts random shm stderr stdin stdout tty urandom zero".replaceAll(" ", "\n")}\n1\n4\n` +
        "sh: write error: No space left on device\nptmx\ny\ntouch: /dev/new: Read-only file system\n",
    );
  });

  test("/etc says who the builder is", async ({ skip }) => {
    skip(missing !== "", missing);
    expect(await here.shell("cat /etc/passwd /etc/group /etc/hosts; ls /etc")).toBe(
      "root:x:0:0:Nix build user:/build:/noshell\nnixbld:x:1000:100:Nix build user:/build:/noshell\n" +
        "nobody:x:65534:65534:Nobody:/:/noshell\nroot:x:0:\nnixbld:!:100:\nnogroup:x:65534:\n" +
        "127.0.0.1 localhost\n::1 localhost\ngroup\nhosts\npasswd\n",
    );
  });

  test("nobody else on the host reaches what is being built, whatever modes the builder sets", async ({ skip }) => {
    skip(missing !== "", missing);
    const begun = Promise.withResolvers<void>();
    const cancel = new AbortController();
    const spec = shellSpec(
      "mkdir -m 777 $out; chmod 777 /build; echo x > $out/x; chmod 6777 $out/x; echo begun; sleep 100",
    );
    const building = here.launcher.build(
      { spec, candidates: [], outputs: [] },
      { onLog: () => begun.resolve(), signal: cancel.signal },
    );
    await begun.promise;
    for (const directory of [here.staging, here.builds]) expect(statSync(directory).mode & 0o777).toBe(0o700);
    if (process.geteuid?.() === 0)
      for (const directory of [here.staging, here.builds])
        expect(() => execFileSync("ls", [directory], { uid: 65534, gid: 65534, stdio: "pipe" })).toThrow(
          /Permission denied/,
        );
    cancel.abort();
    await building;
  });

  test("a build's uid outside is nobody else's, but in single strength", async ({ skip }) => {
    skip(missing !== "", missing);
    const pair = await Promise.all([1, 2].map(() => here.run(shellSpec("sleep 0.3", { outputs: [] }))));
    const [first, second] = pair.map(({ answer }) => answer.uid);
    if (strength === "single") expect([first, second]).toEqual([0, 0]);
    else expect(first).not.toBe(second);
    expect(first === 0).toBe(strength === "single");
    await here.launcher.discard(
      [],
      pair.map(({ answer }) => answer.view),
    );
  });
});
