// Credential caches of every type that libkrb5 knows (FILE, DIR, KEYRING, KCM, MEMORY).
import { type Context, KRB5 } from "./context.ts";
import { Credential, wipeCredential } from "./credential.ts";
import { CREDS } from "./layout.ts";
import { libkrb5 } from "./library.ts";
import {
  type Address,
  clearCells,
  cText,
  lastingMemory,
  resultAddress,
  resultCell,
  secondCell,
  textAt,
} from "./memory.ts";
import { Principal } from "./principal.ts";

/** An open cache; one of close(), destroy() and moveTo() ends its use. */
export class CredentialCache {
  readonly #context: Context;
  /** For the neighbours of this file. */
  readonly address: Address;

  private constructor(context: Context, address: Address) {
    this.#context = context;
    this.address = address;
  }

  /** The one that KRB5CCNAME or krb5.conf names; it need not exist. @throws {KerberosError} */
  static default(context: Context): CredentialCache {
    context.check("krb5_cc_default", libkrb5().krb5_cc_default(context.address, resultCell));
    return new CredentialCache(context, resultAddress());
  }

  /**
   * The one of this name, `TYPE:REST` or the path of a file; it need not exist.
   *
   * @throws {KerberosError} with {@linkcode KRB5.CC_UNKNOWN_TYPE} among others.
   */
  static resolve(context: Context, name: string): CredentialCache {
    const code = libkrb5().krb5_cc_resolve(context.address, cText(name), resultCell);
    context.check("krb5_cc_resolve", code);
    return new CredentialCache(context, resultAddress());
  }

  /** A new one of a type, with a name that none has. @throws {KerberosError} */
  static unique(context: Context, type: string): CredentialCache {
    const code = libkrb5().krb5_cc_new_unique(context.address, cText(type), null, resultCell);
    context.check("krb5_cc_new_unique", code);
    return new CredentialCache(context, resultAddress());
  }

  /** `FILE`, `DIR`, `KEYRING`, `KCM` or `MEMORY`. */
  get type(): string {
    const type = libkrb5().krb5_cc_get_type(this.#context.address, this.address);
    return type === null ? "" : textAt(type as Address);
  }

  /** `TYPE:REST`, which {@linkcode resolve} takes. */
  get name(): string {
    const code = libkrb5().krb5_cc_get_full_name(this.#context.address, this.address, resultCell);
    this.#context.check("krb5_cc_get_full_name", code);
    const address = resultAddress();
    const name = textAt(address);
    libkrb5().krb5_free_string(this.#context.address, address);
    return name;
  }

  /** Whose tickets are in it; to be freed. @throws {KerberosError} when it can't be read. */
  principal(): Principal {
    const code = libkrb5().krb5_cc_get_principal(this.#context.address, this.address, resultCell);
    this.#context.check("krb5_cc_get_principal", code);
    return new Principal(this.#context, resultAddress());
  }

  /**
   * All tickets in it, in the cache's order, without the entries in which libkrb5 keeps notes; each is to be
   * freed.
   *
   * @throws {KerberosError} when it can't be read.
   */
  credentials(): Credential[] {
    const krb5 = libkrb5();
    const context = this.#context;
    const found: Credential[] = [];
    const creds = entry.at;
    clearCells();
    context.check(
      "krb5_cc_start_seq_get",
      krb5.krb5_cc_start_seq_get(context.address, this.address, secondCell),
    );
    try {
      for (;;) {
        entry.bytes.fill(0);
        const code = krb5.krb5_cc_next_cred(context.address, this.address, secondCell, creds);
        if (code === KRB5.CC_END) return found;
        context.check("krb5_cc_next_cred", code);
        try {
          const credential = Credential.copy(context, creds);
          if (credential.server.endsWith(NOTES_REALM)) credential.free();
          else found.push(credential);
        } finally {
          wipeCredential(creds);
          krb5.krb5_free_cred_contents(context.address, creds);
        }
      }
    } catch (error) {
      for (const credential of found) credential.free();
      throw error;
    } finally {
      krb5.krb5_cc_end_seq_get(context.address, this.address, secondCell);
    }
  }

  /** Makes it, or empties it, for this principal's tickets. @throws {KerberosError} */
  initialize(principal: Principal): void {
    const { address } = this.#context;
    const code = libkrb5().krb5_cc_initialize(address, this.address, principal.address);
    this.#context.check("krb5_cc_initialize", code);
  }

  /** Adds a ticket. @throws {KerberosError} */
  store(credential: Credential): void {
    const { address } = this.#context;
    const code = libkrb5().krb5_cc_store_cred(address, this.address, credential.address);
    this.#context.check("krb5_cc_store_cred", code);
  }

  /** Puts all it has in place of what `target` had, at once for those who read it. @throws {KerberosError} */
  moveTo(target: CredentialCache): void {
    const code = libkrb5().krb5_cc_move(this.#context.address, this.address, target.address);
    this.#context.check("krb5_cc_move", code);
  }

  /** Makes it the primary one of its collection. @throws {KerberosError} */
  switchTo(): void {
    const code = libkrb5().krb5_cc_switch(this.#context.address, this.address);
    this.#context.check("krb5_cc_switch", code);
  }

  /** Closes it; what is in it stays. */
  close(): void {
    libkrb5().krb5_cc_close(this.#context.address, this.address);
  }

  /** Wipes it out. @throws {KerberosError} */
  destroy(): void {
    const code = libkrb5().krb5_cc_destroy(this.#context.address, this.address);
    this.#context.check("krb5_cc_destroy", code);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Where cache entries that are no tickets claim to be from (krb5_cc_set_config). */
const NOTES_REALM = "@X-CACHECONF:";

/** What a cache's next ticket is read into. */
const entry = lastingMemory(CREDS.bytes);

/** Whether caches of this type have a primary one that can be switched. */
export function supportsSwitch(context: Context, type: string): boolean {
  return libkrb5().krb5_cc_support_switch(context.address, cText(type)) !== 0;
}
