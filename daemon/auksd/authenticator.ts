// auksd's Kerberos side: its principal, its keys, and the verification of clients' AP-REQs. The keytab is kept in memory,
// and read again if a client's ticket does not match it and the file has changed.
import { statSync } from "node:fs";
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

/** The keys in memory. */
interface Keys {
  readonly keytab: Keytab;
  /** The file they are from, as {@linkcode versionOf}. */
  readonly version: string | undefined;
}

/** Verifies clients. It stays open until the last of them is released. */
export class Authenticator {
  readonly #context: Context;
  readonly #principal: Principal;
  readonly #name: PrincipalName;
  readonly #keytabFile: string;
  readonly #replayCache: ReplayCache;
  #keys: Keys;
  #clients = 0;
  #retired = false;

  private constructor(
    context: Context,
    principal: Principal,
    keys: Keys,
    { keytab: keytabFile, replayCache }: AuthenticatorSettings,
  ) {
    this.#context = context;
    this.#principal = principal;
    this.#name = parsePrincipal(principal.text);
    this.#keys = keys;
    this.#keytabFile = keytabFile;
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
      throw new AuksError(
        "STREAM_SET_PRINCIPAL",
        "the configuration does not set auksd's principal",
      );
    }
    const context = openContext();
    try {
      const principal = parseOwnName(context, settings.principal);
      try {
        return new Authenticator(
          context,
          principal,
          readKeys(context, settings.keytab),
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
    return this.#keys.keytab.entries().some(({ principal }) => principal === this.principal);
  }

  /**
   * Verifies an AP-REQ. Pass the result to {@linkcode release} afterwards.
   *
   * A keytab that has changed and can't be read leaves the old keys in use.
   *
   * @throws {KerberosError} with the reason for a refusal.
   */
  accept(request: Uint8Array): ServerAuthentication {
    let client: ServerAuthentication;
    try {
      client = this.#check(request);
    } catch (error) {
      if (!(error instanceof KerberosError) || !OLD_KEYS.has(error.protocolCode)) throw error;
      if (!this.#takeNewKeytab(error)) throw error;
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
      this.#keys.keytab,
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
    this.#keys.keytab.close();
    this.#principal.free();
    this.#context.close();
  }

  /**
   * Reads the keytab again if the file has changed.
   *
   * @param refusal for which that is tried.
   * @throws {KerberosError} the refusal with the reason, if it can't be read.
   */
  #takeNewKeytab({ call, code, message }: KerberosError): boolean {
    const version = versionOf(this.#keytabFile);
    if (version === undefined || version === this.#keys.version) return false;
    try {
      const keys = readKeys(this.#context, this.#keytabFile);
      this.#keys.keytab.close();
      this.#keys = keys;
      return true;
    } catch (error) {
      if (!(error instanceof AuksError)) throw error;
      const reason = error.reason ?? error.text;
      throw new KerberosError(call, code, `${message}; the new keytab can't be read: ${reason}`);
    }
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

/** Notes the version before reading, so that a file that replaces it in between is noticed next time. */
function readKeys(context: Context, file: string): Keys {
  const version = versionOf(file);
  try {
    using keytab = Keytab.resolve(context, file);
    return { keytab: keytab.copyToMemory(), version };
  } catch (error) {
    if (!(error instanceof KerberosError)) throw error;
    throw new AuksError("STREAM_KEYTAB", error.message);
  }
}

/** Identifies the current file of a keytab: any replacement has another version. Undefined if there is none. */
function versionOf(name: string): string | undefined {
  const path = name.replace(/^(?:WR)?FILE:/, "");
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats && [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(" ");
}
