// A default request for tests and benchmarks, which override only the fields that matter to them.
import { ANY_ID, type EncodeRequest } from "../lib/protocol/message.ts";

/** A request for a credential that anyone may decode, with default types, uncompressed and without payload. */
export function encodeRequest(changes: Partial<EncodeRequest> = {}): EncodeRequest {
  return {
    cipher: 1,
    mac: 1,
    zip: 0,
    realm: "",
    ttl: 0,
    uidRestriction: ANY_ID,
    gidRestriction: ANY_ID,
    payload: new Uint8Array(0),
    ...changes,
  };
}
