/**
 * Where one's own configuration file says that one's own store lies. The daemon reads the same file, and refuses what is
 * wrong in it; what cannot be read here counts as not said, so that it is the daemon's start that says what is wrong.
 */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute } from "node:path";
import { configurationFileOf } from "../api/socket-place.ts";

export interface ConfiguredPlace {
  readonly root?: string;
  /** Logical, as is the state directory. */
  readonly storeDirectory?: string;
  readonly stateDirectory?: string;
}

/** `root` is what flags and variables say; the system's store has its file elsewhere. */
export async function readConfiguredPlace(
  environment: NodeJS.ProcessEnv,
  root: string | undefined,
): Promise<ConfiguredPlace> {
  const file = environment["CLOISTER_CONFIG"] || configurationFileOf(root, environment, homedir());
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return {};
  }
  const { parse } = await import("smol-toml"); // most have no file, and need no parser
  let said: Readonly<Record<string, unknown>>;
  try {
    said = parse(text);
  } catch {
    return {};
  }
  const place = { root: said["root"], storeDirectory: said["storeDir"], stateDirectory: said["stateDir"] };
  return Object.fromEntries(Object.entries(place).filter(([, path]) => typeof path === "string" && isAbsolute(path)));
}
