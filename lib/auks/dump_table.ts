// The table of `auks -D`: one line for each of the daemon's credentials.
import type { PackedCredential } from "./packed_credential.ts";

/** Heading and width of each column. */
const COLUMNS = [
  ["UID", 10],
  ["PRINCIPAL", 34],
  ["START_TIME", 24],
  ["END_TIME", 24],
  ["RENEW_UNTIL", 24],
] as const;

/**
 * The lines of `auks -D`, as printed by the original.
 *
 * @param credentials the daemon's credentials, in the order of its reply.
 * @param formatTime formats seconds since the epoch in local time as `2026-11-26T09:40:08+0000`.
 * @returns the heading and one line per credential, without newlines.
 *
 * @example
 * ```ts
 * import { dumpTable } from "./lib/auks/dump_table.ts";
 *
 * console.log(dumpTable([], String)[0]?.slice(0, 20)); // "UID        PRINCIPAL"
 * ```
 */
export function dumpTable(
  credentials: readonly Omit<PackedCredential, "krbCred">[],
  formatTime: (seconds: number) => string,
): string[] {
  const heading = COLUMNS.map(([name, width]) => name.padEnd(width)).join(" ");
  const lines = credentials.map(({ uid, principal, starttime, endtime, renewTill }) => {
    const times = [starttime, endtime, renewTill].map(formatTime).join(" ");
    return `${String(uid).padEnd(COLUMNS[0][1])} ${principal.padEnd(COLUMNS[1][1])} ${times}`;
  });
  return [heading, ...lines];
}
