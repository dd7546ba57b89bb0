/** The record of a build that a person means. */
import type { BuildRecord } from "../../derivations/build-record.ts";
import type { Service, Status } from "../api/service.ts";
import type { Context } from "./context.ts";
import { CliError } from "./errors.ts";
import { findStorePlace } from "./store-path-argument.ts";
import { cleanText } from "./terminal.ts";
import { printTimeOfDay } from "./units.ts";

/** The newest that fits; says so where several do. Throws CLI_LOG_UNKNOWN. */
export async function findRecord(
  context: Context,
  service: Service,
  status: Status,
  text: string,
): Promise<BuildRecord> {
  // A result link or a physical path says which store path is meant; everything else is looked up as it was typed.
  const place = findStorePlace(text, context.cwd, status);
  const query = { text: place?.path ?? text, limit: 2 };
  const [record, other] = await service.queryBuildRecords(query, { signal: context.signal });
  if (record === undefined) throw new CliError("CLI_LOG_UNKNOWN", { text });
  if (other !== undefined) {
    const { name, id, startedAtMs } = record;
    const newest = `the newest of several builds: ${cleanText(name)} of ${printTimeOfDay(startedAtMs)}, ${id}`;
    context.say(context.paint.dim(`${newest}; \`cloister history ${cleanText(text)}\` lists them`));
  }
  return record;
}
