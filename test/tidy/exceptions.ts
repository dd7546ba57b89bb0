/** Every exception from a tidy check, with its reason. An exception that nothing needs any more is a finding too. */
export interface Exception {
  readonly check: "client-paths" | "file-length";
  /** The file; for "client-paths" the field of the request, such as "readFile.inside". */
  readonly path: string;
  readonly reason: string;
}

export const exceptions: readonly Exception[] = [
  {
    check: "client-paths",
    path: "addIndirectRoot.link",
    reason: "a root is a link of the client's; the daemon only ever readlinks it",
  },
  { check: "client-paths", path: "addNar.info.signatures[]", reason: "kept and shown, opened nowhere" },
  { check: "client-paths", path: "attach.requestId", reason: "looked up among the requests" },
  { check: "client-paths", path: "cancel.id", reason: "looked up among the requests and the running builds" },
  { check: "client-paths", path: "queryBuildRecords.beforeId", reason: "compared with ids of records" },
  { check: "client-paths", path: "queryBuildRecords.text", reason: "compared with ids and names of records" },
  { check: "client-paths", path: "readFile.inside", reason: "below a store path, opened without leaving it" },
  { check: "client-paths", path: "readKeptBuild.recordId", reason: "looked up among the records first" },
  { check: "client-paths", path: "readLog.recordId", reason: "looked up among the records, not opened as a file" },
  { check: "client-paths", path: "removeRoot.from", reason: "compared with the names that listRoots gives" },
  { check: "file-length", path: "daemon/api/msgpack-messages.ts", reason: "one table, a row for each request" },
];
