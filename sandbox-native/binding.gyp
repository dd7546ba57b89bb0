{
  # How the two native programs are compiled; install.mjs runs node-gyp on it. A file is compiled because of the folder
  # that it lies in, so a new one needs no line here.
  "variables": {
    "strict_cflags": ["-Wall", "-Wextra", "-Wno-missing-field-initializers", "-fvisibility=hidden"]
  },
  "target_defaults": {
    "include_dirs": ["src"],
    "cflags": ["<@(strict_cflags)"],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
    "cflags_cc": ["-std=c++20", "-fno-exceptions", "-fno-rtti"],
    "defines": ["_GNU_SOURCE"]
  },
  "targets": [
    {
      "target_name": "cloister",
      "type": "loadable_module",
      "product_extension": "node",
      "product_prefix": "",
      "sources": ["<!@(find src/addon src/core src/tree -name '*.cpp' | LC_ALL=C sort)"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["CLOISTER_ADDON=1", "NAPI_VERSION=9", "NAPI_DISABLE_CPP_EXCEPTIONS"]
    },
    {
      "target_name": "cloister-launcher",
      "type": "executable",
      "sources": ["<!@(find src/launcher src/linux src/core src/tree -name '*.cpp' | LC_ALL=C sort)"],
      "defines": ["CLOISTER_LAUNCHER=1"],
      "cflags!": ["-fPIC", "-O3"],
      # Few page faults between an order and its exec: one static file, not relocated, without what nobody calls.
      "cflags": ["-O2", "-fno-pie", "-ffunction-sections", "-fdata-sections"],
      "ldflags!": ["-rdynamic"],
      "ldflags": ["-static", "-no-pie", "-pthread", "-Wl,--gc-sections"],
      "libraries!": ["-lnode"]
    }
  ]
}
