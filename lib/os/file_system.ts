// The runtime's modules for files and paths, loaded only on first use: a command that accesses no files starts a millisecond
// earlier, and a thread that accesses none takes 0.5 MiB less.

/** node:fs. */
export const fs = (): typeof import("node:fs") => process.getBuiltinModule("node:fs");

/** node:path. */
export const paths = (): typeof import("node:path") => process.getBuiltinModule("node:path");
