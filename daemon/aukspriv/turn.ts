// One turn of aukspriv: gets the host's ticket with its keytab and puts it into the account's credential cache. It runs in
// a separate process, which can switch to the account, and be killed if the KDC takes too long.
import { hostname } from "node:os";
import { replaceTickets } from "../../lib/auks_client/credential_cache.ts";
import { Context, KerberosError } from "../../lib/krb5/context.ts";
import type { Credential } from "../../lib/krb5/credential.ts";
import { Keytab } from "../../lib/krb5/keytab.ts";
import { Principal } from "../../lib/krb5/principal.ts";
import { initialTicket } from "../../lib/krb5/tickets.ts";
import { becomeUser } from "../../lib/os/identity.ts";
import { forbidCoreDumps, hideMemory } from "../../lib/os/process.ts";
import { userByName } from "../../lib/os/users.ts";
import { type Candidate, chooseCandidates } from "./principal.ts";
import type { AuksprivSettings } from "./settings.ts";

/** The outcome of a turn; plain data, because it goes from one process to another. */
export type TurnOutcome =
  | {
    readonly principal: string;
    /** The reason for this principal, if the keytab left a choice. */
    readonly reason: string | undefined;
    /** When the ticket expires, seconds since the epoch. */
    readonly endTime: number;
  }
  | { readonly principal: string; readonly failure: string };

const KDC_ERR_C_PRINCIPAL_UNKNOWN = 6;

/** Gets a ticket and stores it. Errors are in the outcome, never thrown. */
export function takeTurn(settings: AuksprivSettings): TurnOutcome {
  forbidCoreDumps();
  let principal = settings.principal ?? "a principal";
  try {
    using context = Context.open();
    using keytab = Keytab.resolve(context, settings.keytab);
    const candidates = candidatesOf(settings, keytab);
    for (const [at, candidate] of candidates.entries()) {
      principal = candidate.principal;
      try {
        using ticket = ticketOf(context, keytab, principal, settings);
        store(context, settings, ticket);
        const { endTime } = ticket;
        return { principal, reason: candidate.reason, endTime };
      } catch (error) {
        if (!isUnknownClient(error) || at === candidates.length - 1) throw error;
      }
    }
    return { principal, failure: `no principal in ${settings.keytab} can be this host's` };
  } catch (error) {
    return { principal, failure: error instanceof Error ? error.message : String(error) };
  }
}

function candidatesOf(
  { principal }: AuksprivSettings,
  keytab: Keytab,
): readonly (Omit<Candidate, "reason"> & { reason: string | undefined })[] {
  if (principal !== undefined) return [{ principal, reason: undefined }];
  const principals = keytab.entries().map((entry) => entry.principal);
  const candidates = chooseCandidates(principals, hostname());
  return new Set(principals).size > 1
    ? candidates
    : candidates.map((candidate) => ({ ...candidate, reason: undefined }));
}

function ticketOf(
  context: Context,
  keytab: Keytab,
  name: string,
  { request }: AuksprivSettings,
): Credential {
  using principal = Principal.parse(context, name);
  try {
    return initialTicket(context, principal, keytab, request);
  } catch (error) {
    if (!(error instanceof KerberosError)) throw error;
    const text = `${error.message} while getting initial credentials`;
    throw new KerberosError(error.call, error.code, text);
  }
}

function isUnknownClient(error: unknown): boolean {
  return error instanceof KerberosError && error.protocolCode === KDC_ERR_C_PRINCIPAL_UNKNOWN;
}

function store(context: Context, { user, ccache }: AuksprivSettings, ticket: Credential): void {
  switchTo(user);
  replaceTickets(context, ccache, [ticket]);
}

/** Becomes an account permanently, so that the cache belongs to it and is named after it. */
function switchTo(name: string): void {
  const user = userByName(name);
  if (user === undefined) throw new Error(`unknown account ${name} (AUKS_PRIV_USER)`);
  if (user.uid === process.getuid!()) return;
  if (process.getuid!() !== 0) {
    throw new Error(`only root can keep the credential cache of ${name} (AUKS_PRIV_USER)`);
  }
  becomeUser(user.uid, user.gid);
  hideMemory(); // changing the user may undo it
}
