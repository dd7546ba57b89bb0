/**
 * Compiles and runs the C++ programs of test/native, and the attacks of test/jail/advisories: they are made anew only when
 * their sources changed.
 */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export type Variant = "plain" | "sanitized";
/** `without` has a launcher out of which defences can be taken, and the attacks. */
type AnyVariant = Variant | "without";

const repository = fileURLToPath(new URL("../../", import.meta.url));
const output = join(repository, "sandbox-native", "build-test");

/** Compiles the programs of a variant; one caller at a time, since several test files want them. */
export function compileNativePrograms(variant: AnyVariant): void {
  mkdirSync(output, { recursive: true });
  const result = spawnSync(
    "flock",
    [join(output, ".lock"), "make", "-s", "-j2", "-C", join(repository, "test", "native"), `VARIANT=${variant}`],
    { encoding: "utf8" },
  );
  if (result.status !== 0)
    throw new Error(`make failed: ${result.error?.message ?? ""}${result.stdout}${result.stderr}`);
}

/** The file of a compiled program. */
export function programOf(variant: AnyVariant, name: string): string {
  return join(output, variant, name);
}

export function runProgram(
  variant: Variant,
  program: "unit-test" | "net-namespace-test" | "tree-tool",
  args: readonly string[],
  input: Uint8Array = new Uint8Array(0),
): SpawnSyncReturns<Buffer> {
  // In memory: ext4 looks long for inodes that were not deleted a moment ago, when 10,000 levels are made and removed.
  const env = { ...process.env, TMPDIR: existsSync("/dev/shm") ? "/dev/shm" : tmpdir() };
  const result = spawnSync(join(output, variant, program), args, { input, env, maxBuffer: 1 << 30 });
  if (result.error !== undefined) throw result.error;
  return result;
}

/** The lines of JSON that a command of tree-tool prints; anything on standard error is a crash or a sanitizer's report. */
export function runTreeTool(variant: Variant, args: readonly string[], input?: Uint8Array): Record<string, unknown>[] {
  const result = runProgram(variant, "tree-tool", args, input);
  if (result.signal !== null || result.stderr.length > 0)
    throw new Error(`tree-tool ${args.join(" ")} ended with ${result.signal ?? result.status}:\n${result.stderr}`);
  return result.stdout
    .toString()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Inputs of a batch, each after its size. */
export function packBatch(inputs: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(
    inputs.flatMap((input) => {
      const size = Buffer.alloc(8);
      size.writeBigUInt64LE(BigInt(input.length));
      return [size, input];
    }),
  );
}

export function textOfHex(hex: unknown): string {
  return Buffer.from(String(hex), "hex").toString();
}
