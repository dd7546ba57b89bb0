/**
 * The base of all our errors: a stable code, the details as data, a sentence on what failed and a hint on what to do.
 * Each folder keeps its errors in one table of rows; the key is the code and the same on every front end.
 */

/** One kind of error: the sentence made from its details, and what to do about it (fixed, or made from the details too). */
export interface ErrorRow<Details> {
  readonly message: (details: Details) => string;
  readonly hint: string | ((details: Details) => string);
}

/** Makes a row of an error table; the parameter of `message` types the details. */
export function row<Details>(
  message: (details: Details) => string,
  hint: string | ((details: Details) => string),
): ErrorRow<Details> {
  return { message, hint };
}

// biome-ignore lint/suspicious/noExplicitAny: a table's rows differ in their details; only `any` accepts each row's parameter.
export type ErrorTable = Readonly<Record<string, ErrorRow<any>>>;

export type DetailsOf<Table extends ErrorTable, Code extends keyof Table> =
  Table[Code] extends ErrorRow<infer Details> ? Details : never;

/** What crosses a border: all that a front end needs to show an error as it was thrown. */
export interface ErrorData {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Any error of cloister. Programs read `code` and `details`, people `message` and `hint`; nothing matches on a message. */
export class CloisterError extends Error {
  readonly code: string;
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(data: ErrorData, options?: ErrorOptions) {
    super(data.message, options);
    this.name = "CloisterError";
    this.code = data.code;
    this.hint = data.hint;
    this.details = data.details;
  }

  /** This error as plain data, for a wire or `--json`. */
  toData(): ErrorData {
    return { code: this.code, message: this.message, hint: this.hint, details: this.details };
  }
}

/**
 * The error class of one folder's table: `export const StoreError = errorClass(storeErrors, "StoreError")`. Code and
 * details are type-checked where it is thrown: `throw new StoreError("STORE_DISK_FULL", { … }, { cause })`.
 */
export function errorClass<const Table extends ErrorTable>(table: Table, name: string) {
  return class<Code extends keyof Table & string> extends CloisterError {
    constructor(code: Code, details: DetailsOf<Table, Code>, options?: ErrorOptions) {
      const entry = table[code] as ErrorRow<DetailsOf<Table, Code>>;
      const hint = typeof entry.hint === "string" ? entry.hint : entry.hint(details);
      super(
        { code, message: entry.message(details), hint, details: details as Readonly<Record<string, unknown>> },
        options,
      );
      this.name = name;
    }
  };
}
