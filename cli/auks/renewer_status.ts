// The output of `auksdrenewer --status`: auksd's credentials as `auks -D` lists them, and what will happen to each.
import { dumpTable } from "../../lib/auks/dump_table.ts";
import type { PackedCredential } from "../../lib/auks/packed_credential.ts";
import { notDueReason } from "../../lib/auks/store_rules.ts";
import { isoTime } from "../../lib/os/local_time.ts";
import { isAtMaxLifetime } from "../../daemon/auksdrenewer/schedule.ts";

/** The list, and a line with totals. */
export function formatStatus(
  credentials: readonly PackedCredential[],
  minLifeTime: number,
  now: number,
): string {
  const states = credentials.map((credential) => stateOf(credential, minLifeTime, now));
  const [heading, ...lines] = dumpTable(credentials, isoTime);
  const rows = lines.map((line, at) => `${line} ${states[at]}\n`).join("");
  const counts = Object.entries(Object.groupBy(states, (state) => state))
    .map(([state, these]) => `, ${these!.length} ${state}`).join("");
  return `${heading} STATE\n${rows}${credentials.length} creds${counts}\n`;
}

function stateOf(credential: PackedCredential, minLifeTime: number, now: number): string {
  switch (notDueReason(credential, minLifeTime, now)) {
    case undefined:
      return isAtMaxLifetime(credential) ? "expires soon and can't be renewed" : "due";
    case "CRED_STILL_VALID":
      return isAtMaxLifetime(credential) ? "can't be renewed again" : "good";
    case "CRED_EXPIRED":
      return "expired";
    default:
      return "too short to be renewed";
  }
}
