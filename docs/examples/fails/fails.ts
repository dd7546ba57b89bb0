import { derivation, hostWorld, source } from "cloister";

export default derivation({
  name: "fails-1.0",
  world: hostWorld(["gcc", "bash", "mkdir"]),
  inputs: { src: source("./src") },
  script: "mkdir -p $out/bin && gcc -O2 -o $out/bin/fails $src/fails.c",
});
