import { derivation, hostWorld, source } from "cloister";

const world = hostWorld(["gcc", "bash", "mkdir", "cp", "ln", "basename"]);

export const library = derivation({
  name: "libgreet-1.0",
  world,
  inputs: { src: source("./lib") },
  script: [
    "mkdir -p $out/lib $out/include",
    "gcc -O2 -shared -fPIC -Wl,-soname,libgreet.so.1 -o $out/lib/libgreet.so.1 $src/greet.c",
    "ln -s libgreet.so.1 $out/lib/libgreet.so",
    "cp $src/greet.h $out/include/",
  ],
});

// The run path leads from the program to the library relative to where the program lies, so that it also works outside
// of a jail, where the store may lie below somebody's home. It holds the library's hash part, by which the store finds
// out that the program refers to the library.
export default derivation({
  name: "greet-1.0",
  world,
  inputs: { src: source("./program"), lib: library },
  script: [
    "mkdir -p $out/bin",
    "gcc -O2 -I$lib/include -o $out/bin/greet $src/main.c -L$lib/lib -lgreet \\",
    '  "-Wl,-rpath,\\$ORIGIN/../../$(basename $lib)/lib"',
  ],
});
