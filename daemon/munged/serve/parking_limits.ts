// How much each worker may keep for the clients it has parked (parked.ts), so that all workers together leave enough for
// everything else.
import { softLimit } from "../../../lib/os/limits.ts";
import { TRACKED_DESCRIPTORS } from "./descriptors.ts";
import type { ParkingLimits } from "./parked.ts";
import type { EngineSettings } from "./worker_messages.ts";

/** Descriptors reserved for our own files, or half of all if there are few. */
const RESERVED_DESCRIPTORS = 256;
/** Even with many workers, each has room for some requests of the protocol's maximum length. */
const MIN_PARKED_BYTES = 6 * 2 ** 20;
/** Room, in payloads, for the longest message beside other users': base64 makes a credential a third longer. */
const PARKED_PAYLOADS = 1.5;

/** What each thread may keep for clients, so that memory and descriptors remain for everything else. */
export function parkingLimits(
  { threads, maxPayload, parkedBytes }: Pick<
    EngineSettings,
    "threads" | "maxPayload" | "parkedBytes"
  >,
): ParkingLimits {
  const limit = Math.min(softLimit("descriptors"), TRACKED_DESCRIPTORS);
  const reserved = Math.min(RESERVED_DESCRIPTORS, limit / 2);
  const usual = Math.max(MIN_PARKED_BYTES, Math.floor(parkedBytes / threads));
  const bytesOfUser = Math.floor(usual / 2);
  return {
    clients: Math.max(1, Math.floor((limit - reserved) / threads)),
    bytes: Math.max(usual, bytesOfUser + PARKED_PAYLOADS * maxPayload),
    bytesOfUser,
  };
}
