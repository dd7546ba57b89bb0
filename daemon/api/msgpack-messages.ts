/**
 * The requests of the msgpack protocol, one row each: what it takes, what it gives, which streams go with it, who may
 * ask, and the service method behind it. The client's methods, the server's dispatch, the checks on both sides and
 * docs/protocol.md are made from these rows. The messages that carry them are in messages.ts.
 */
import { activity, cancelResult } from "./activity-values.ts";
import { askedOfBuild } from "./asked-of-build.ts";
import type { BuildEvent } from "./events.ts";
import { onDisconnectKinds } from "./requests.ts";
import {
  absentOr,
  boolean,
  list,
  nil,
  nullable,
  number,
  object,
  oneOf,
  type Schema,
  text,
  type ValueOf,
} from "./schema.ts";
import type { ByteStream, Cancellable, Service } from "./service.ts";
import { reloadResult, settingValue } from "./setting-values.ts";
import {
  addMethod,
  buildRecord,
  buildResult,
  byteString,
  clientPath,
  count,
  dictionary,
  gcResult,
  hashPart,
  narListing,
  newPathInfo,
  objectName,
  pathDetails,
  pathInfo,
  root,
  size,
  status,
  storePath,
} from "./wire-values.ts";

/** What a request has beside its parameters. */
export interface RequestContext extends Cancellable {
  /** Empty unless the row has an upload. */
  readonly upload: ByteStream;
  readonly onEvent: (event: BuildEvent) => unknown;
  /** Resolves when the client has taken it; nothing is left out. */
  readonly onPacedEvent: (event: BuildEvent) => Promise<void>;
}

export interface Method<Params, Result> {
  readonly does: string;
  readonly params: Schema<Params>;
  readonly result: Schema<Result>;
  /** Which streams go with it: bytes to the daemon, bytes from it, build events from it. */
  readonly upload: boolean;
  readonly download: boolean;
  readonly events: boolean;
  /** "trusted": the daemon's own user, root, and those named with `--trust-user`. */
  readonly role: "any" | "trusted";
  /** Of an operation that is for all: what those may not do with it who are not trusted. docs/trust.md says it. */
  readonly untrustedMayNot?: string;
  /**
   * What the audit log says of a trusted caller's request; undefined for one that anybody might have sent. By default
   * all parameters of what only the trusted may do, and nothing of what all may.
   */
  readonly audits: (params: Params) => Readonly<Record<string, unknown>> | undefined;
  /** A download gives its bytes; its result is sent after them. */
  readonly invoke: (service: Service, params: Params, context: RequestContext) => Promise<Result> | ByteStream;
}

export const methods = {
  status: method({
    does: "What the daemon is and how busy it is; with `sizes` also how much its store holds, which takes longer.",
    params: object({ sizes: absentOr(boolean) }),
    result: status,
    invoke: (service, { sizes }, context) => service.status(sizes === true ? withSignal({ sizes }, context) : context),
  }),

  queryPathInfo: method({
    does: "What the store knows of a valid path; null if the path is not valid.",
    params: object({ path: storePath }),
    result: nullable(pathInfo),
    invoke: (service, { path }, context) => service.queryPathInfo(path, context).then(orNull),
  }),
  queryPathDetails: method({
    does: "The same, with what needs looking around: referrers, derivers, closure size, the build's record.",
    params: object({ path: storePath }),
    result: nullable(pathDetails),
    invoke: (service, { path }, context) => service.queryPathDetails(path, context).then(orNull),
  }),
  queryValidPaths: method({
    does: "Those of the paths that are valid, in their order.",
    params: object({ paths: list(storePath) }),
    result: list(storePath),
    invoke: (service, { paths }, context) => service.queryValidPaths(paths, context),
  }),
  queryReferrers: method({
    does: "The valid paths that refer to a path.",
    params: object({ path: storePath }),
    result: list(storePath),
    invoke: (service, { path }, context) => service.queryReferrers(path, context),
  }),
  queryClosure: method({
    does: "The closure over references (forward) or referrers (backward), dependencies first.",
    params: object({ paths: list(storePath), direction: oneOf("forward", "backward") }),
    result: list(storePath),
    invoke: (service, { paths, direction }, context) => service.queryClosure(paths, direction, context),
  }),
  findPathByHashPart: method({
    does: "The valid path with these 32 digits; null if there is none.",
    params: object({ hashPart }),
    result: nullable(storePath),
    invoke: (service, params, context) => service.findPathByHashPart(params.hashPart, context).then(orNull),
  }),
  queryDerivationOutputs: method({
    does: "The outputs of a derivation in the store, by id; null where the path is not known before it is built.",
    params: object({ drvPath: storePath }),
    result: dictionary(nullable(storePath)),
    invoke: (service, { drvPath }, context) => service.queryDerivationOutputs(drvPath, context),
  }),

  addSource: method({
    does: "Adds the uploaded NAR under the path that follows from its contents. This connection then holds a lease on it.",
    params: object({ name: objectName, method: addMethod }),
    result: pathInfo,
    upload: true,
    invoke: (service, params, context) => service.addSource(params.name, params.method, context.upload, context),
  }),
  addNar: method({
    does: "Adds the uploaded NAR under the path that is stated. Who is not trusted may add only what follows from its contents.",
    params: object({ info: newPathInfo }),
    result: nil,
    upload: true,
    untrustedMayNot: "add a path that does not follow from its contents (`STORE_PATH_UNPROVEN`)",
    audits: ({ info }) => (info.contentAddress === undefined ? { path: info.path } : undefined),
    invoke: (service, { info }, context) => service.addNar(info, context.upload, context).then(nothing),
  }),
  addText: method({
    does: "Adds a text object; one whose name ends in .drv must be a derivation with the outputs that it should have.",
    params: object({ name: objectName, contents: byteString, references: list(storePath) }),
    result: storePath,
    invoke: (service, { name, contents, references }, context) => service.addText(name, contents, references, context),
  }),

  readNar: method({
    does: "The NAR of a valid path.",
    params: object({ path: storePath }),
    result: nil,
    download: true,
    invoke: (service, { path }, context) => service.readNar(path, context),
  }),
  readListing: method({
    does: "What a path holds, without the contents.",
    params: object({ path: storePath }),
    result: narListing,
    invoke: (service, { path }, context) => service.readListing(path, context),
  }),
  readFile: method({
    does: 'The contents of one regular file; `inside` is "" for a path that is a file itself, else such as "bin/hello".',
    params: object({ path: storePath, inside: text() }),
    result: nil,
    download: true,
    invoke: (service, { path, inside }, context) => service.readFile(path, inside, context),
  }),

  build: method({
    does: "Makes the targets valid. One result for each target, in their order; a failed build is a result, not an error. What goes on meanwhile is told only to who asks for `events`.",
    params: object({
      ...askedOfBuild,
      onDisconnect: absentOr(oneOf(...onDisconnectKinds)),
      events: boolean,
    }),
    result: list(buildResult),
    events: true,
    untrustedMayNot: "raise a priority above 0 (`PRIORITY_NOT_ALLOWED`)",
    invoke: (service, { targets, events, ...options }, context) =>
      service.build(targets, { ...withSignal(options, context), ...(events ? { onEvent: context.onEvent } : {}) }),
  }),
  submit: method({
    does: "A build that needs no client: the answer comes at once and is the request's id. It is kept, also when the daemon ends.",
    params: object(askedOfBuild),
    result: text(),
    untrustedMayNot: "raise a priority above 0 (`PRIORITY_NOT_ALLOWED`)",
    invoke: (service, { targets, ...options }, context) => service.submit(targets, withSignal(options, context)),
  }),
  attach: method({
    does: "A request that needs no client, from its beginning: its events, for who asks for them, with all of each log however long, then its results. Cancelling this only ends the watching.",
    params: object({ requestId: text(), events: boolean }),
    result: list(buildResult),
    events: true,
    untrustedMayNot: "attach to another user's request (`REQUEST_NOT_YOURS`)",
    invoke: (service, { requestId, events }, context) =>
      service.attach(requestId, withSignal(events ? { onEvent: context.onPacedEvent } : {}, context)),
  }),
  queryActivity: method({
    does: "Who asked for what, what runs, and what waits for what.",
    params: object({}),
    result: activity,
    invoke: (service, _, context) => service.queryActivity(context),
  }),
  cancel: method({
    does: "Ends a request, or the running build of a record for all requests that the client may speak for: its user's, or all if it is trusted. What others want runs on.",
    params: object({ id: text() }),
    result: cancelResult,
    untrustedMayNot: "end what other users want (`REQUEST_NOT_YOURS`)",
    audits: (params) => params,
    invoke: (service, { id }, context) => service.cancel(id, context),
  }),
  queryBuildRecords: method({
    does: "Records of builds by id, derivation, output path or name (`text`), by how they stand, who asked, and when they started; newest first, at most 1,000. `beforeId` goes on where an answer ended.",
    params: object({
      text: absentOr(text()),
      status: absentOr(oneOf("building", "sealing", "done", "failed", "cancelled")),
      uid: absentOr(count),
      sinceMs: absentOr(number),
      untilMs: absentOr(number),
      beforeId: absentOr(text()),
      limit: count,
    }),
    result: list(buildRecord),
    invoke: (service, query, context) => service.queryBuildRecords(query, context),
  }),
  readLog: method({
    does: "The log of a build record, as the builder wrote it; with `follow` until the build ends.",
    params: object({ recordId: text(), follow: boolean }),
    result: nil,
    download: true,
    invoke: (service, { recordId, follow }, context) => service.readLog(recordId, withSignal({ follow }, context)),
  }),
  readKeptBuild: method({
    does: "The build directory of a failed build, as a NAR; for who asked for that build, with `keepFailed`, and for the trusted.",
    params: object({ recordId: text() }),
    result: nil,
    download: true,
    invoke: (service, { recordId }, context) => service.readKeptBuild(recordId, context),
  }),

  addIndirectRoot: method({
    does: "Registers a symbolic link of the client's as a root; the daemon only ever reads the link itself.",
    params: object({ link: clientPath, path: storePath }),
    result: nil,
    invoke: (service, { link, path }, context) => service.addIndirectRoot(link, path, context).then(nothing),
  }),
  addPermanentRoot: method({
    does: "Makes a root in the state directory.",
    params: object({ name: objectName, path: storePath }),
    result: nil,
    role: "trusted",
    invoke: (service, { name, path }, context) => service.addPermanentRoot(name, path, context).then(nothing),
  }),
  removeRoot: method({
    does: "Forgets a root, named as `listRoots` names it.",
    params: object({ from: text() }),
    result: nil,
    role: "trusted",
    invoke: (service, { from }, context) => service.removeRoot(from, context).then(nothing),
  }),
  listRoots: method({
    does: "All roots, and the leases of connections and builds.",
    params: object({}),
    result: list(root),
    invoke: (service, _, context) => service.listRoots(context),
  }),
  collectGarbage: method({
    does: "Deletes what no root or lease reaches: all of it, up to a number of bytes, or certain paths.",
    params: object({
      dryRun: boolean,
      maxFreedBytes: absentOr(size),
      paths: absentOr(list(storePath)),
    }),
    result: gcResult,
    invoke: (service, options, context) => service.collectGarbage(withSignal(options, context)),
  }),

  querySettings: method({
    does: "The daemon's settings, and where each comes from.",
    params: object({}),
    result: list(settingValue),
    invoke: (service, _, context) => service.querySettings(context),
  }),
  reload: method({
    does: "Has the daemon read its configuration again. What cannot change while it runs is named and stays as it is.",
    params: object({}),
    result: reloadResult,
    role: "trusted",
    invoke: (service, _, context) => service.reload(context),
  }),
  readMetrics: method({
    does: "What there is to measure of builds, store and daemon, in the text form of Prometheus. From the first one on the daemon looks how late its own work is, until nobody has asked for ten minutes.",
    params: object({}),
    result: text(),
    invoke: (service, _, context) => service.readMetrics(context),
  }),
  shutdown: method({
    does: "Asks the daemon to end. Running builds may go on for `drainMs`, then they are cancelled.",
    params: object({ drainMs: count }),
    result: nil,
    role: "trusted",
    invoke: (service, { drainMs }, context) => service.shutdown(withSignal({ drainMs }, context)).then(nothing),
  }),
} as const;

export type MethodName = keyof typeof methods;
export type Params<Name extends MethodName> = ValueOf<(typeof methods)[Name]["params"]>;
export type Result<Name extends MethodName> = ValueOf<(typeof methods)[Name]["result"]>;

export function isMethodName(text: string): text is MethodName {
  return Object.hasOwn(methods, text);
}

interface Row<Params, Result> {
  readonly does: string;
  readonly params: Schema<Params>;
  readonly result: Schema<Result>;
  readonly upload?: boolean;
  readonly download?: boolean;
  readonly events?: boolean;
  readonly role?: "any" | "trusted";
  readonly untrustedMayNot?: string;
  readonly audits?: Method<Params, Result>["audits"];
  readonly invoke: Method<Params, Result>["invoke"];
}

/** Fills in what most rows do not have. */
function method<Params, Result>(row: Row<Params, Result>): Method<Params, Result> {
  const audits = (params: Params) =>
    row.role === "trusted" ? (params as Readonly<Record<string, unknown>>) : undefined;
  return { upload: false, download: false, events: false, role: "any", audits, ...row };
}

function orNull<Value>(value: Value | undefined): Value | null {
  return value ?? null;
}

function nothing(): null {
  return null;
}

/** The context's signal is made when it is asked for, so it is not passed on by a spread that might miss it. */
function withSignal<Options extends object>(options: Options, context: RequestContext) {
  return { ...options, ...(context.signal === undefined ? {} : { signal: context.signal }) };
}
