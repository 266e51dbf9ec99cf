// Which folder may import which: the rooms of the project, each with the others that its files may use.
import assert from "node:assert/strict";

/** A folder with one idea, or a file that many need. */
export interface Room {
  /** The only other rooms of the project that its files may import, besides {@linkcode EVERYWHERE}. */
  readonly imports: readonly string[];
  /** Gets bytes, keys, clock and randomness as arguments; only these modules of the runtime may be imported. */
  readonly pure?: readonly string[];
}

/** Files without imports of their own, which any other may import. */
export const EVERYWHERE: readonly string[] = [
  "lib/errors.ts",
  "lib/paths.ts",
  "lib/printable.ts",
  "lib/timer.ts",
  "lib/version.ts",
];
const SHARED_LIB = ["lib/credential", "lib/primitives", "lib/protocol", "lib/os"];

/** Every room. A file belongs to the one with the longest name that its path begins with. */
export const ROOMS: Readonly<Record<string, Room>> = {
  ...Object.fromEntries(EVERYWHERE.map((file) => [file, { imports: [], pure: [] }])),
  "lib/bytes": { imports: [], pure: [] },
  "lib/credential": { imports: ["lib/bytes"], pure: [] },
  "lib/crypto": { imports: ["lib/bytes", "lib/credential"], pure: ["node:crypto", "node:module"] },
  "lib/compression": {
    imports: ["lib/credential"],
    pure: ["node:zlib", "node:module", "node:fs"], // libbzip2 is a file
  },
  "lib/primitives": { imports: ["lib/compression", "lib/credential", "lib/crypto"], pure: [] },
  "lib/protocol": { imports: ["lib/bytes", "lib/credential"], pure: [] },
  "lib/auks": { imports: ["lib/bytes"], pure: [] },
  "lib/os": { imports: [] },
  "lib/files": { imports: ["lib/os"] },
  "lib/keys": { imports: ["lib/credential", "lib/files", "lib/os"] },
  "lib/krb5": { imports: ["lib/bytes", "lib/os"] },
  "lib/auks_client": { imports: ["lib/auks", "lib/files", "lib/krb5", "lib/os"] },
  "lib/client": { imports: ["lib/credential", "lib/protocol", "lib/os"] },
  "lib/offline": { imports: ["lib/bytes", "lib/client", "lib/credential", "lib/primitives"] },
  "mod.ts": { imports: ["lib/client", "lib/credential", "lib/protocol"] },

  "daemon/process": { imports: ["lib/auks", "lib/files", "lib/os"] },
  "daemon/munged/config.ts": { imports: ["lib/credential", "daemon/process"] },
  "daemon/munged/groups": { imports: ["daemon/munged/config.ts", "daemon/process", "lib/os"] },
  "daemon/munged/policy": { imports: ["daemon/munged/config.ts", "lib/bytes", "lib/credential"] },
  "daemon/munged/keys": {
    imports: [
      "daemon/munged/config.ts",
      "daemon/munged/policy",
      "daemon/process",
      "lib/keys",
      ...SHARED_LIB,
    ],
  },
  "daemon/munged/replay": {
    imports: ["daemon/munged/config.ts", "daemon/process", "lib/files", ...SHARED_LIB],
  },
  "daemon/munged/replay_store": {
    imports: ["daemon/munged/config.ts", "daemon/process", "lib/files", "lib/os"],
  },
  "daemon/munged/observe": {
    imports: [
      "daemon/munged/config.ts",
      "daemon/munged/keys",
      "daemon/munged/policy",
      "daemon/munged/replay",
      "daemon/munged/replay_store",
      "daemon/process",
      ...SHARED_LIB,
    ],
  },
  "daemon/munged/serve": {
    imports: [
      "daemon/munged/config.ts",
      "daemon/munged/groups",
      "daemon/munged/keys",
      "daemon/munged/policy",
      "daemon/munged/observe",
      "daemon/munged/replay",
      "daemon/munged/replay_store",
      "daemon/process",
      "lib/bytes",
      ...SHARED_LIB,
    ],
  },
  "daemon/munged": {
    imports: [
      "daemon/munged/config.ts",
      "daemon/munged/groups",
      "daemon/munged/keys",
      "daemon/munged/observe",
      "daemon/munged/replay",
      "daemon/munged/replay_store",
      "daemon/munged/serve",
      "daemon/process",
      "lib/bytes",
      "lib/credential",
      "lib/files",
      "lib/os",
    ],
  },
  "daemon/auksd": {
    // It is a client of the other auksd of its pair.
    imports: [
      "daemon/process",
      "lib/auks",
      "lib/auks_client",
      "lib/bytes",
      "lib/files",
      "lib/krb5",
      "lib/os",
    ],
  },
  "daemon/auksdrenewer": {
    imports: ["daemon/process", "lib/auks", "lib/auks_client", "lib/krb5", "lib/os"],
  },
  "daemon/aukspriv": { imports: ["daemon/process", "lib/auks_client", "lib/krb5", "lib/os"] },

  "cli/command_line": { imports: ["lib/credential", "lib/files", "lib/os", "lib/protocol"] },
  "cli/munged": {
    imports: [
      "cli/command_line",
      "daemon/munged",
      "daemon/munged/config.ts",
      "daemon/munged/observe",
      "daemon/munged/policy",
      "daemon/process",
      "lib/client",
      "lib/files",
      ...SHARED_LIB,
    ],
  },
  "cli/mungekey": {
    imports: [
      "cli/command_line",
      "cli/munged",
      "daemon/munged",
      "daemon/munged/config.ts",
      "daemon/munged/observe",
      "daemon/process",
      "lib/files",
      "lib/keys",
      ...SHARED_LIB,
    ],
  },
  "cli/munge": { imports: ["cli/command_line", "lib/client", ...SHARED_LIB] },
  "cli/remunge": { imports: ["cli/command_line", "lib/client", ...SHARED_LIB] },
  "cli/doctor": {
    imports: [
      "cli/command_line",
      "cli/munged",
      "daemon/auksd",
      "daemon/munged",
      "daemon/munged/config.ts",
      "daemon/munged/groups",
      "daemon/munged/keys",
      "daemon/munged/observe",
      "daemon/munged/policy",
      "daemon/munged/replay",
      "daemon/munged/replay_store",
      "daemon/process",
      "lib/auks",
      "lib/auks_client",
      "lib/client",
      "lib/files",
      "lib/keys",
      "lib/krb5",
      ...SHARED_LIB,
    ],
  },
  "cli/auks": {
    imports: [
      "cli/command_line",
      "daemon/auksd",
      "daemon/auksdrenewer",
      "daemon/aukspriv",
      "daemon/process",
      "lib/auks",
      "lib/auks_client",
      "lib/krb5",
      "lib/os",
    ],
  },
  cli: {
    imports: [
      "cli/auks",
      "cli/command_line",
      "cli/doctor",
      "cli/munge",
      "cli/munged",
      "cli/mungekey",
      "cli/remunge",
      "daemon/munged",
      "daemon/munged/config.ts",
      "daemon/process",
      "lib/client",
      "lib/files",
      ...SHARED_LIB,
    ],
  },
};

/** Whether a path is in a folder, or is the same file. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

/** The room of a file. */
export function roomOf(file: string): string {
  const rooms = Object.keys(ROOMS).filter((room) => isWithin(file, room));
  assert(rooms.length > 0, `${file} is in no room`);
  return rooms.reduce((longest, room) => room.length > longest.length ? room : longest);
}
