// Kerberos principals in libkrb5: their text, their parts, and the local user that krb5.conf maps them to.
import { read } from "../os/libc.ts";
import { type Context, KerberosError, KRB5 } from "./context.ts";
import { DATA_SIZE, PRINCIPAL } from "./layout.ts";
import { libkrb5 } from "./library.ts";
import {
  type Address,
  copyData,
  cText,
  decodeName,
  nameAt,
  resultAddress,
  resultCell,
  threadMemory,
} from "./memory.ts";

/** Maximum length of a local name, including its NUL. */
const LOCAL_NAME_BYTES = 256;
const localNameAddress = threadMemory(LOCAL_NAME_BYTES).at;

/** A principal in libkrb5's memory; its creator frees it. */
export class Principal {
  readonly #context: Context;
  /** For other files in this folder. */
  readonly address: Address;

  /** @param address of a krb5_principal that the new object frees. */
  constructor(context: Context, address: Address) {
    this.#context = context;
    this.address = address;
  }

  /**
   * Parses a name; one without a realm is in the default realm.
   *
   * @throws {KerberosError} if it is malformed.
   */
  static parse(context: Context, text: string): Principal {
    const code = libkrb5().krb5_parse_name(context.address, cText(text), resultCell);
    context.check("krb5_parse_name", code);
    return new Principal(context, resultAddress());
  }

  /** The name with its realm, `host/node1.realm.a@REALM.A`, with special characters escaped. */
  get text(): string {
    return principalText(this.#context, this.address);
  }

  /** The realm, unescaped. */
  get realm(): string {
    return strictly(() => decodeName(copyData(this.address + PRINCIPAL.realm as Address)));
  }

  /** The components before the realm, unescaped. */
  get components(): string[] {
    const first = read.ptr(this.address, PRINCIPAL.components);
    return Array.from(
      { length: read.u32(this.address, PRINCIPAL.count) },
      (_, at) => strictly(() => decodeName(copyData(first + at * DATA_SIZE as Address))),
    );
  }

  /**
   * The name of the local user to which auth_to_local in krb5.conf maps the principal. The account need not exist; a
   * libkrb5 plugin may ask a server, and block.
   *
   * @returns null if no rule matches.
   * @throws {KerberosError} if a rule is invalid.
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
    return strictly(() => nameAt(localNameAddress));
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

/** The text of a krb5_principal, which the caller still owns. */
export function principalText(context: Context, address: Address): string {
  const code = libkrb5().krb5_unparse_name(context.address, address, resultCell);
  context.check("krb5_unparse_name", code);
  const name = resultAddress();
  try {
    return strictly(() => nameAt(name));
  } finally {
    libkrb5().krb5_free_unparsed_name(context.address, name);
  }
}

/** @throws {KerberosError} for a name that is not UTF-8. */
function strictly(decode: () => string): string {
  try {
    return decode();
  } catch {
    throw new KerberosError("krb5_unparse_name", KRB5.PARSE_MALFORMED, "A name is not valid UTF-8");
  }
}
