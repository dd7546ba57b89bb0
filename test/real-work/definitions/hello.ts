import { derivation, hostWorld, source } from "cloister";

/** GNU hello, as its documents say: configure, make, make check, make install. */
export default derivation({
  name: "gnu-hello",
  world: hostWorld(["base", "gcc", "make"]),
  inputs: { archive: source("./archives/hello.tar") },
  script: [
    "tar xf $archive --strip-components=1",
    "./configure --prefix=$out",
    "make -j$NIX_BUILD_CORES",
    "make -j$NIX_BUILD_CORES check",
    "make install",
    '[ "$($out/bin/hello)" = "Hello, world!" ]',
  ],
});
