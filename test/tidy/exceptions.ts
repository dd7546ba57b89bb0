/** Every exception from a tidy check, with its reason. An exception that nothing needs any more is a finding too. */
export interface Exception {
  readonly check: string;
  readonly path: string;
  readonly reason: string;
}

export const exceptions: readonly Exception[] = [];
