// The log line about a refused decode: who asked, where the credential came from, its realm, and why it was
// refused.
import { parseOuter } from "../../../lib/credential/outer.ts";
import { MungeError } from "../../../lib/errors.ts";
import type { AuditFields, Logger } from "../../process/log.ts";
import { readArmor } from "./armor_reader.ts";
import { addressText, type Refusal } from "./context.ts";

/** Logs a refused decode, or only counts it if there were many like it. */
export function audit(refusal: Refusal, log: Logger): void {
  const cause = refusal.error.replace("EMUNGE_", "").toLowerCase();
  log.audit("Refused decode", refusal.peer.uid, cause, () => fieldsOf(refusal));
}

/** Marks unverified fields as claimed. */
function fieldsOf({ peer, credential, opened, decodeTime }: Refusal): AuditFields {
  const client = { client_uid: peer.uid, client_gid: peer.gid };
  if (opened === undefined) return { ...client, claimed_realm: realmClaimedBy(credential) };
  return {
    ...client,
    origin: addressText(opened.originAddress),
    realm: opened.realm === "" ? "-" : opened.realm,
    uid: opened.uid,
    gid: opened.gid,
    age: decodeTime - opened.encodeTime,
    ttl: opened.ttl,
  };
}

function realmClaimedBy(credential: Uint8Array): string {
  try {
    return parseOuter(readArmor(credential)).realm || "-";
  } catch (error) {
    if (error instanceof MungeError) return "?";
    throw error;
  }
}
