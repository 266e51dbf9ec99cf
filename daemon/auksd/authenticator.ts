// auksd's Kerberos side: its principal, its keys, and the verification of clients' AP-REQs. The keytab is kept in memory,
// and read again if a client's ticket does not match it and the file has changed.
import { type Stats, statSync } from "node:fs";
import { AuksError } from "../../lib/auks/errors.ts";
import { parsePrincipal, type Principal as PrincipalName } from "../../lib/auks/principal.ts";
import { ReplayCache, ServerAuthentication } from "../../lib/krb5/authentication.ts";
import { Context, KerberosError } from "../../lib/krb5/context.ts";
import { Keytab } from "../../lib/krb5/keytab.ts";
import { Principal } from "../../lib/krb5/principal.ts";
import { formatKrbError } from "./krb_error.ts";

/** The generic error of RFC 4120. */
const KRB_ERR_GENERIC = 60;
/** Refusals that a newer keytab may cure: wrong key, unknown key version, no key at all. */
const OLD_KEYS: ReadonlySet<number | undefined> = new Set([31, 44, 45]);

/** The settings of an authenticator. */
export interface AuthenticatorSettings {
  /** auksd's own; in the default realm if it names none. */
  readonly principal: string;
  readonly keytab: string;
  /** Whether replayed authenticators are refused, using libkrb5's replay cache. */
  readonly replayCache: boolean;
}

/** Verifies clients, which keep it alive until they are gone. */
export class Authenticator {
  readonly #context: Context;
  readonly #principal: Principal;
  readonly #name: PrincipalName;
  readonly #keytabFile: string;
  readonly #replayCache: ReplayCache;
  #keytab: Keytab;
  #keytabStats: Stats | undefined;
  #clients = 0;
  #retired = false;

  private constructor(
    context: Context,
    principal: Principal,
    keytab: Keytab,
    { keytab: keytabFile, replayCache }: AuthenticatorSettings,
  ) {
    this.#context = context;
    this.#principal = principal;
    this.#name = parsePrincipal(principal.text);
    this.#keytab = keytab;
    this.#keytabFile = keytabFile;
    this.#keytabStats = statSync(keytabPath(keytabFile), { throwIfNoEntry: false });
    this.#replayCache = new ReplayCache(context, replayCache ? "dfl:" : "none:");
  }

  /**
   * Reads krb5.conf and the keytab.
   *
   * @throws {AuksError} if auksd has no principal, or the keytab can't be read.
   * @throws {KerberosUnavailable} without libkrb5.
   */
  static open(settings: AuthenticatorSettings): Authenticator {
    if (settings.principal === "") {
      throw new AuksError("STREAM_SET_PRINCIPAL", "auks.conf names no principal for this auksd");
    }
    const context = openContext();
    try {
      const principal = parseOwnName(context, settings.principal);
      try {
        return new Authenticator(
          context,
          principal,
          readKeytab(context, settings.keytab),
          settings,
        );
      } catch (error) {
        principal.free();
        throw error;
      }
    } catch (error) {
      context.close();
      throw error;
    }
  }

  /** auksd's principal, with its realm. */
  get principal(): string {
    return this.#principal.text;
  }

  /** Whether it has a key; without one, every client is refused. */
  get hasKey(): boolean {
    return this.#keytab.entries().some(({ principal }) => principal === this.principal);
  }

  /**
   * Verifies an AP-REQ. Pass the result to {@linkcode release} afterwards.
   *
   * @throws {KerberosError} with the reason for a refusal.
   */
  accept(request: Uint8Array): ServerAuthentication {
    let client: ServerAuthentication;
    try {
      client = this.#check(request);
    } catch (error) {
      if (!(error instanceof KerberosError) || !OLD_KEYS.has(error.protocolCode)) throw error;
      if (!this.#takeNewKeytab()) throw error;
      client = this.#check(request);
    }
    this.#clients++;
    return client;
  }

  #check(request: Uint8Array): ServerAuthentication {
    return ServerAuthentication.accept(
      this.#context,
      request,
      this.#principal,
      this.#keytab,
      this.#replayCache,
    );
  }

  /** Frees the result of {@linkcode accept}. */
  release(client: ServerAuthentication): void {
    client.free();
    this.#clients--;
    this.#closeIfUnused();
  }

  /** The KRB-ERROR for a refused AP-REQ. */
  refusal(error: KerberosError): Uint8Array {
    return formatKrbError({
      code: error.protocolCode ?? KRB_ERR_GENERIC,
      text: error.message,
      server: this.#name,
      now: Date.now(),
    });
  }

  /** Closes it once the last client is gone. */
  retire(): void {
    this.#retired = true;
    this.#closeIfUnused();
  }

  #closeIfUnused(): void {
    if (!this.#retired || this.#clients > 0) return;
    this.#keytab.close();
    this.#principal.free();
    this.#context.close();
  }

  /** Reads the keytab again if the file has changed. */
  #takeNewKeytab(): boolean {
    const stats = statSync(keytabPath(this.#keytabFile), { throwIfNoEntry: false });
    const old = this.#keytabStats;
    if (
      stats === undefined ||
      (old !== undefined && stats.ino === old.ino && stats.mtimeMs === old.mtimeMs)
    ) return false;
    const keytab = readKeytab(this.#context, this.#keytabFile);
    this.#keytab.close();
    this.#keytab = keytab;
    this.#keytabStats = stats;
    return true;
  }
}

function openContext(): Context {
  try {
    return Context.open();
  } catch (error) {
    if (!(error instanceof KerberosError)) throw error;
    throw new AuksError("STREAM_CONTEXT", error.message);
  }
}

function parseOwnName(context: Context, name: string): Principal {
  try {
    return Principal.parse(context, name);
  } catch (error) {
    if (!(error instanceof KerberosError)) throw error;
    throw new AuksError("STREAM_SET_PRINCIPAL", `${name}: ${error.message}`);
  }
}

function readKeytab(context: Context, file: string): Keytab {
  try {
    using keytab = Keytab.resolve(context, file);
    return keytab.copyToMemory();
  } catch (error) {
    if (!(error instanceof KerberosError)) throw error;
    throw new AuksError("STREAM_KEYTAB", error.message);
  }
}

/** The path in a keytab's name, which may include its type. */
function keytabPath(name: string): string {
  return name.replace(/^(?:WR)?FILE:/, "");
}
