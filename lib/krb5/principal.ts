// Kerberos principals by libkrb5: their text, their parts, and the local name that krb5.conf maps them to.
import { read } from "../os/libc.ts";
import { type Context, KRB5 } from "./context.ts";
import { DATA_SIZE, PRINCIPAL } from "./layout.ts";
import { libkrb5 } from "./library.ts";
import {
  type Address,
  copyData,
  cText,
  lastingMemory,
  resultAddress,
  resultCell,
  textAt,
} from "./memory.ts";

/** The most bytes of a local name, its NUL included. */
const LOCAL_NAME_BYTES = 256;
const localNameAddress = lastingMemory(LOCAL_NAME_BYTES).at;

/** A principal in libkrb5's memory; whoever made it frees it. */
export class Principal {
  readonly #context: Context;
  /** For the neighbours of this file. */
  readonly address: Address;

  /** @param address of a krb5_principal that the new object frees. */
  constructor(context: Context, address: Address) {
    this.#context = context;
    this.address = address;
  }

  /**
   * Reads a name; one without realm is of the default realm.
   *
   * @throws {KerberosError} when it is malformed.
   */
  static parse(context: Context, text: string): Principal {
    const code = libkrb5().krb5_parse_name(context.address, cText(text), resultCell);
    context.check("krb5_parse_name", code);
    return new Principal(context, resultAddress());
  }

  /** The name with its realm, `host/node1.realm.a@REALM.A`, special characters escaped. */
  get text(): string {
    return principalText(this.#context, this.address);
  }

  /** The realm, as it is. */
  get realm(): string {
    return new TextDecoder().decode(copyData(this.address + PRINCIPAL.realm as Address));
  }

  /** What stands between the slashes before the realm, as it is. */
  get components(): string[] {
    const first = read.ptr(this.address, PRINCIPAL.components);
    return Array.from(
      { length: read.u32(this.address, PRINCIPAL.count) },
      (_, at) => new TextDecoder().decode(copyData(first + at * DATA_SIZE as Address)),
    );
  }

  /**
   * The local user's name that auth_to_local of krb5.conf maps the principal to. Whether there is such an
   * account is not looked at; a plugin of libkrb5 may ask a server, and block.
   *
   * @returns null when no rule fits.
   * @throws {KerberosError} when a rule can't be used.
   */
  localName(): string | null {
    const code = libkrb5().krb5_aname_to_localname(
      this.#context.address,
      this.address,
      LOCAL_NAME_BYTES,
      localNameAddress,
    );
    if (NO_LOCAL_NAME.has(code)) return null;
    this.#context.check("krb5_aname_to_localname", code);
    return textAt(localNameAddress);
  }

  /** Frees the principal. */
  free(): void {
    libkrb5().krb5_free_principal(this.#context.address, this.address);
  }

  [Symbol.dispose](): void {
    this.free();
  }
}

const NO_LOCAL_NAME: ReadonlySet<number> = new Set([
  KRB5.LNAME_NOTRANS,
  KRB5.NO_LOCALNAME,
  KRB5.PLUGIN_NO_HANDLE,
]);

/** The text of a krb5_principal that somebody else frees. */
export function principalText(context: Context, address: Address): string {
  const code = libkrb5().krb5_unparse_name(context.address, address, resultCell);
  context.check("krb5_unparse_name", code);
  const name = resultAddress();
  const text = textAt(name);
  libkrb5().krb5_free_unparsed_name(context.address, name);
  return text;
}
