// Why a request was refused: the codes that our daemon adds to an ERROR reply, where the original has none, and the
// original's error for each.
import type { AuksError, AuksErrorName } from "./errors.ts";

/** Every reason: its number on the wire, the original's error that the daemon logs, and the text for the user. */
export const REASONS = {
  other: [1, "AUKSD_PROCESSING", "the daemon could not process the request"],
  notFound: [2, "LIBRARY_NOT_FOUND", "no ticket is stored for this user"],
  notAllowed: [3, "AUKSD_NOT_AUTHORIZED", "the requester's role does not allow it"],
  otherPrincipal: [4, "AUKSD_PRINCIPAL_MISMATCH", "the ticket is another principal's"],
  addresses: [5, "AUKSD_NOT_ADDRESSLESS", "the ticket is bound to addresses"],
  noLocalName: [6, "CRED_NO_LOCAL_NAME", "the daemon's host maps the principal to no account"],
  noAccount: [7, "CRED_NO_ACCOUNT", "the daemon's host has no such account"],
  noTicket: [8, "CRED_NULL", "the request holds no ticket"],
  notATicket: [9, "CRED_READ", "the request holds no readable ticket"],
  notATgt: [10, "AUKSD_CORRUPTED_REQUEST", "the ticket is not a ticket-granting ticket"],
  tooLarge: [11, "CRED_TOO_LARGE", "the ticket is too large"],
  principalTooLong: [12, "CRED_PRINCIPAL_TOO_LONG", "the principal's name is too long"],
  unknownRequest: [13, "AUKSD_UNKNOWN_REQUEST", "the daemon does not know this request"],
  notSaved: [14, "KRB5_STORE", "the daemon could not write the ticket to its CacheDir"],
  notRemoved: [15, "REPO_UNLINK", "the daemon could not remove the ticket from its CacheDir"],
  claimed: [16, "RENEW_IN_PROGRESS", "another client is renewing the ticket"],
} as const satisfies Readonly<
  Record<string, readonly [number: number, AuksErrorName, text: string]>
>;

/** Name of a reason in {@linkcode REASONS}. */
export type Reason = keyof typeof REASONS;

const BY_NUMBER: ReadonlyMap<number, Reason> = new Map(
  Object.entries(REASONS).map(([name, [number]]) => [number, name as Reason]),
);
const BY_ERROR: ReadonlyMap<AuksErrorName, Reason> = new Map(
  Object.entries(REASONS).map(([name, [, error]]) => [error, name as Reason]),
);

/**
 * The reason for a number on the wire.
 *
 * @param number from a reply.
 * @returns the reason; `"other"` for an unknown one, from a later daemon.
 */
export function reasonOfNumber(number: number): Reason {
  return BY_NUMBER.get(number) ?? "other";
}

/**
 * The reason to send for an error.
 *
 * @param error the request's error.
 * @returns the reason; `"other"` for an error that the contents of a request can't cause.
 */
export function reasonOfError(error: AuksError): Reason {
  return BY_ERROR.get(error.error) ?? "other";
}
