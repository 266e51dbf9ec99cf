// Credential caches of every type that libkrb5 supports (FILE, DIR, KEYRING, KCM, MEMORY).
import { type Context, KRB5 } from "./context.ts";
import { Credential, wipeCredential } from "./credential.ts";
import { CREDS } from "./layout.ts";
import { libkrb5 } from "./library.ts";
import {
  type Address,
  clearCells,
  cText,
  resultAddress,
  resultCell,
  secondAddress,
  secondCell,
  textAt,
  threadMemory,
} from "./memory.ts";
import { Principal } from "./principal.ts";

/** An open cache; close(), destroy() or moveTo() ends its use. */
export class CredentialCache {
  readonly #context: Context;
  /** For other files in this folder. */
  readonly address: Address;

  private constructor(context: Context, address: Address) {
    this.#context = context;
    this.address = address;
  }

  /** The cache named by KRB5CCNAME or krb5.conf; need not exist. @throws {KerberosError} */
  static default(context: Context): CredentialCache {
    const code = libkrb5().krb5_cc_default(context.address, resultCell);
    return new CredentialCache(context, context.take("krb5_cc_default", code));
  }

  /**
   * The cache with this name, `TYPE:REST` or a file's path; need not exist.
   *
   * @throws {KerberosError} {@linkcode KRB5.CC_UNKNOWN_TYPE} and others.
   */
  static resolve(context: Context, name: string): CredentialCache {
    const code = libkrb5().krb5_cc_resolve(context.address, cText(name), resultCell);
    return new CredentialCache(context, context.take("krb5_cc_resolve", code));
  }

  /** A new cache of a type, with a unique name. @throws {KerberosError} */
  static unique(context: Context, type: string): CredentialCache {
    const code = libkrb5().krb5_cc_new_unique(context.address, cText(type), null, resultCell);
    return new CredentialCache(context, context.take("krb5_cc_new_unique", code));
  }

  /**
   * The caches of a collection; the caller closes each.
   *
   * @param collection such as `DIR:/home/bob/caches`, which becomes the context's default cache.
   * @throws {KerberosError} if it can't be read.
   */
  static collection(context: Context, collection: string): CredentialCache[] {
    const krb5 = libkrb5();
    const { address } = context;
    const named = krb5.krb5_cc_set_default_name(address, cText(collection));
    context.check("krb5_cc_set_default_name", named);
    context.check("krb5_cccol_cursor_new", krb5.krb5_cccol_cursor_new(address, secondCell));
    const found: CredentialCache[] = [];
    try {
      for (;;) {
        const code = krb5.krb5_cccol_cursor_next(address, secondAddress(), resultCell);
        context.check("krb5_cccol_cursor_next", code);
        const cache = resultAddress();
        if (cache === 0) return found;
        found.push(new CredentialCache(context, cache));
      }
    } catch (error) {
      for (const cache of found) cache.close();
      throw error;
    } finally {
      krb5.krb5_cccol_cursor_free(address, secondCell);
    }
  }

  /** `FILE`, `DIR`, `KEYRING`, `KCM` or `MEMORY`. */
  get type(): string {
    const type = libkrb5().krb5_cc_get_type(this.#context.address, this.address);
    return type === null ? "" : textAt(type as Address);
  }

  /** `TYPE:REST`, as for {@linkcode resolve}. */
  get name(): string {
    const code = libkrb5().krb5_cc_get_full_name(this.#context.address, this.address, resultCell);
    const address = this.#context.take("krb5_cc_get_full_name", code);
    const name = textAt(address);
    libkrb5().krb5_free_string(this.#context.address, address);
    return name;
  }

  /** The principal of its tickets; the caller frees it. @throws {KerberosError} if it can't be read. */
  principal(): Principal {
    const code = libkrb5().krb5_cc_get_principal(this.#context.address, this.address, resultCell);
    return new Principal(this.#context, this.#context.take("krb5_cc_get_principal", code));
  }

  /**
   * All its tickets, in the cache's order, without the entries for libkrb5's own settings; the caller frees each.
   *
   * @throws {KerberosError} if it can't be read.
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
          if (credential.server.endsWith(CONFIGURATION_REALM)) credential.free();
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

  /** Creates or empties it, for this principal's tickets. @throws {KerberosError} */
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

  /** Replaces the contents of `target` by its own, atomically for readers. @throws {KerberosError} */
  moveTo(target: CredentialCache): void {
    const code = libkrb5().krb5_cc_move(this.#context.address, this.address, target.address);
    this.#context.check("krb5_cc_move", code);
  }

  /** Makes it the primary cache of its collection. @throws {KerberosError} */
  switchTo(): void {
    const code = libkrb5().krb5_cc_switch(this.#context.address, this.address);
    this.#context.check("krb5_cc_switch", code);
  }

  /** Closes it; its contents stay. */
  close(): void {
    libkrb5().krb5_cc_close(this.#context.address, this.address);
  }

  /** Destroys it. @throws {KerberosError} */
  destroy(): void {
    const code = libkrb5().krb5_cc_destroy(this.#context.address, this.address);
    this.#context.check("krb5_cc_destroy", code);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The realm of cache entries that are not tickets (krb5_cc_set_config). */
const CONFIGURATION_REALM = "@X-CACHECONF:";

/** Memory for the next ticket of a cache. */
const entry = threadMemory(CREDS.bytes);

/** Whether caches of this type have a switchable primary one. */
export function supportsSwitch(context: Context, type: string): boolean {
  return libkrb5().krb5_cc_support_switch(context.address, cText(type)) !== 0;
}
