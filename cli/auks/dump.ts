// What `auks -D` prints: a line for each credential that auksd keeps.
import { formatLocalTime } from "../../lib/os/local_time.ts";

/** What a line tells of a credential. */
export interface DumpedCredential {
  readonly uid: number;
  readonly principal: string;
  /** Seconds since the epoch; 0 for none, which prints as 1970. */
  readonly starttime: number;
  readonly endtime: number;
  readonly renewTill: number;
}

const WIDTHS = [10, 34, 24, 24, 24] as const;
const HEADINGS = ["UID", "PRINCIPAL", "START_TIME", "END_TIME", "RENEW_UNTIL"];

/** The header and a line for each credential, in the order given. */
export function formatDump(credentials: readonly DumpedCredential[]): string {
  const rows = credentials.map(({ uid, principal, starttime, endtime, renewTill }) => [
    `${uid}`,
    principal,
    ...[starttime, endtime, renewTill].map((time) => formatLocalTime(time, "%FT%T%z")),
  ]);
  return [HEADINGS, ...rows]
    .map((row) => `${row.map((text, column) => text.padEnd(WIDTHS[column]!)).join(" ")}\n`)
    .join("");
}
