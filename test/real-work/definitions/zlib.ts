import { derivation, hostWorld, source } from "cloister";

/** zlib as a shared and a static library, with its own tests. */
export default derivation({
  name: "zlib",
  world: hostWorld(["base", "gcc", "make"]),
  inputs: { archive: source("./archives/zlib.tar") },
  script: [
    "tar xf $archive --strip-components=1",
    "./configure --prefix=$out",
    "make -j$NIX_BUILD_CORES",
    "make -j$NIX_BUILD_CORES test",
    "make install",
  ],
});
