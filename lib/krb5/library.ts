// Access to libkrb5 (MIT krb5 1.18 or later): opens it on first use and declares every function that is called. The other
// files in this folder build contexts, principals, caches and tickets on it; no other code calls libkrb5. The layout of
// its structs is in layout.ts.
import type * as bunFfi from "bun:ffi";
import type { FFIFunction, Library } from "bun:ffi";
import { KerberosUnavailable } from "./unavailable.ts";

const SONAME = "libkrb5.so.3";
const NEEDED = "MIT Kerberos 1.18 or later";

// krb5_error_code is i32, krb5_boolean u32, krb5_deltat and krb5_timestamp i32; all structs are passed by address.
const code = "i32";
const P = "ptr";
const nothing = "void";

const SYMBOLS = {
  krb5_init_context: { args: [P], returns: code },
  krb5_free_context: { args: [P], returns: nothing },
  krb5_get_error_message: { args: [P, "i32"], returns: P },
  krb5_free_error_message: { args: [P, P], returns: nothing },
  krb5_get_default_realm: { args: [P, P], returns: code },
  krb5_free_default_realm: { args: [P, P], returns: nothing },

  krb5_parse_name: { args: [P, P, P], returns: code },
  krb5_unparse_name: { args: [P, P, P], returns: code },
  krb5_copy_principal: { args: [P, P, P], returns: code },
  krb5_free_principal: { args: [P, P], returns: nothing },
  krb5_free_unparsed_name: { args: [P, P], returns: nothing },
  krb5_aname_to_localname: { args: [P, P, "i32", P], returns: code },

  krb5_cc_default: { args: [P, P], returns: code },
  krb5_cc_resolve: { args: [P, P, P], returns: code },
  krb5_cc_new_unique: { args: [P, P, P, P], returns: code },
  krb5_cc_get_type: { args: [P, P], returns: P },
  krb5_cc_get_full_name: { args: [P, P, P], returns: code },
  krb5_cc_get_principal: { args: [P, P, P], returns: code },
  krb5_cc_start_seq_get: { args: [P, P, P], returns: code },
  krb5_cc_next_cred: { args: [P, P, P, P], returns: code },
  krb5_cc_end_seq_get: { args: [P, P, P], returns: code },
  krb5_cc_initialize: { args: [P, P, P], returns: code },
  krb5_cc_store_cred: { args: [P, P, P], returns: code },
  krb5_cc_move: { args: [P, P, P], returns: code },
  krb5_cc_close: { args: [P, P], returns: code },
  krb5_cc_destroy: { args: [P, P], returns: code },
  krb5_cc_support_switch: { args: [P, P], returns: "u32" },
  krb5_cc_switch: { args: [P, P], returns: code },
  krb5_cc_set_default_name: { args: [P, P], returns: code },
  krb5_cccol_cursor_new: { args: [P, P], returns: code },
  krb5_cccol_cursor_next: { args: [P, P, P], returns: code },
  krb5_cccol_cursor_free: { args: [P, P], returns: code },
  krb5_free_string: { args: [P, P], returns: nothing },

  krb5_kt_resolve: { args: [P, P, P], returns: code },
  krb5_kt_default: { args: [P, P], returns: code },
  krb5_kt_close: { args: [P, P], returns: code },
  krb5_kt_start_seq_get: { args: [P, P, P], returns: code },
  krb5_kt_next_entry: { args: [P, P, P, P], returns: code },
  krb5_kt_end_seq_get: { args: [P, P, P], returns: code },
  krb5_kt_add_entry: { args: [P, P, P], returns: code },
  krb5_free_keytab_entry_contents: { args: [P, P], returns: code },

  krb5_get_credentials: { args: [P, "u32", P, P, P], returns: code },
  krb5_get_cred_via_tkt: { args: [P, P, "i32", P, P, P], returns: code },
  krb5_get_init_creds_keytab: { args: [P, P, P, P, "i32", P, P], returns: code },
  krb5_get_init_creds_opt_alloc: { args: [P, P], returns: code },
  krb5_get_init_creds_opt_free: { args: [P, P], returns: nothing },
  krb5_get_init_creds_opt_set_forwardable: { args: [P, "i32"], returns: nothing },
  krb5_get_init_creds_opt_set_proxiable: { args: [P, "i32"], returns: nothing },
  krb5_get_init_creds_opt_set_canonicalize: { args: [P, "i32"], returns: nothing },
  krb5_get_init_creds_opt_set_renew_life: { args: [P, "i32"], returns: nothing },
  krb5_get_init_creds_opt_set_tkt_life: { args: [P, "i32"], returns: nothing },
  krb5_copy_creds: { args: [P, P, P], returns: code },
  krb5_free_cred_contents: { args: [P, P], returns: nothing },
  krb5_free_creds: { args: [P, P], returns: nothing },
  krb5_free_tgt_creds: { args: [P, P], returns: nothing },

  krb5_auth_con_init: { args: [P, P], returns: code },
  krb5_auth_con_free: { args: [P, P], returns: code },
  krb5_auth_con_setflags: { args: [P, P, "i32"], returns: code },
  krb5_auth_con_setaddrs: { args: [P, P, P, P], returns: code },
  krb5_auth_con_setrcache: { args: [P, P, P], returns: code },
  krb5_mk_req_extended: { args: [P, P, "i32", P, P, P], returns: code },
  krb5_rd_rep: { args: [P, P, P, P], returns: code },
  krb5_free_ap_rep_enc_part: { args: [P, P], returns: nothing },
  krb5_rd_req: { args: [P, P, P, P, P, P, P], returns: code },
  krb5_free_ticket: { args: [P, P], returns: nothing },
  krb5_auth_con_getauthenticator: { args: [P, P, P], returns: code },
  krb5_free_authenticator: { args: [P, P], returns: nothing },
  krb5_mk_rep: { args: [P, P, P], returns: code },
  krb5_mk_priv: { args: [P, P, P, P, P], returns: code },
  krb5_rd_priv: { args: [P, P, P, P, P], returns: code },
  krb5_mk_ncred: { args: [P, P, P, P, P], returns: code },
  krb5_rd_cred: { args: [P, P, P, P, P], returns: code },
  krb5_free_data: { args: [P, P], returns: nothing },
  krb5_free_data_contents: { args: [P, P], returns: nothing },

  // Exported, but in no public header; since 1.18.
  k5_rc_resolve: { args: [P, P, P], returns: code },
  k5_rc_close: { args: [P, P], returns: nothing },
} as const satisfies Record<string, FFIFunction>;

type Functions = Library<typeof SYMBOLS>["symbols"];

const { CString, dlopen } = (Bun as unknown as {
  FFI: Pick<typeof bunFfi, "CString"> & {
    dlopen<T extends Record<string, FFIFunction>>(name: string, symbols: T): Library<T> | Error;
  };
}).FFI;

/** The libraries with the C library's own dlopen(): glibc since 2.34, earlier glibc, musl. */
const LOADERS = [
  "libc.so.6",
  "libdl.so.2",
  `/lib/ld-musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`,
];
const RTLD_LAZY = 1;

/**
 * Makes the system's loader load a library from the system's directories. The runtime's dlopen() alone would also look in
 * the current directory, which any user may control.
 */
function load(name: string): void {
  for (const loader of LOADERS) {
    const opened = dlopen(loader, {
      dlopen: { args: [P, "i32"], returns: P },
      dlerror: { args: [], returns: P },
    });
    if (opened instanceof Error) continue;
    const { dlopen: loadLibrary, dlerror } = opened.symbols;
    const text = new TextEncoder().encode(`${name}\0`);
    if (loadLibrary(text, RTLD_LAZY) !== null) return;
    const reason = dlerror();
    throw new KerberosUnavailable(
      `Failed to load the Kerberos library: ${
        reason === null ? name : new CString(reason)
      }; install ${NEEDED}`,
    );
  }
  throw new KerberosUnavailable(`Kerberos libraries can't be loaded on ${process.platform}`);
}

/**
 * Opens a library as libkrb5.
 *
 * @throws {KerberosUnavailable} if it is missing or lacks a function.
 */
export function openLibrary(name: string): Functions {
  load(name);
  const library = dlopen(name, SYMBOLS);
  if (!(library instanceof Error)) return library.symbols;
  const missing = Object.keys(SYMBOLS).find((symbol) => library.message.includes(`"${symbol}"`));
  throw new KerberosUnavailable(
    missing === undefined
      ? `Failed to load the Kerberos library: ${library.message}; install ${NEEDED}`
      : `The Kerberos library ${name} is too old: it lacks ${missing}; install ${NEEDED}`,
  );
}

let opened: Functions | undefined;

/**
 * The functions of libkrb5, which the first call loads.
 *
 * @throws {KerberosUnavailable} if it is missing or too old.
 */
export function libkrb5(): Functions {
  return opened ??= openLibrary(SONAME);
}
