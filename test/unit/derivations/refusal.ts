/** Runs what must be refused and gives the refusal, so that a test can compare code and details. */
import { CloisterError, type ErrorData } from "../../../derivations/error.ts";

export function refusalOf(run: () => unknown): ErrorData {
  try {
    run();
  } catch (error) {
    if (error instanceof CloisterError) return error.toData();
    throw error;
  }
  throw new Error("it was not refused");
}
