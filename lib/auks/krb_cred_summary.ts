// What AUKS makes of a KRB-CRED: whose it is, how long it lasts, and whether it is one that AUKS is for.
import { AuksError } from "./errors.ts";
import type { KrbCred } from "./krb_cred.ts";
import { formatPrincipal, MAX_PRINCIPAL_LENGTH, samePrincipal, tgsRealm } from "./principal.ts";

/** What AUKS keeps of a KRB-CRED beside it. */
export interface KrbCredSummary {
  /** Client of the first ticket, at most 127 bytes. */
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
 * What AUKS keeps of a KRB-CRED beside it: client and address of the first ticket, the times of all.
 *
 * @param cred what parseKrbCred() gave.
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
    // A ticket that does not say when it begins is valid from the authentication on (RFC 4120 section 5.3).
    starttime: Math.min(...credentials.map(({ starttime, authtime }) => starttime || authtime)),
    endtime: Math.min(...credentials.map(({ endtime }) => endtime)),
    renewTill: Math.max(...credentials.map(({ renewTill }) => renewTill)),
    addressless: first.addresses.length === 0,
    crossrealm: credentials.length > 1,
  };
}

/**
 * Why a KRB-CRED is not one of ticket-granting tickets of one client, the first of them for his own realm. The
 * original does not look and stores tickets for any service.
 *
 * @param cred what parseKrbCred() gave.
 * @returns the reason, or undefined if it is one.
 */
export function whyNotTgts(cred: KrbCred): string | undefined {
  const client = cred.credentials[0]!.client;
  for (const [i, credential] of cred.credentials.entries()) {
    const server = formatPrincipal(credential.server);
    const realm = tgsRealm(credential.server);
    if (realm === undefined) return `a ticket for ${server} is no ticket-granting ticket`;
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
