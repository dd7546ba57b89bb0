import { derivation, hostWorld, source } from "cloister";

/** SQLite with its quick tests, which a Tcl interpreter with SQLite built in runs. */
export default derivation({
  name: "sqlite3",
  world: hostWorld([
    ...["base", "gcc", "make", "tclsh"],
    ...["/usr/include/zlib.h", "/usr/include/zconf.h", "/usr/lib/*/libz.so"],
  ]),
  inputs: { archive: source("./archives/sqlite3.tar") },
  script: [
    "tar xf $archive --strip-components=1",
    "tcl=$(echo 'puts [tcl::pkgconfig get libdir,runtime]' | tclsh)",
    // Some tests want to be done in a millisecond, which a machine that does other things too may not manage.
    "./configure --prefix=$out --with-tcl=$tcl TCLLIBDIR=$out/lib/tcl CFLAGS='-g -O2 -DCONFIG_SLOWDOWN_FACTOR=100.0'",
    "make -j$NIX_BUILD_CORES",
    "make -j$NIX_BUILD_CORES quicktest",
    "make install",
  ],
});
