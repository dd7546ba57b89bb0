/** A type that only its own module can make: `Brand<string, "StorePath">` is a string that was checked to be a store path. */
declare const brand: unique symbol;

export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };
