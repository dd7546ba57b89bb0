/** What `--vary` changes from one build to the next: none of it may matter to what comes out. */

export const variations = {
  uid: "the builder's user and group id",
  "build-directory": "where the build directory is in the jail",
  cores: "NIX_BUILD_CORES, and the processors that the builder may run on",
  "host-name": "the host name",
  "environment-order": "the order of the environment",
  "input-order": "the order in which the inputs were mounted",
  umask: "the umask",
  locale: "LANG and LC_ALL, where the derivation sets none",
  "time-zone": "TZ, where the derivation sets none",
} as const;

export type VariationName = keyof typeof variations;

export const variationNames = Object.keys(variations) as VariationName[];

export function isVariationName(text: string): text is VariationName {
  return Object.hasOwn(variations, text);
}
