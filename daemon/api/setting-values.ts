/** What a daemon says of its settings: what each is, where that comes from, and what a new reading of them changed. */
import { absentOr, boolean, byKind, list, number, object, oneOf, record, type Schema, text, union } from "./schema.ts";
import { count } from "./wire-values.ts";

/** As it would be written in the configuration file. */
export type WrittenValue = string | number | boolean | readonly string[] | Readonly<Record<string, number>>;

export type SettingSource =
  | { readonly kind: "default" }
  | { readonly kind: "file"; readonly file: string; readonly line: number }
  | { readonly kind: "variable"; readonly name: string }
  | { readonly kind: "flag"; readonly name: string };

export interface SettingValue {
  /** As in the configuration file; after a dot what lies in a table of it. */
  readonly name: string;
  /** Absent where nothing is set and the default depends on the machine or is none. */
  readonly value?: WrittenValue;
  readonly source: SettingSource;
  /** Whether a running daemon takes a new value. */
  readonly reloadable: boolean;
}

export interface ReloadResult {
  /** The settings that changed and hold from now on. */
  readonly applied: readonly string[];
  /** Those that changed and are taken by the next start only. */
  readonly needRestart: readonly string[];
}

const settingSource: Schema<SettingSource> = byKind(
  "kind",
  object({ kind: oneOf("default") }),
  object({ kind: oneOf("file"), file: text(), line: count }),
  object({ kind: oneOf("variable"), name: text() }),
  object({ kind: oneOf("flag"), name: text() }),
);

const writtenValue: Schema<WrittenValue> = union(
  text(),
  number,
  boolean,
  list(text()),
  record as Schema<Readonly<Record<string, number>>>,
);

export const settingValue: Schema<SettingValue> = object({
  name: text(),
  value: absentOr(writtenValue),
  source: settingSource,
  reloadable: boolean,
});

export const reloadResult: Schema<ReloadResult> = object({ applied: list(text()), needRestart: list(text()) });

/** Where a setting's value comes from, in one word. */
export function printSource(source: SettingSource): string {
  switch (source.kind) {
    case "default":
      return "default";
    case "file":
      return `${source.file}:${source.line}`;
    case "variable":
    case "flag":
      return source.name;
    default:
      return source satisfies never;
  }
}
