// Refusals common to encode and decode requests, and what a client learns about an error.
import { MungeError } from "../../../lib/errors.ts";
import { MAX_RETRY } from "../../../lib/protocol/message.ts";
import { unexpectedText } from "../../../lib/os/system_text.ts";
import type { Peer, RequestContext } from "./context.ts";

/** The request in a body, or null for a malformed one. */
export function parsed<T>(
  parse: (body: Uint8Array) => T,
  body: Uint8Array,
  peer: Peer,
  context: RequestContext,
) {
  try {
    return parse(body);
  } catch (thrown) {
    context.log.client(peer.uid, "message", asMungeError(thrown, context).message);
    return null;
  }
}

/** Refuses a client with too many retries. */
export function checkRetry(
  verb: "Encode" | "Decode",
  retry: number,
  peer: Peer,
  context: RequestContext,
) {
  if (retry === 0) return;
  const { uid, gid } = peer;
  context.log.client(uid, "retry", `${verb} retry #${retry} for client UID=${uid} GID=${gid}`);
  if (retry > MAX_RETRY) {
    const text = `Exceeded maximum number of ${verb.toLowerCase()} attempts`;
    throw new MungeError("EMUNGE_SOCKET", text);
  }
}

/** Refuses a client with the ID that stands for all users outside munged's user namespace. */
export function requireIdentity(
  verb: "encode" | "decode",
  { uid, gid }: Peer,
  { overflow, log }: RequestContext,
): void {
  if (uid !== overflow.uid && gid !== overflow.gid) return;
  log.audit(`Refused ${verb}`, uid, "overflow_id", () => ({ client_uid: uid, client_gid: gid }));
  throw new MungeError(
    "EMUNGE_CRED_UNAUTHORIZED",
    `Unauthorized client UID=${uid} GID=${gid}: not mapped into the daemon's user namespace`,
  );
}

/** Turns an exception into the client's error. Anything unexpected is refused and logged. */
export function asMungeError(thrown: unknown, context: RequestContext): MungeError {
  if (thrown instanceof MungeError) return thrown;
  context.log.limited("internal", "error", `Internal error: ${unexpectedText(thrown)}`);
  return new MungeError("EMUNGE_SNAFU");
}

/** Logs a refusal, with a limit for lack of memory: then every request fails, and the log must not fill the disk. */
export function logRefusal(
  { code, message }: MungeError,
  { uid }: Peer,
  { log }: RequestContext,
): void {
  if (code === "EMUNGE_NO_MEMORY") log.limited("no memory", "info", message);
  else log.client(uid, code, message);
}
