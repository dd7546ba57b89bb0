import { derivation, hostWorld, output, source } from "cloister";

const world = hostWorld(["gcc", "bash", "mkdir", "cp", "ln", "basename"]);

/** What runs goes to `out`; what only a compiler needs goes to `dev`. */
export const sum = derivation({
  name: "libsum-1.0",
  world,
  outputs: ["out", "dev"],
  inputs: { src: source("./src") },
  script: [
    "mkdir -p $out/lib $dev/include $dev/lib",
    "gcc -O2 -shared -fPIC -Wl,-soname,libsum.so.1 -o $out/lib/libsum.so.1 $src/sum.c",
    "ln -s $out/lib/libsum.so.1 $dev/lib/libsum.so",
    "cp $src/sum.h $dev/include/",
  ],
});

/** Uses both while it is built, and refers to `out` alone afterwards. */
export const program = derivation({
  name: "print-sum-1.0",
  world,
  inputs: { src: source("./src"), lib: sum, dev: output(sum, "dev") },
  script: [
    "mkdir -p $out/bin",
    "gcc -O2 -I$dev/include -o $out/bin/print-sum $src/main.c -L$dev/lib -lsum \\",
    '  "-Wl,-rpath,\\$ORIGIN/../../$(basename $lib)/lib"',
  ],
});

export default sum;
