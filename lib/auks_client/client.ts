// Requests to auksd: rounds over its servers, with pauses in between, until one answers. Failures that waiting would not
// cure are reported at once.
import { AuksError, type AuksErrorName } from "../auks/errors.ts";
import { formatRequest } from "../auks/request.ts";
import { type Context, KerberosError, KRB5 } from "../krb5/context.ts";
import type { Credential } from "../krb5/credential.ts";
import { Principal } from "../krb5/principal.ts";
import { serviceTicket } from "../krb5/tickets.ts";
import { Connection, ConnectionFailure, type Endpoint } from "./connection.ts";
import { openCache, requireOwnCache } from "./credential_cache.ts";
import { AttemptFailure, Session } from "./session.ts";

/** An auksd, primary or secondary. */
export interface AuksServer extends Endpoint {
  /** `host/mngt.realm.a@REALM.A`. */
  readonly principal: string;
}

/** How to reach auksd. */
export interface ClientSettings {
  /** In the order to try them. */
  readonly servers: readonly AuksServer[];
  readonly nat: boolean;
  /** Rounds over all servers. */
  readonly retries: number;
  /** For connecting; 0 for the system's limit. */
  readonly timeoutMs: number;
  /** Between two rounds. */
  readonly delayMs: number;
  /** The cache to authenticate with; undefined for the default one. */
  readonly ccache: string | undefined;
  /** Whether it must be the host's own cache, which no other user can have created. */
  readonly isHostCache?: boolean;
}

/** No server answered. */
export class RequestFailure extends Error {
  override readonly name = "RequestFailure";
  /** The original's error, if it reports one. */
  readonly error: AuksErrorName;

  /** @param reason in the user's terms. */
  constructor(error: AuksErrorName, reason: string) {
    super(reason);
    this.error = error;
  }
}

/** How long a daemon that must answer may be silent, regardless of Timeout. */
const SILENCE_MS = 30_000;
/** Transient failures of the KDC, or of finding it. */
const TRANSIENT: ReadonlySet<number> = new Set([
  KRB5.KDC_UNREACH,
  KRB5.REALM_CANT_RESOLVE,
]);
const CLOSE_REQUEST = formatRequest({ type: "close" });
const KDC_ERR_S_PRINCIPAL_UNKNOWN = 7;
const KRB_AP_ERR_TKT_EXPIRED = 32;

/**
 * Lets `ask` talk to the first server that authenticates us.
 *
 * @param context for libkrb5's calls, some of which wait for a KDC and block.
 * @param ask makes requests in a session. It is called again at the next server if the connection breaks, so its requests
 * must be repeatable, as all of AUKS's are.
 * @throws {RequestFailure} if no server answers.
 */
export async function withSession<T>(
  context: Context,
  settings: ClientSettings,
  ask: (session: Session) => Promise<T>,
): Promise<T> {
  const { servers, retries, delayMs } = settings;
  if (retries < 1) throw new RequestFailure("GENERIC", "Retries is 0, so auksd is never asked");
  for (let round = 1;; round++) {
    const failures: AttemptFailure[] = [];
    for (const server of servers) {
      try {
        return await attempt(context, settings, server, ask);
      } catch (error) {
        if (!(error instanceof AttemptFailure)) throw error;
        failures.push(error);
      }
    }
    if (round >= retries || !failures.some(({ isTransient }) => isTransient)) {
      throw summarize(failures);
    }
    await new Promise((resolve) => setTimeout(resolve, delayMs));
  }
}

/** The failure to report for a round: preferably one that waiting would not cure. */
function summarize(failures: readonly AttemptFailure[]): RequestFailure {
  if (failures.length === 0) {
    return new RequestFailure("API_CONNECTION", "the configuration names no auksd");
  }
  const permanent = failures.filter(({ isTransient }) => !isTransient);
  const reported = permanent.length > 0 ? permanent : failures;
  const reasons = [...new Set(reported.map(({ message }) => message))];
  return new RequestFailure(reported[0]!.error, reasons.join("; "));
}

async function attempt<T>(
  context: Context,
  settings: ClientSettings,
  server: AuksServer,
  ask: (session: Session) => Promise<T>,
): Promise<T> {
  const { nat, timeoutMs } = settings;
  using ticket = ticketFor(context, server, settings);
  const session = await Session.open(context, await connectTo(server, timeoutMs), ticket, nat);
  try {
    return await ask(session);
  } finally {
    session.close(CLOSE_REQUEST);
  }
}

async function connectTo(server: AuksServer, timeoutMs: number): Promise<Connection> {
  try {
    return await Connection.open(server, timeoutMs, Math.max(timeoutMs, SILENCE_MS));
  } catch (error) {
    if (!(error instanceof ConnectionFailure)) throw error;
    throw new AttemptFailure("API_CONNECTION", error.message, { isTransient: true });
  }
}

function ticketFor(
  context: Context,
  { principal }: AuksServer,
  { ccache, isHostCache = false }: ClientSettings,
): Credential {
  let cacheName = ccache ?? "the default credential cache";
  try {
    if (principal === "") {
      throw new AttemptFailure(
        "STREAM_SENDAUTH",
        "the configuration does not set auksd's principal",
      );
    }
    if (isHostCache) requireOwnCache(context, ccache);
    using cache = openCache(context, ccache);
    cacheName = cache.name;
    using service = Principal.parse(context, principal);
    return serviceTicket(context, cache, service);
  } catch (error) {
    if (error instanceof AuksError) {
      throw new AttemptFailure("STREAM_SENDAUTH", error.reason ?? error.message);
    }
    if (!(error instanceof KerberosError)) throw error;
    const isTransient = TRANSIENT.has(error.code);
    throw new AttemptFailure("STREAM_SENDAUTH", explain(error, principal, cacheName), {
      isTransient,
    });
  }
}

function explain(error: KerberosError, principal: string, cacheName: string): string {
  if (error.code === KRB5.FCC_NOFILE) return `no ticket: ${cacheName} does not exist`;
  if (error.protocolCode === KRB_AP_ERR_TKT_EXPIRED) {
    return `the ticket in ${cacheName} has expired`;
  }
  if (error.protocolCode === KDC_ERR_S_PRINCIPAL_UNKNOWN) {
    return `the KDC does not know ${principal}, which should be auksd's principal`;
  }
  return `no ticket for ${principal} with ${cacheName}: ${error.message}`;
}
