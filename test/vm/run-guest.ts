/**
 * Runs a shell script as root of a fresh small virtual machine: for what the machine that tests run on cannot show, version
 * 2 of control groups with all controllers. The processor is emulated, so things take some ten times as long as outside.
 */
import { execFileSync, spawn } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeGuestImage } from "./guest-image.ts";

export interface GuestOptions {
  /** For busybox's shell. The repository is at /repository, `node` is in PATH, all controllers are in /sys/fs/cgroup. */
  readonly script: string;
}

export interface GuestRun {
  readonly exitStatus: number;
  /** What the script wrote, both streams, lines ended by "\n". */
  readonly output: string;
}

const emulator = "qemu-system-x86_64";
const memoryMebibytes = 768;
const timeoutMs = 150_000;
/** Only where somebody says so: guests take minutes, and are no part of an ordinary run. */
const kernelFolder = process.env.CLOISTER_VM ?? "";
const kernel = join(kernelFolder, "vmlinuz");

/** Why no guest can run here, or "". */
export const guestsMissing: string = findWhyNot();

function findWhyNot(): string {
  if (kernelFolder === "") return "needs CLOISTER_VM, the folder of a kernel for guests (test/vm/get-kernel.sh)";
  if (process.arch !== "x64") return "needs an x86-64 machine: guests have that kernel";
  if (!isExecutable(emulator)) return `needs ${emulator} (apt-get install qemu-system-x86)`;
  if (!isExecutable("mkfs.ext4")) return "needs mkfs.ext4 (apt-get install e2fsprogs)";
  if (!existsSync("/bin/busybox")) return "needs a static /bin/busybox (apt-get install busybox-static)";
  if (!existsSync(kernel)) return `needs a kernel in ${kernelFolder} (test/vm/get-kernel.sh fetches it)`;
  return "";
}

function isExecutable(name: string): boolean {
  const folders = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/sbin"];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Throws with the console's last lines if the guest does not come up or does not end in time. */
export async function runGuest(options: GuestOptions): Promise<GuestRun> {
  const work = mkdtempSync(join(tmpdir(), "cloister-guest-run-"));
  try {
    const image = makeGuestImage(kernelFolder);
    const initrd = makeInitrd(work, options.script);
    // A guest that gets nowhere for as long as this is started once more: under load it may miss its own timers.
    for (let attempt = 1; ; attempt += 1) {
      const console = await runEmulator(emulatorArguments(image, initrd));
      const found = /guest: begins\n([\s\S]*)guest: ended with (\d+)\n/.exec(console);
      if (found !== null) return { output: found[1] ?? "", exitStatus: Number(found[2]) };
      if (attempt === 2 || console.includes("guest: begins"))
        throw new Error(`the guest did not end in time; its console says:\n${console.slice(-4000)}`);
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function emulatorArguments(image: string, initrd: string): string[] {
  const commandLine = `console=ttyS0 loglevel=1 panic=-1 random.trust_cpu=on tsc_early_khz=${timeStampKilohertz()}`;
  return [
    ...["-M", "microvm", "-accel", "tcg", "-cpu", "max", "-m", String(memoryMebibytes)],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"],
    ...["-kernel", kernel, "-initrd", initrd, "-append", commandLine],
    ...["-drive", `id=disk,if=none,format=raw,file=${image},snapshot=on`, "-device", "virtio-blk-device,drive=disk"],
  ];
}

/** The guest's clock is the host's; left to measure that itself, a guest on a busy host may never come up. */
function timeStampKilohertz(): number {
  const megahertz = /^cpu MHz\s*: ([0-9.]+)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1];
  return Math.round(Number(megahertz ?? 2000) * 1000);
}

function makeInitrd(work: string, script: string): string {
  const tree = join(work, "initrd");
  for (const folder of ["bin", "modules", "job"]) mkdirSync(join(tree, folder), { recursive: true });
  const here = fileURLToPath(new URL(".", import.meta.url));
  execFileSync("cp", ["/bin/busybox", join(tree, "bin/busybox")]);
  execFileSync("cp", ["-r", join(kernelFolder, "modules"), tree]);
  writeFileSync(join(tree, "init"), readFileSync(join(here, "guest-init.sh")), { mode: 0o755 });
  execFileSync("ln", ["-s", "busybox", join(tree, "bin/sh")]);
  writeFileSync(join(tree, "job/run"), script);
  const file = join(work, "initrd.gz");
  execFileSync("sh", [
    "-c",
    `cd "$1" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 > "$2"`,
    "sh",
    tree,
    file,
  ]);
  return file;
}

function runEmulator(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(emulator, args, { stdio: ["ignore", "pipe", "pipe"] });
    let console = "";
    const take = (bytes: Buffer) => {
      console += bytes.toString("latin1").replaceAll("\r", "");
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    child.on("error", reject);
    child.on("close", () => {
      clearTimeout(timer);
      resolve(console);
    });
  });
}
