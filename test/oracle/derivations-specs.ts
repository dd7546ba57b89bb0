/**
 * Random graphs of derivations as plain data, written in three ways: as a Nix expression, as a Guile script for Guix, and
 * as derivations of ours. Strings are rich in what the three languages and ATerm must escape.
 */
import fc from "fast-check";
import { bytes, compareText } from "../../derivations/bytes.ts";
import { makeTextPath } from "../../derivations/content-address.ts";
import { type Derivation, derivationPath, outputPathOf } from "../../derivations/derivation.ts";
import {
  type DerivationModulo,
  fillOutputs,
  hashDerivations,
  makeHashOfInput,
} from "../../derivations/derivation-hash.ts";
import { type Hash, hashBytes, printDigest } from "../../derivations/hash.ts";
import type { Output } from "../../derivations/output.ts";
import { makeUpstreamPlaceholder } from "../../derivations/placeholder.ts";
import { printStorePath, type StoreDirectory, type StorePath } from "../../derivations/store-path.ts";
import { algorithm, pathName } from "../unit/derivations/arbitraries.ts";

export interface Spec {
  readonly name: string;
  readonly kind: "plain" | "structured" | "floating" | "fixed";
  readonly outputs: readonly string[];
  readonly args: readonly string[];
  readonly environment: readonly (readonly [string, string])[];
  /** Outputs of specs before this one. */
  readonly dependencies: readonly { readonly index: number; readonly outputId: string }[];
  readonly sources: readonly { readonly name: string; readonly text: string }[];
  /** Of a fixed output. */
  readonly method: "flat" | "recursive";
  readonly hash: Hash;
}

/**
 * `count` specs; each may depend on any of the 20 before it. Guix's client hashes what is not ASCII as Latin-1 (and fails
 * past that), unlike any daemon, so what it is given is ASCII.
 */
export function specs(
  count: number,
  kinds: readonly Spec["kind"][],
  characters: "any" | "ascii",
): fc.Arbitrary<Spec[]> {
  const [unit, awkward] =
    characters === "any" ? (["binary", "\"\\\n\r\t$' {é𝄞"] as const) : (["binary-ascii", "\"\\\n\r\t$' {"] as const);
  const text = fc.oneof(
    fc.string({ unit, maxLength: 12 }).map((value) => value.replaceAll("\0", "")),
    fc.array(fc.constantFrom(...awkward), { maxLength: 10 }).map((parts) => parts.join("")),
  );
  const variable = text.map((name) => `v${name.replaceAll("=", "")}`);
  const one = fc.record({
    name: pathName,
    kind: fc.constantFrom(...kinds),
    outputs: fc.uniqueArray(fc.constantFrom("out", "dev", "lib", "a-b"), { minLength: 1, maxLength: 3 }),
    args: fc.array(text, { maxLength: 3 }),
    environment: fc.uniqueArray(fc.tuple(variable, text), { maxLength: 4, selector: ([name]) => name }),
    dependencies: fc.array(fc.record({ back: fc.nat(19), output: fc.nat(2) }), { maxLength: 4 }),
    sources: fc.array(fc.record({ name: pathName, text }), { maxLength: 2 }),
    method: fc.constantFrom("flat" as const, "recursive" as const),
    hash: fc.tuple(algorithm, fc.nat()).map(([chosen, seed]) => hashBytes(chosen, String(seed))),
  });
  return fc.array(one, { minLength: count, maxLength: count }).map((drafts) => {
    const outputsOf = drafts.map(({ kind, outputs }) => (kind === "fixed" ? ["out"] : outputs));
    return drafts.map((draft, index) => ({
      ...draft,
      outputs: outputsOf[index] ?? [],
      dependencies:
        index === 0
          ? []
          : draft.dependencies.map(({ back, output }) => {
              const target = index - 1 - (back % Math.min(index, 20));
              const ids = outputsOf[target] ?? [];
              return { index: target, outputId: ids[output % ids.length] ?? "out" };
            }),
    }));
  });
}

/** What one of the tools' languages adds to a derivation of its own. */
export type Flavour = "nix" | "guix";

export interface Made {
  readonly path: StorePath;
  readonly derivation: Derivation;
}

/** The derivations that the tool makes of these specs, made by us. */
export function makeDerivations(directory: StoreDirectory, flavour: Flavour, all: readonly Spec[]): Made[] {
  const made: Made[] = [];
  const byPath = new Map<StorePath, Derivation>();
  const memo = new Map<StorePath, DerivationModulo>();
  const get = (path: StorePath) => byPath.get(path) as Derivation;
  for (const spec of all) {
    const inputs = new Map<StorePath, Set<string>>();
    const dependencyPaths = spec.dependencies.map(({ index, outputId }) => {
      const { path, derivation } = made[index] as Made;
      hashDerivations(directory, path, get, memo);
      inputs.set(path, (inputs.get(path) ?? new Set()).add(outputId));
      const output = outputPathOf(directory, derivation, outputId);
      return output === undefined ? makeUpstreamPlaceholder(path, outputId) : printStorePath(directory, output);
    });
    const sources = spec.sources.map(({ name, text }) => makeTextPath(directory, name, bytes(text), []));
    const environment = new Map<string, string>([
      ...spec.environment,
      ...dependencyPaths.map((path, index) => [`dep${index}`, path] as const),
      ...sources.map((path, index) => [`src${index}`, printStorePath(directory, path)] as const),
    ]);
    const derivation = fillOutputs(
      directory,
      {
        name: spec.name,
        outputs: new Map(spec.outputs.map((id) => [id, outputOf(spec)])),
        inputDerivations: inputs,
        inputSources: new Set(sources),
        system: "x86_64-linux",
        builder: bytes("/bin/sh"),
        args: spec.args.map(bytes),
        environment: flavour === "nix" ? nixEnvironment(spec, environment) : bytesOf(environment),
      },
      makeHashOfInput(memo),
    );
    const path = derivationPath(directory, derivation);
    byPath.set(path, derivation);
    made.push({ path, derivation });
  }
  return made;
}

/** An expression that gives the list of all derivations. */
export function printNix(all: readonly Spec[]): string {
  const definitions = all.map((spec, index) => {
    const attributes = [
      `name = ${nixString(spec.name)}; system = "x86_64-linux"; builder = "/bin/sh";`,
      `args = [ ${spec.args.map(nixString).join(" ")} ];`,
      ...spec.environment.map(([name, value]) => `${nixString(name)} = ${nixString(value)};`),
      ...spec.dependencies.map(
        (dependency, place) => `dep${place} = d${dependency.index}.${nixString(dependency.outputId)};`,
      ),
      ...spec.sources.map(
        ({ name, text }, place) => `src${place} = builtins.toFile ${nixString(name)} ${nixString(text)};`,
      ),
    ];
    if (spec.kind !== "fixed") attributes.push(`outputs = [ ${spec.outputs.map(nixString).join(" ")} ];`);
    if (spec.kind === "structured") attributes.push("__structuredAttrs = true;");
    if (spec.kind === "floating") attributes.push("__contentAddressed = true;");
    for (const [name, value] of hashVariables(spec)) attributes.push(`${name} = ${nixString(value)};`);
    return `  d${index} = derivation { ${attributes.join(" ")} };`;
  });
  return `let\n${definitions.join("\n")}\nin [ ${all.map((_, index) => `d${index}`).join(" ")} ]\n`;
}

/** A script that prints for each derivation its path and, in base 64, the bytes of its .drv. */
export function printGuile(all: readonly Spec[]): string {
  const data = all.map((spec) => {
    const environment = spec.environment.map(([name, value]) => `(${schemeString(name)} . ${schemeString(value)})`);
    const dependencies = spec.dependencies.map(({ index, outputId }) => `(${index} ${schemeString(outputId)})`);
    const sources = spec.sources.map(({ name, text }) => `(${schemeString(name)} ${schemeString(text)})`);
    const fixed =
      spec.kind === "fixed"
        ? `(${schemeString(printDigest(spec.hash, "base16"))} ${spec.hash.algorithm} ${spec.method === "recursive" ? "#t" : "#f"})`
        : "#f";
    const lists = [spec.outputs.map(schemeString), spec.args.map(schemeString), environment, dependencies, sources];
    return `(${schemeString(spec.name)} ${lists.map((list) => `(${list.join(" ")})`).join(" ")} ${fixed})`;
  });
  return `
(use-modules (guix derivations) (guix store) (guix base16) (guix base64) (gcrypt hash)
             (ice-9 match) (srfi srfi-1) (rnrs bytevectors))
(define specs '(${data.join("\n")}))
(define (text-path name contents references)
  (store-path (string-join (cons "text" (sort references string<?)) ":") (sha256 contents) name))
(define texts (make-hash-table))
;; Where Guix would ask its daemon to add the .drv, its path is computed as the daemon does.
(module-set! (resolve-module '(guix store)) 'add-data-to-store
  (lambda* (store name contents #:optional (references '()))
    (let ((path (text-path name contents references)))
      (hash-set! texts path contents)
      path)))
(define made (make-vector (length specs)))
(define (variable name index value) (cons (string-append name (number->string index)) value))
(define (make name outputs arguments environment dependencies sources fixed)
  (let* ((source-paths (map (match-lambda ((name text) (text-path name (string->utf8 text) '()))) sources))
         (inputs (map (match-lambda ((index id) (derivation-input (vector-ref made index) (list id)))) dependencies))
         (environment
          (append environment
                  (map (lambda (index dependency)
                         (match dependency
                           ((target id) (variable "dep" index (derivation->output-path (vector-ref made target) id)))))
                       (iota (length dependencies)) dependencies)
                  (map (lambda (index path) (variable "src" index path)) (iota (length sources)) source-paths))))
    (match fixed
      (#f (derivation #f name "/bin/sh" arguments #:system "x86_64-linux" #:outputs outputs
                      #:env-vars environment #:inputs inputs #:sources source-paths))
      ((digits algorithm recursive?)
       (derivation #f name "/bin/sh" arguments #:system "x86_64-linux"
                   #:hash (base16-string->bytevector digits) #:hash-algo algorithm #:recursive? recursive?
                   #:env-vars environment #:inputs inputs #:sources source-paths)))))
(for-each (lambda (index spec)
            (let ((drv (apply make spec)))
              (vector-set! made index drv)
              (format #t "~a ~a~%" (derivation-file-name drv)
                      (base64-encode (hash-ref texts (derivation-file-name drv))))))
          (iota (length specs)) specs)
`;
}

function outputOf(spec: Spec): Output {
  switch (spec.kind) {
    case "plain":
    case "structured":
      return { kind: "deferred" };
    case "floating":
      return { kind: "floating", method: spec.method, algorithm: spec.hash.algorithm };
    case "fixed":
      return { kind: "fixed", method: spec.method, hash: spec.hash };
    default:
      return spec.kind satisfies never;
  }
}

/** Nix's variables beside the author's; structured attributes hold them all in one JSON object. */
function nixEnvironment(spec: Spec, environment: ReadonlyMap<string, string>): ReadonlyMap<string, Uint8Array> {
  const own = new Map([
    ...environment,
    ["name", spec.name] as const,
    ["system", "x86_64-linux"] as const,
    ["builder", "/bin/sh"] as const,
    ...hashVariables(spec),
  ]);
  if (spec.kind === "structured") {
    const members = [...own, ["outputs", spec.outputs] as const].sort(([left], [right]) => compareText(left, right));
    const json = members.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",");
    return new Map([["__json", bytes(`{${json}}`)]]);
  }
  if (spec.kind !== "fixed") own.set("outputs", spec.outputs.join(" "));
  return bytesOf(own);
}

function hashVariables(spec: Spec): (readonly [string, string])[] {
  const common = [
    ["outputHashAlgo", spec.hash.algorithm],
    ["outputHashMode", spec.method],
  ] as const;
  if (spec.kind === "floating") return [...common];
  return spec.kind === "fixed" ? [...common, ["outputHash", printDigest(spec.hash, "base32")]] : [];
}

function bytesOf(environment: ReadonlyMap<string, string>): ReadonlyMap<string, Uint8Array> {
  return new Map([...environment].map(([name, value]) => [name, bytes(value)]));
}

/** Carriage returns too: as they are, Nix's parser takes them for ends of lines. */
function nixString(value: string): string {
  const escapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
  return `"${value.replace(/["\\$\n\r\t]/g, (character) => escapes[character] ?? `\\${character}`)}"`;
}

/** In ASCII: the script's encoding is Guile's to guess. */
function schemeString(value: string): string {
  return `"${[...value].map(schemeCharacter).join("")}"`;
}

function schemeCharacter(character: string): string {
  if (character === '"' || character === "\\") return `\\${character}`;
  const code = character.codePointAt(0) ?? 0;
  return code >= 0x20 && code < 0x7f ? character : `\\U${code.toString(16).padStart(6, "0")}`;
}
