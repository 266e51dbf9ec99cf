// The table of compressions: numbers and names. The implementations are in lib/compression.

/** One compression of the credential format (docs/protocol.md, "Numbers"). */
export interface Zip {
  /** Number on the wire. */
  readonly number: number;
  /** Name on the command line. */
  readonly name: ZipName;
}

/** Name of a compression; `default` means none. */
export type ZipName = "none" | "default" | "bzlib" | "zlib";

/** All compressions; the index is the number. */
export const ZIPS: readonly Zip[] = [
  { number: 0, name: "none" },
  { number: 1, name: "default" },
  { number: 2, name: "bzlib" },
  { number: 3, name: "zlib" },
];

/** Number that requests the default compression, which is none. */
export const ZIP_DEFAULT = 1;
/** The compression that `default` means: none. */
export const DEFAULT_ZIP = ZIPS[0]!;
