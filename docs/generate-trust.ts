/** docs/trust.md: who may do what, from the rows of the requests, which the daemon decides by. */
import { methods } from "../daemon/api/msgpack-messages.ts";
import { serverErrors } from "../daemon/server/errors.ts";

export function trustPage(): string {
  const rows = Object.entries(methods).map(([name, { does, role, ...row }]) => {
    const less = "untrustedMayNot" in row ? row.untrustedMayNot : undefined;
    const allowed = role === "trusted" ? "no" : less === undefined ? "yes" : `yes, but may not ${less}`;
    return `| \`${name}\` | ${does.replaceAll("|", "\\|")} | ${allowed} | yes |\n`;
  });
  return `${head}${rows.join("")}`;
}

const head = `# Who may do what

A daemon knows its callers by the kernel's word alone: user, group and the other groups of the process that connected the
socket, as they were then. Nothing that a client says of itself counts.

- **Nobody else**: who is neither allowed nor trusted is refused when it connects
  (\`CALLER_NOT_ALLOWED\`: ${serverErrors.CALLER_NOT_ALLOWED.message({ uid: 1001 })}).
- **Allowed** users are those of the setting \`allowedUsers\`: names, ids, \`@group\`, or \`*\` for all. By default that is
  everybody for the system's store (\`--root /\`) and nobody for a store of one's own.
- **Trusted** users are those of \`trustedUsers\`, and always root and the daemon's own user, who could write to the store's
  files anyway. A trusted user can say of a path what nobody can check, and is to be chosen as one chooses an administrator.

A group counts for a process that is in it as the kernel sees it; a user who is put into one has to log in again.
When the daemon reads its configuration again (\`cloister reload\`), who is not trusted any more is not from that user's next
request on; who may not connect any more keeps the connections that there are, so that no build is dropped.

What a caller may not do is refused with the reason (\`OPERATION_NOT_ALLOWED\`), never ignored.
The file \`log/audit.log\` in the state directory has a line of JSON for everything that was refused and for everything
that only the trusted may do, written before it is done:

\`\`\`json
{"time":"2026-11-25T06:30:00.000Z","outcome":"refused","operation":"shutdown","uid":1001,"gid":100,"pid":4711,"details":{"code":"OPERATION_NOT_ALLOWED","method":"shutdown","uid":1001}}
\`\`\`

It is put aside at 4 MiB (\`audit.log.1\` to \`.4\`; only the daemon's user can read them), and of refusals of one user for one
operation at most one in ten seconds is a line; the next one says how many were left out (\`repeatsBefore\`).

This page is made from the rows that the daemon decides by, with \`npm run docs\`.

| operation | what it does | allowed users | trusted users |
|---|---|---|---|
`;
