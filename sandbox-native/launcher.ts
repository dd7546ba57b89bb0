/**
 * Starts the launcher, the small program that alone holds identities and alone writes below the store directory, and
 * speaks to it: one order, one answer. When it ends, the kernel has ended every jail that it made.
 */
import { closeSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { feedPipe } from "./archive-pipe.ts";
import { assertJailSpec } from "./assert-jail-spec.ts";
import { launcherExecutable, loadBinding, type NativeChannel, type NativeMessages } from "./binding.ts";
import { detailsOf, errorOf, type NativeFailure, SandboxError } from "./errors.ts";
import {
  type BuildOrder,
  type DecodedBuildAnswer,
  decodeBuildAnswer,
  decodeFailure,
  decodeUsages,
  encodeBuildOrder,
  type JailUsage,
  messageKinds,
  type OutputHash,
  readSealedOutput,
  type SealedOutput,
  type Strength,
  strengths,
  writeOutputHash,
} from "./launcher-messages.ts";
import type { LauncherOptions } from "./launcher-options.ts";
import type { ArchivedDirectory, RestoredTree, RewriteOrder } from "./launcher-orders.ts";
import { MessageReader, MessageWriter } from "./message.ts";
import { type PendingOrder, tell } from "./pending-order.ts";

export type { BuildOrder, JailUsage, OutputHash, SealedOutput, Strength } from "./launcher-messages.ts";
export type { LauncherOptions } from "./launcher-options.ts";
export type BuildAnswer = DecodedBuildAnswer;

/** What can be told that its work is no longer wanted listens to this much of an AbortSignal. */
export interface StopSignal {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

export interface BuildOptions {
  /** By which `usage` tells of it. */
  readonly name?: string;
  onLog(bytes: Uint8Array): void;
  readonly signal?: StopSignal;
  /**
   * The spec was made from checked parts, so it goes to the launcher as it is, which looks at what path safety rests on;
   * only what that refuses is gone through here, to say what is wrong with it.
   */
  readonly isChecked?: boolean;
}

/** Orders fail with LAUNCHER_GONE when the launcher ends before it has answered, with POSIX_CALL_FAILED if not even sent. */
export interface Launcher extends AsyncDisposable {
  readonly strength: Strength;
  /** Of its first process; when that is gone, so is every process of every jail. */
  readonly pid: number;
  /** Entries of staging and builds that an earlier launcher left and this one may not touch: they need its strength. */
  readonly unsweptEntries: number;
  /** Done when it has ended, by itself or by `close`. */
  readonly closed: Promise<void>;
  /**
   * Runs a build and seals its outputs. Whatever the builder does is an answer, not an error. Throws JAIL_SPEC_INVALID,
   * JAIL_STEP_FAILED (no jail could be prepared), TREE_SYSTEM_CALL (sealing met a full disk, say).
   */
  build(order: BuildOrder, options: BuildOptions): Promise<BuildAnswer>;
  /** Makes a tree in staging from an archive. Throws the NAR_* codes and TREE_*; nothing is left then. */
  restore(
    archive: AsyncIterable<Uint8Array>,
    options?: { signal?: AbortSignal; hash?: OutputHash },
  ): Promise<RestoredTree>;
  /** Makes a file in the store. What has this name already goes to the trash. */
  writeText(name: string, contents: Uint8Array): Promise<{ narHash: Uint8Array; narSize: bigint }>;
  /** From staging into the store, in order; what has the name there already goes to the trash. */
  move(moves: readonly { from: string; to: string }[], releaseViews?: readonly string[]): Promise<void>;
  /** A copy in staging with hash parts replaced. */
  rewrite(order: RewriteOrder): Promise<SealedOutput>;
  /** Has entries of staging and views removed, some time soon. */
  discard(stagingNames: readonly string[], releaseViews?: readonly string[]): Promise<void>;
  /**
   * Removes the directory that a build was asked to leave. With `archiveTo`, a descriptor, it is archived there first: what no
   * archive can hold is left out. Throws TREE_SYSTEM_CALL, with EFBIG past `mostBytes`; it is removed all the same.
   */
  giveUpBuildDirectory(
    workspace: string,
    archive?: { readonly to: number; readonly mostBytes: bigint },
  ): Promise<ArchivedDirectory>;
  /** From the store to the trash and away; answered when they are gone. */
  remove(names: readonly string[]): Promise<{ freedBytes: bigint; missing: string[] }>;
  /** What the builds that run have taken so far, by the names that they were given. */
  usage(): Promise<ReadonlyMap<string, JailUsage>>;
  /** Ends it, with all builds. */
  close(): Promise<void>;
}

/**
 * Throws STRENGTH_UNAVAILABLE, NO_STRENGTH_AVAILABLE, LAUNCHER_LAYOUT, LAUNCHER_START_FAILED. What an earlier launcher left
 * in staging, builds and trash is out of the way when it answers.
 */
export async function startLauncher(options: LauncherOptions): Promise<Launcher> {
  if (options.strength !== "auto") return RunningLauncher.start(options, options.strength);
  const reasons: string[] = [];
  for (const strength of strengths) {
    try {
      return await RunningLauncher.start(options, strength);
    } catch (error) {
      if (!(error instanceof SandboxError) || error.code !== "STRENGTH_UNAVAILABLE") throw error;
      // Granted, but others have all of it: whoever can take the ids must not be able to weaken our jails by that.
      if ("step" in error.details && error.details.step === "lock-ids") throw error;
      reasons.push(error.message);
    }
  }
  throw new SandboxError("NO_STRENGTH_AVAILABLE", { reasons });
}

/** The order that nobody gave: what the launcher says of itself has this number. */
const startOrder = 0;

class RunningLauncher implements Launcher {
  readonly strength: Strength;
  readonly closed: Promise<void>;
  pid = 0;
  unsweptEntries = 0;
  readonly #pending = new Map<number, PendingOrder>();
  readonly #channel: NativeChannel;
  readonly #spawned = Promise.withResolvers<void>();
  #nextOrder = startOrder + 1;
  #ended = false;

  static async start(options: LauncherOptions, strength: Strength): Promise<RunningLauncher> {
    const { storeDirectory, stagingDirectory, trashDirectory, buildsDirectory } = options;
    const places = [storeDirectory, stagingDirectory, trashDirectory, buildsDirectory];
    const directories = await Promise.all(places.map((place) => realpath(place)));
    const executable = options.executable ?? launcherExecutable();
    const { maxJobs, pasta = "", controlGroupRoot = "auto", mostBuildUsers = 0, extraArguments = [] } = options;
    const settings = [String(maxJobs), pasta, controlGroupRoot, String(mostBuildUsers), ...extraArguments];
    const args = ["cloister-launcher", "serve", strength, ...directories, ...settings];
    const started = Promise.withResolvers<Uint8Array>();
    const launcher = new RunningLauncher(strength, executable, args, started);
    try {
      launcher.#learn(await started.promise);
      // Its first process may speak before the one that made it has said which process that is, and without it nobody
      // could wait for its end.
      await Promise.race([launcher.#spawned.promise, launcher.closed]);
      return launcher;
    } catch (error) {
      await launcher.close();
      throw error;
    }
  }

  private constructor(
    strength: Strength,
    executable: string,
    args: readonly string[],
    started: PromiseWithResolvers<Uint8Array>,
  ) {
    this.strength = strength;
    this.#pending.set(startOrder, started);
    const closed = Promise.withResolvers<void>();
    this.closed = closed.promise;
    const onEnd = () => {
      this.#ended = true;
      closed.resolve();
      this.#rejectAll();
    };
    try {
      this.#channel = new (loadBinding().LauncherChannel)(executable, args, (messages) => this.#take(messages), onEnd);
    } catch (thrown) {
      throw errorOf(thrown);
    }
  }

  async build(order: BuildOrder, options: BuildOptions): Promise<BuildAnswer> {
    if (options.isChecked !== true) assertJailSpec(order.spec);
    const id = this.#nextOrder;
    const cancel = () => this.#cancel(id);
    const answer = this.#order(messageKinds.build, encodeBuildOrder(order), [], options);
    if (options.signal?.aborted) cancel();
    options.signal?.addEventListener("abort", cancel);
    try {
      return decodeBuildAnswer(await answer);
    } catch (error) {
      if (error instanceof SandboxError && error.code === "JAIL_SPEC_INVALID") assertJailSpec(order.spec);
      throw error;
    } finally {
      options.signal?.removeEventListener("abort", cancel);
    }
  }

  async restore(
    archive: AsyncIterable<Uint8Array>,
    options: { signal?: AbortSignal; hash?: OutputHash } = {},
  ): Promise<RestoredTree> {
    options.signal?.throwIfAborted();
    const [readEnd, writeEnd] = loadBinding().makePipe();
    const body = writeOutputHash(new MessageWriter(), options.hash).finish();
    const answer = this.#order(messageKinds.restore, body, [readEnd]);
    closeSync(readEnd);
    const fed = feedPipe(archive, writeEnd, answer, options.signal);
    // A source that fails cuts the archive short: what the launcher says of that is only the echo.
    const [source, received] = await Promise.allSettled([fed, answer]);
    if (source.status === "rejected") throw source.reason;
    if (received.status === "rejected") throw received.reason;
    const reader = new MessageReader(received.value);
    const restored = { stagingName: reader.text(), narHash: reader.bytes(), narSize: reader.u64() };
    const hash = reader.bytes();
    return hash.length > 0 ? { ...restored, hash } : restored;
  }

  async writeText(name: string, contents: Uint8Array): Promise<{ narHash: Uint8Array; narSize: bigint }> {
    const body = new MessageWriter().bytes(name).bytes(contents).finish();
    const reader = new MessageReader(await this.#order(messageKinds.writeText, body));
    return { narHash: reader.bytes(), narSize: reader.u64() };
  }

  async move(moves: readonly { from: string; to: string }[], releaseViews: readonly string[] = []): Promise<void> {
    const writer = new MessageWriter();
    writer.list(moves, ({ from, to }) => writer.bytes(from).bytes(to)).texts(releaseViews);
    await this.#order(messageKinds.move, writer.finish());
  }

  async rewrite(order: RewriteOrder): Promise<SealedOutput> {
    const writer = new MessageWriter()
      .bytes(order.stagingName)
      .bytes(order.pairs.map(({ from }) => from).join(""))
      .bytes(order.pairs.map(({ to }) => to).join(""))
      .bytes(order.candidates.join(""))
      .bytes(order.selfHashPart ?? "");
    const body = writeOutputHash(writer, order.hash).finish();
    return readSealedOutput(new MessageReader(await this.#order(messageKinds.rewrite, body)));
  }

  async discard(stagingNames: readonly string[], releaseViews: readonly string[] = []): Promise<void> {
    await this.#order(messageKinds.discard, new MessageWriter().texts(stagingNames).texts(releaseViews).finish());
  }

  async giveUpBuildDirectory(
    workspace: string,
    archive?: { readonly to: number; readonly mostBytes: bigint },
  ): Promise<ArchivedDirectory> {
    const body = new MessageWriter()
      .bytes(workspace)
      .u64(archive?.mostBytes ?? 0n)
      .finish();
    const descriptors = archive === undefined ? [] : [archive.to];
    const reader = new MessageReader(await this.#order(messageKinds.giveUpBuildDirectory, body, descriptors));
    return { sizeBytes: reader.count(), leftOut: reader.count(), leftOutNames: reader.list(() => reader.text()) };
  }

  async remove(names: readonly string[]): Promise<{ freedBytes: bigint; missing: string[] }> {
    const reader = new MessageReader(await this.#order(messageKinds.remove, new MessageWriter().texts(names).finish()));
    return { freedBytes: reader.u64(), missing: reader.list(() => reader.text()) };
  }

  async usage(): Promise<ReadonlyMap<string, JailUsage>> {
    const usages = new Map<string, JailUsage>();
    for (const { order, ...usage } of decodeUsages(await this.#order(messageKinds.usage, new Uint8Array()))) {
      const name = this.#pending.get(order)?.name;
      if (name !== undefined) usages.set(name, usage);
    }
    return usages;
  }

  async close(): Promise<void> {
    this.#channel.close();
    this.#channel.setActive(true);
    await this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #order(
    kind: number,
    body: Uint8Array,
    descriptors: readonly number[] = [],
    of: Pick<PendingOrder, "onLog" | "name"> = {},
  ): Promise<Uint8Array> {
    const id = this.#nextOrder++;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    if (this.#ended) {
      reject(new SandboxError("LAUNCHER_GONE", { pid: this.pid }));
      return promise;
    }
    this.#pending.set(id, { resolve, reject, ...(of.onLog && { onLog: of.onLog }), name: of.name });
    if (this.#pending.size === 1) this.#channel.setActive(true);
    try {
      this.#channel.send(kind, id, body, descriptors);
    } catch (thrown) {
      this.#pending.delete(id);
      this.#restIfIdle();
      reject(errorOf(thrown));
    }
    return promise;
  }

  #cancel(id: number): void {
    try {
      this.#channel.send(messageKinds.cancel, id, new Uint8Array(), []);
    } catch {
      this.#channel.close(); // no build goes on that cannot be told to end: all hear LAUNCHER_GONE
    }
  }

  #take(messages: NativeMessages): void {
    for (let index = 0; index < messages.length; index += 3)
      this.#takeOne(messages[index] as number, messages[index + 1] as number, messages[index + 2] as Uint8Array);
  }

  #takeOne(kind: number, order: number, body: Uint8Array): void {
    if (kind === messageKinds.spawned) {
      this.pid = new MessageReader(body).u32();
      this.#spawned.resolve();
      this.#restIfIdle();
      return;
    }
    const pending = this.#pending.get(order);
    if (pending === undefined) return; // a log that came after its build's failure
    if (kind === messageKinds.log) {
      tell(pending, body);
      return;
    }
    this.#pending.delete(order);
    this.#restIfIdle();
    if (kind === messageKinds.failure) pending.reject(this.#errorOf(decodeFailure(body)));
    else pending.resolve(body);
  }

  /** With nothing to wait for, Node's loop does not go on for the launcher alone. */
  #restIfIdle(): void {
    if (this.#pending.size === 0 && this.pid !== 0) this.#channel.setActive(false);
  }

  #errorOf(failure: NativeFailure): unknown {
    const details = detailsOf(failure);
    switch (failure.code) {
      case "STRENGTH_UNAVAILABLE":
        return new SandboxError("STRENGTH_UNAVAILABLE", { ...details, strength: this.strength });
      case "JAIL_SPEC_INVALID":
        return new SandboxError("JAIL_SPEC_INVALID", { path: "order", reason: "the launcher could not read it" });
      default:
        return errorOf(failure);
    }
  }

  #learn(hello: Uint8Array): void {
    const reader = new MessageReader(hello);
    reader.u8(); // the strength, which is the one that was asked for
    reader.u32();
    reader.u32();
    this.unsweptEntries = reader.u32();
  }

  #rejectAll(): void {
    for (const [id, pending] of this.#pending) {
      const gone =
        id === startOrder
          ? new SandboxError("LAUNCHER_START_FAILED", { step: "start", errno: 0, errnoName: "no word of it", path: "" })
          : new SandboxError("LAUNCHER_GONE", { pid: this.pid });
      pending.reject(gone);
    }
    this.#pending.clear();
  }
}
