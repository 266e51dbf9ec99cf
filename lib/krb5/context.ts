// A krb5_context: the library's configuration for one thread, and the errors of its calls.
import { checkLayout } from "./layout.ts";
import { libkrb5 } from "./library.ts";
import { type Address, clearCells, resultAddress, resultCell, textAt } from "./memory.ts";

/** An error from libkrb5. */
export class KerberosError extends Error {
  override readonly name = "KerberosError";
  /** The failed call, such as "krb5_cc_resolve". */
  readonly call: string;
  /** The library's number; {@linkcode protocolCode} has the number used on the wire. */
  readonly code: number;

  /** @param text the library's own text for the error. */
  constructor(call: string, code: number, text: string) {
    super(text);
    this.call = call;
    this.code = code;
  }

  /** The error number of RFC 4120 (section 7.5.9), or undefined for one of the library's own errors. */
  get protocolCode(): number | undefined {
    return protocolCode(this.code);
  }
}

/** ERROR_TABLE_BASE_krb5: from here, libkrb5's codes are RFC 4120's numbers. */
const PROTOCOL_BASE = -1765328384;
/** The library's own codes begin after these. */
const PROTOCOL_CODES = 128;

function protocolCode(code: number): number | undefined {
  const number = code - PROTOCOL_BASE;
  return number >= 0 && number < PROTOCOL_CODES ? number : undefined;
}

/** libkrb5's own codes that callers check for. */
export const KRB5 = {
  CONFIG_NOTENUFSPACE: -1765328247,
  CC_UNKNOWN_TYPE: -1765328244,
  CC_NOTFOUND: -1765328243,
  CC_END: -1765328242,
  REALM_UNKNOWN: -1765328230,
  KDC_UNREACH: -1765328228,
  NO_LOCALNAME: -1765328227,
  LNAME_NOTRANS: -1765328208,
  KT_NOTFOUND: -1765328203,
  KT_END: -1765328202,
  FCC_NOFILE: -1765328189,
  REALM_CANT_RESOLVE: -1765328164,
  PLUGIN_NO_HANDLE: -1765328135,
  PARSE_MALFORMED: -1765328250,
  RC_REPLAY: -1765328221,
} as const;

/** One thread's use of libkrb5. Everything made with a context must be freed before it is closed. */
export class Context {
  /** For other files in this folder. */
  readonly address: Address;

  private constructor(address: Address) {
    this.address = address;
  }

  /**
   * Reads krb5.conf, or the file named by KRB5_CONFIG.
   *
   * @throws {KerberosUnavailable} if libkrb5 is missing, too old, or has a different struct layout.
   * @throws {KerberosError} for a configuration that can't be read.
   */
  static open(): Context {
    clearCells();
    const code = libkrb5().krb5_init_context(resultCell);
    if (code !== 0) {
      // Without a context, the library still has the plain text for a code.
      throw new KerberosError("krb5_init_context", code, errorText(null, code));
    }
    const context = new Context(resultAddress());
    checkLayout(context.address);
    return context;
  }

  /** Frees the context. */
  close(): void {
    libkrb5().krb5_free_context(this.address);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The realm of names without one. @throws {KerberosError} if none is configured. */
  get defaultRealm(): string {
    this.check(
      "krb5_get_default_realm",
      libkrb5().krb5_get_default_realm(this.address, resultCell),
    );
    const address = resultAddress();
    const realm = textAt(address);
    libkrb5().krb5_free_default_realm(this.address, address);
    return realm;
  }

  /**
   * The object whose address a call has put into {@linkcode resultCell}.
   *
   * @param code the call's result.
   * @throws {KerberosError}
   */
  take(call: string, code: number): Address {
    this.check(call, code);
    return resultAddress();
  }

  /** Checks a call's result. @throws {KerberosError} unless it is 0. */
  check(call: string, code: number): void {
    if (code !== 0) throw new KerberosError(call, code, errorText(this.address, code));
  }
}

function errorText(context: Address | null, code: number): string {
  const address = libkrb5().krb5_get_error_message(context, code);
  if (address === null) return `Kerberos error ${code}`;
  const text = textAt(address as Address);
  libkrb5().krb5_free_error_message(context, address);
  return text;
}
