// dependency-cruiser's configuration, made from may-import.ts. It looks at the compiled program, where types are gone:
// cycles that matter at run time, and what each half really loads. Run by test/tidy/main.ts under the pinned Node.
import { mayImport } from "./may-import.ts";

const folder = (name) => `^dist/${name}(/|\\.js$)`;

const directions = Object.entries(mayImport).map(([name, allowed]) => ({
  name: `${name}-imports-one-way`,
  comment: `see the row of ${name} in test/tidy/may-import.ts`,
  severity: "error",
  from: { path: folder(name) },
  to: {
    path: "^dist/",
    pathNot: [name, ...allowed].map(folder).concat(name === "daemon/api" ? ["/errors\\.js$"] : []),
  },
}));

export default {
  forbidden: [
    ...directions,
    { name: "no-cycle", severity: "error", from: {}, to: { circular: true } },
    { name: "not-found", severity: "error", from: {}, to: { couldNotResolve: true } },
    {
      name: "client-does-not-load-the-daemon",
      severity: "error",
      from: { path: "^dist/daemon/(library|cli/main)\\.js$" },
      to: { path: "^dist/(store|daemon/(server|scheduler|build))/|node_modules/better-sqlite3", reachable: true },
    },
  ],
  options: { doNotFollow: { path: "node_modules" }, exclude: { path: "\\.d\\.ts$" } },
};
