/** The descriptions of what the expression in test/golden/definitions/nix.json describes. */
import { derivation, file, output, source } from "../../../../daemon/definitions/description.ts";

const hashOfNothing = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

/** `folder` holds the files that the golden file lists. */
export function describeGolden(folder: string) {
  const common = { system: "x86_64-linux", world: "none" } as const;
  const single = source(`${folder}/single.txt`);
  const plain = derivation({ ...common, name: "plain-1.0", builder: "/bin/sh", args: ["-c", "echo hi > $out"] });
  const library = derivation({
    ...common,
    name: "library-2.1",
    builder: "/bin/sh",
    args: ["-e", single, "last"],
    outputs: ["out", "dev"],
    inputs: { src: source(`${folder}/tree`) },
    env: { number: 3, yes: true, no: false, words: ["a b", "c", single], "odd name": 'é "quoted"\n\ttab' },
  });
  const dev = output(library, "dev");
  const program = derivation({
    ...common,
    name: "program-2.1",
    builder: file(dev, "bin/tool"),
    args: ["--flag"],
    inputs: { lib: library, dev, dep: plain },
    runtime: "none",
    passAsFile: ["text"],
    env: { text: "long text" },
  });
  const fixed = derivation({
    ...common,
    name: "fixed.tar",
    builder: "/bin/sh",
    fixed: { hash: hashOfNothing, method: "flat" },
    inputs: { lib: library },
  });
  const usesFixed = derivation({ ...common, name: "uses-fixed", builder: "/bin/sh", inputs: { tar: fixed } });
  const floating = derivation({
    ...common,
    name: "floating",
    builder: "/bin/sh",
    contentAddressed: true,
    outputs: ["out", "doc"],
  });
  const usesFloating = derivation({
    ...common,
    name: "uses-floating",
    builder: "/bin/sh",
    inputs: { doc: output(floating, "doc"), it: floating },
  });
  return [plain, library, program, fixed, usesFixed, floating, usesFloating];
}
