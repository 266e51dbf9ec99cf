// AUKS's view of a KRB-CRED: its owner, its lifetime, and whether it contains the kind of tickets that AUKS is for.
import { AuksError } from "./errors.ts";
import type { KrbCred } from "./krb_cred.ts";
import { formatPrincipal, MAX_PRINCIPAL_LENGTH, samePrincipal, tgsRealm } from "./principal.ts";

/** What AUKS stores along with a KRB-CRED. */
export interface KrbCredSummary {
  /** The first ticket's client, at most 127 bytes. */
  readonly principal: string;
  readonly starttime: number;
  readonly endtime: number;
  /** 0 if it can't be renewed. */
  readonly renewTill: number;
  readonly addressless: boolean;
  /** Whether there is more than one ticket. */
  readonly crossrealm: boolean;
}

const toUtf8 = new TextEncoder();

/**
 * What AUKS stores along with a KRB-CRED: client and address of the first ticket, and the times of all.
 *
 * @param cred from parseKrbCred().
 * @returns principal, times and flags.
 * @throws {AuksError} CRED_PRINCIPAL_TOO_LONG.
 */
export function summarizeKrbCred(cred: KrbCred): KrbCredSummary {
  const { credentials } = cred;
  const first = credentials[0]!;
  const principal = formatPrincipal(first.client);
  const length = toUtf8.encode(principal).length;
  if (length > MAX_PRINCIPAL_LENGTH) {
    throw new AuksError(
      "CRED_PRINCIPAL_TOO_LONG",
      `${length} bytes, at most ${MAX_PRINCIPAL_LENGTH}`,
    );
  }
  return {
    principal,
    // A ticket without a start time is valid from its authentication time (RFC 4120 section 5.3).
    starttime: Math.min(...credentials.map(({ starttime, authtime }) => starttime || authtime)),
    endtime: Math.min(...credentials.map(({ endtime }) => endtime)),
    renewTill: Math.max(...credentials.map(({ renewTill }) => renewTill)),
    addressless: first.addresses.length === 0,
    crossrealm: credentials.length > 1,
  };
}

/**
 * Why a KRB-CRED does not consist of ticket-granting tickets of one client, the first for the client's own realm. The
 * original does not check this and stores tickets for any service.
 *
 * @param cred from parseKrbCred().
 * @returns the reason, or undefined if it does.
 */
export function nonTgtReason(cred: KrbCred): string | undefined {
  const client = cred.credentials[0]!.client;
  for (const [i, credential] of cred.credentials.entries()) {
    const server = formatPrincipal(credential.server);
    const realm = tgsRealm(credential.server);
    if (realm === undefined) return `a ticket for ${server} is not a ticket-granting ticket`;
    if (credential.server.realm !== client.realm) {
      return `the ticket for ${server} is not of the realm of ${formatPrincipal(client)}`;
    }
    if ((realm === client.realm) !== (i === 0)) {
      return i === 0
        ? `the first ticket is for ${server}, not for the realm of ${formatPrincipal(client)}`
        : `two tickets for ${server}`;
    }
    if (!samePrincipal(credential.client, client)) {
      return `tickets of ${formatPrincipal(client)} and of ${formatPrincipal(credential.client)}`;
    }
  }
  return undefined;
}
