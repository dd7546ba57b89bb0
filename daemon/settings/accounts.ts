/** Users and groups of this machine, by name or number. Sources: passwd(5), group(5). */
import { readFileSync } from "node:fs";
import { SettingsError } from "./errors.ts";

export interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
}

/** Throws CONFIG_USER_UNKNOWN. */
export function findUser(option: string, user: string): Account {
  for (const [name = "", , uid, gid] of rowsOf("/etc/passwd"))
    if (name === user || uid === user) return { name, uid: Number(uid), gid: Number(gid) };
  if (isId(user)) return { name: user, uid: Number(user), gid: Number(user) };
  throw new SettingsError("CONFIG_USER_UNKNOWN", { option, name: user });
}

/** Users, and groups after an `@`, as numbers. Throws CONFIG_USER_UNKNOWN, CONFIG_GROUP_UNKNOWN. */
export function findMembers(option: string, names: readonly string[]): { uids: number[]; gids: number[] } {
  return {
    uids: names.filter((name) => !name.startsWith("@")).map((name) => findUser(option, name).uid),
    gids: names.filter((name) => name.startsWith("@")).map((name) => findGroup(option, name.slice(1))),
  };
}

function findGroup(option: string, group: string): number {
  for (const [name, , gid] of rowsOf("/etc/group")) if (name === group || gid === group) return Number(gid);
  if (isId(group)) return Number(group);
  throw new SettingsError("CONFIG_GROUP_UNKNOWN", { option, name: group });
}

function isId(text: string): boolean {
  return /^[0-9]{1,10}$/.test(text);
}

/** A machine without that file has no names. */
function rowsOf(file: string): string[][] {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .map((line) => line.split(":"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
