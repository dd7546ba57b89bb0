/**
 * All that a jail is given, as plain data: what it sees, what it runs, as whom, and within which limits. The launcher
 * makes a list of system calls from it (`src/linux/jail-plan.cpp`).
 */
import { isIP } from "node:net";
import { z } from "zod";
import { isAddressBlock } from "./address-block.ts";

/** One component of a path. */
const isBaseName = (name: string) =>
  name !== "" &&
  name !== "." &&
  name !== ".." &&
  !/[/\0]/.test(name) &&
  (name.length <= 85 || Buffer.byteLength(name) <= 255); // 85 units of UTF-16 are at most 255 bytes

const baseName = z.string().refine(isBaseName, "must be one component of a path");

/** Looked through in one go: there may be thousands. */
const baseNames = z.array(z.string()).superRefine((names, context) => {
  const wrong = names.findIndex((name) => !isBaseName(name));
  if (wrong >= 0) context.addIssue({ code: "custom", path: [wrong], message: "must be one component of a path" });
});

/** An absolute path without ".", ".." and slashes too many. */
const absolutePath = z
  .string()
  .regex(/^(?:\/(?!\.{1,2}(?:\/|$))[^/\0]+)+$/, "must be an absolute path without . and ..");

/** Bytes over any kind of buffer, which `z.instanceof(Uint8Array)` would not infer. */
const anyBytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, "must be bytes");

/** Text that is handed to execve: any bytes but NUL. */
const text = anyBytes.refine((bytes) => !bytes.includes(0), "must not contain a NUL byte");

const duration = z.number().int().nonnegative();
const amount = z
  .bigint()
  .nonnegative()
  .lt(1n << 64n);

/** RLIMIT_* by the names of getrlimit(2), and their numbers on Linux. */
export const limitResources = {
  cpu: 0,
  fsize: 1,
  data: 2,
  stack: 3,
  core: 4,
  nproc: 6,
  nofile: 7,
  memlock: 8,
  as: 9,
  sigpending: 11,
  msgqueue: 12,
  rtprio: 14,
} as const;

/** A count that travels in 32 bits. */
const smallCount = z.number().int().min(0).max(0xffff_ffff);

/** Every builder has the first of these inside of its jail, or the other ones if its spec says so. */
export const insideIds = { usual: { uid: 1000, gid: 100 }, other: { uid: 1234, gid: 567 } } as const;

/** What a build may take of the machine; 0 is no limit, of weights no say. */
export const resourceLimitsSchema = z.strictObject({
  /** Of all processes together, with what they have in files in memory. */
  memoryBytes: amount,
  /** On top of that, with a limit of memory; 0n is none. */
  swapBytes: amount,
  /** Thousandths of a processor: 1500 is one and a half. */
  cpuThousandths: smallCount,
  /** 1 to 10,000, where 100 is everybody's. */
  cpuWeight: z.number().int().min(0).max(10_000),
  /** Threads count. */
  processes: smallCount,
  ioWeight: z.number().int().min(0).max(10_000),
  readBytesPerSecond: amount,
  writtenBytesPerSecond: amount,
  /** What must stay free where the build directory is; at most a twentieth of that file system counts. */
  leastFreeBytes: amount,
  leastFreeInodes: amount,
  /** Fail before the builder runs where one of these cannot be enforced. */
  required: z.boolean(),
});

export type ResourceLimits = z.infer<typeof resourceLimitsSchema>;

export const noResourceLimits: ResourceLimits = {
  memoryBytes: 0n,
  swapBytes: 0n,
  cpuThousandths: 0,
  cpuWeight: 0,
  processes: 0,
  ioWeight: 0,
  readBytesPerSecond: 0n,
  writtenBytesPerSecond: 0n,
  leastFreeBytes: 0n,
  leastFreeInodes: 0n,
  required: false,
};

const limitNames = Object.keys(limitResources) as [keyof typeof limitResources, ...(keyof typeof limitResources)[]];

/** In the order of the launcher's `SeccompProfile`. */
export const seccompProfiles = ["build", "fetch", "shell"] as const;

export const jailSpecSchema = z
  .strictObject({
    /** Where the store appears inside, such as "/cloister/store". */
    storeDirectory: absolutePath,
    /** Base names below the store directory, mounted read-only; symlinks are made again. */
    inputs: baseNames,
    /** Base name of the store object whose top-level entries appear at "/". */
    world: baseName.optional(),
    /** Base names that the builder is to make in the store directory. */
    outputs: baseNames,
    builder: text,
    argv0: text,
    args: z.array(text),
    /** `NAME=VALUE`; the builder gets these and no others. */
    environment: z.array(text.refine((bytes) => bytes.includes(0x3d), "must be NAME=VALUE")),
    /**
     * Empty at the start but for `files`; a limit of 0n is none. In memory ("tmpfs") the kernel lets it grow no further; on
     * disk it is measured now and then, together with what is made in the store directory.
     */
    buildDirectory: z.strictObject({
      inside: absolutePath,
      kind: z.enum(["disk", "tmpfs"]),
      sizeBytes: amount,
      inodes: amount,
    }),
    files: z.array(z.strictObject({ name: baseName, contents: anyBytes, executable: z.boolean() })),
    hostName: z.string().regex(/^[a-z0-9-]{1,63}$/, "must be a host name"),
    /** The ids of `insideIds.other`: of a build whose output must not depend on them. */
    otherIds: z.boolean().optional(),
    /** On how many processors it runs: the last ones of those that the launcher may use. All without it. */
    mostProcessors: z.number().int().min(1).max(0xffff_ffff).optional(),
    /** Its inputs are mounted for it alone, in the order in which they are named. */
    freshView: z.boolean().optional(),
    /**
     * "none": nothing but its own loopback interface. "outbound": a way out by TCP and UDP as well, to every address but
     * those of the `blocked` networks and the host's loopback; `nameservers` go to /etc/resolv.conf.
     */
    network: z.union([
      z.literal("none"),
      z.strictObject({
        kind: z.literal("outbound"),
        blocked: z.array(z.string().refine(isAddressBlock, "must be a network, such as 10.0.0.0/8")),
        nameservers: z.array(z.string().refine((address) => isIP(address) !== 0, "must be an internet address")),
      }),
    ]),
    personality: z.enum(["linux", "linux32"]),
    umask: z.number().int().min(0).max(0o777),
    limits: z.strictObject({
      /** 0 is no limit, here and in the next two. */
      wallTimeMs: duration,
      silenceMs: duration,
      logBytes: duration,
      rlimits: z.array(z.strictObject({ resource: z.enum(limitNames), soft: amount, hard: amount })),
      /** None if it is left out. */
      resources: resourceLimitsSchema.optional(),
    }),
    /** Which system calls it may make: docs/seccomp.md; without it the profile is "build", or "fetch" with a network. Nested user namespaces come with mounts and all that they allow. */
    seccomp: z
      .strictObject({
        profile: z.enum(seccompProfiles).optional(),
        nestedUserNamespaces: z.boolean().optional(),
        /** Count what is refused; a refusal then takes two changes of process. */
        log: z.boolean().optional(),
      })
      .optional(),
  })
  .superRefine((spec, context) => {
    const names = [...spec.inputs, ...spec.outputs];
    if (new Set(names).size !== names.length)
      context.addIssue({ code: "custom", path: ["outputs"], message: "an input or output is named twice" });
    if (spec.world !== undefined && !spec.inputs.includes(spec.world))
      context.addIssue({ code: "custom", path: ["world"], message: "the world must be among the inputs" });
  });

export type JailSpec = z.infer<typeof jailSpecSchema>;

/** A jail in which nothing is special; what it sees, runs and makes is for its maker to say. */
export const plainJail: Omit<JailSpec, "inputs" | "outputs" | "builder" | "argv0" | "args"> = {
  storeDirectory: "/cloister/store",
  environment: [],
  buildDirectory: { inside: "/build", kind: "tmpfs", sizeBytes: 0n, inodes: 0n },
  files: [],
  hostName: "localhost",
  network: "none",
  personality: "linux",
  umask: 0o022,
  limits: { wallTimeMs: 0, silenceMs: 0, logBytes: 0, rlimits: [] },
};
