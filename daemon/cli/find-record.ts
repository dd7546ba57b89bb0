/** The record of a build that a person means. */
import type { BuildRecord } from "../../derivations/build-record.ts";
import type { Service, Status } from "../api/service.ts";
import type { Context } from "./context.ts";
import { CliError } from "./errors.ts";
import { findStorePlace } from "./store-path-argument.ts";

/** The newest that fits. Throws CLI_LOG_UNKNOWN. */
export async function findRecord(
  context: Context,
  service: Service,
  status: Status,
  text: string,
): Promise<BuildRecord> {
  // A result link or a physical path says which store path is meant; everything else is looked up as it was typed.
  const place = findStorePlace(text, context.cwd, status);
  const [record] = await service.queryBuildRecords({ text: place?.path ?? text, limit: 1 }, { signal: context.signal });
  if (record === undefined) throw new CliError("CLI_LOG_UNKNOWN", { text });
  return record;
}
