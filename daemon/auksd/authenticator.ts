// auksd's Kerberos side: its principal, its keys, and the check of clients' AP-REQs. The keytab is kept in
// memory and read anew when a client's ticket does not fit it and the file has changed.
import { type Stats, statSync } from "node:fs";
import { AuksError } from "../../lib/auks/errors.ts";
import { parsePrincipal, type Principal as PrincipalName } from "../../lib/auks/principal.ts";
import { ReplayCache, ServerAuthentication } from "../../lib/krb5/authentication.ts";
import { Context, KerberosError } from "../../lib/krb5/context.ts";
import { Keytab } from "../../lib/krb5/keytab.ts";
import { Principal } from "../../lib/krb5/principal.ts";
import { formatKrbError } from "./krb_error.ts";

/** Of RFC 4120: what has no number of its own. */
const KRB_ERR_GENERIC = 60;
/** Refusals that a newer keytab may turn into acceptance: wrong key, unknown version of it, no key at all. */
const OLD_KEYS: ReadonlySet<number | undefined> = new Set([31, 44, 45]);

/** What an authenticator is made of. */
export interface AuthenticatorSettings {
  /** auksd's own; without a realm it is of the default one. */
  readonly principal: string;
  readonly keytab: string;
  /** Whether authenticators that were seen before are refused, with libkrb5's own record of them. */
  readonly replayCache: boolean;
}

/** Checks clients; those that are checked keep it alive until they are gone. */
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
   * @throws {AuksError} when auksd has no principal, or the keytab can't be read.
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

  /** auksd's own name, with its realm. */
  get principal(): string {
    return this.#principal.text;
  }

  /** Whether there is a key for it; without one every client is refused. */
  get hasKey(): boolean {
    return this.#keytab.entries().some(({ principal }) => principal === this.principal);
  }

  /**
   * Checks an AP-REQ. The result is to be given back by {@linkcode release}.
   *
   * @throws {KerberosError} why it is refused.
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

  /** Frees what {@linkcode accept} gave. */
  release(client: ServerAuthentication): void {
    client.free();
    this.#clients--;
    this.#closeIfUnused();
  }

  /** The KRB-ERROR for an AP-REQ that was refused. */
  refusal(error: KerberosError): Uint8Array {
    return formatKrbError({
      code: error.protocolCode ?? KRB_ERR_GENERIC,
      text: error.message,
      server: this.#name,
      now: Date.now(),
    });
  }

  /** Ends its use once the last client is gone. */
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

  /** Reads the keytab anew if the file is another one than it was. */
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

/** The path of a keytab's name, which may say its type. */
function keytabPath(name: string): string {
  return name.replace(/^(?:WR)?FILE:/, "");
}
