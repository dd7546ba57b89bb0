/** The shell that runs scripts in a world: bash before sh; undefined if there is none. `has` tells what is in the world. */
export function findShell(has: (path: string) => boolean): string | undefined {
  return ["/usr/bin/bash", "/bin/bash", "/usr/bin/sh", "/bin/sh"].find(has);
}
