// The public types: this file passes when it compiles, so tsc is what runs these tests (scripts/test types). What must
// not compile is marked, and an unused mark is an error. Nothing here asserts anything at run time.
import type { Credential as SealedCredential, SealOptions } from "../../lib/offline/offline.ts";
import type { EncodeResponse, MungeClient } from "../../lib/client/protocol.ts";
import type {
  AcceptOptions,
  CallOptions,
  CipherName,
  CredentialSource,
  DecodedCredential,
  EncodeOptions,
  Enumeration,
  LibraryErrorCode,
  MacName,
  Munge,
  MungeErrorCode,
  RejectionCode,
  ZipName,
} from "../../mod.ts";
import type * as mungebox from "../../mod.ts";
import type * as offline from "../../lib/offline/offline.ts";
import { decode, MungeError } from "../../mod.ts";

/** True if both are the same type; any and unknown are the same as themselves only. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;
/** Compiles for types that are the same, and for no others. */
function same<A, B>(..._: Same<A, B> extends true ? [] : [never]): void {}

type Data = string | Uint8Array;

/** Functions take and return what they say. */
export function functions(): void {
  same<
    Parameters<typeof mungebox.encode>,
    [payload?: Data | undefined, options?: EncodeOptions | undefined]
  >();
  same<ReturnType<typeof mungebox.encode>, Promise<string>>();
  same<ReturnType<typeof mungebox.encodeSync>, string>();
  same<Parameters<typeof offline.sealCredential>, [fields: SealOptions, key: Uint8Array]>();
  same<ReturnType<typeof offline.openCredential>, Promise<SealedCredential>>();
  same<ReturnType<CredentialSource["get"]>, Promise<string>>();
  same<Parameters<CredentialSource["fresh"]>, [options?: CallOptions | undefined]>();
  same<ReturnType<Munge["encode"]>, Promise<string>>();
  same<ReturnType<MungeClient["encode"]>, Promise<EncodeResponse>>();
  const disposable: (source: CredentialSource) => AsyncDisposable = (source) => source;
  void disposable;
}

/** The form that is asked for decides the payload's type. */
export async function payloads(munge: Munge, options: AcceptOptions): Promise<void> {
  const bytes = await decode("");
  same<typeof bytes, DecodedCredential>();
  same<typeof bytes.payload, Uint8Array>();
  const text = await decode("", { as: "text", ignoreReplay: true });
  same<typeof text.payload, string>();
  const given = await munge.decode("", { as: "text" });
  same<typeof given.payload, string>();
  const explicit = await munge.decode("", { as: "bytes", timeoutMs: 1 });
  same<typeof explicit.payload, Uint8Array>();
  const either = await decode("", options);
  same<typeof either.payload, Uint8Array | string>();
  // @ts-expect-error: no such form
  await decode("", { as: "json" });
}

/** Names are literal types, and options refuse others. */
export function names(): EncodeOptions {
  same<CipherName, "none" | "default" | "blowfish" | "cast5" | "aes128" | "aes256">();
  same<MacName, "none" | "default" | "md5" | "sha1" | "ripemd160" | "sha256" | "sha512">();
  same<ZipName, "none" | "default" | "bzlib" | "zlib">();
  same<typeof mungebox.ciphers, Enumeration<CipherName>>();
  same<ReturnType<typeof mungebox.macs.toName>, MacName | undefined>();
  return {
    cipher: "aes256",
    mac: 5,
    ttl: 60,
    // @ts-expect-error: no such compression
    zip: "rar",
  };
}

/** A decoded credential is read-only, its times are dates, its restrictions may be missing. */
export function decoded(credential: DecodedCredential): void {
  same<DecodedCredential["encodeTime"], Date>();
  same<DecodedCredential["uidRestriction"], number | undefined>();
  same<DecodedCredential["status"], "EMUNGE_SUCCESS" | RejectionCode>();
  // @ts-expect-error: read-only
  credential.uid = 0;
}

/** The code of an error tells whether it has a credential. */
export function errors(error: unknown): void {
  if (!(error instanceof MungeError)) return;
  same<typeof error, MungeError>();
  same<typeof error.code, Exclude<MungeErrorCode, "EMUNGE_SUCCESS"> | LibraryErrorCode>();
  same<typeof error.errno, number>();
  same<typeof error.socketPath, string | undefined>();
  same<typeof error.credential, DecodedCredential | undefined>();
  if (error.code === "EMUNGE_CRED_EXPIRED") same<typeof error.credential, DecodedCredential>();
  if (error.code === "EMUNGE_SOCKET") same<typeof error.credential, undefined>();
  if (error.code === "ERR_SOURCE_DISPOSED") same<typeof error.credential, undefined>();
  // @ts-expect-error: no such code
  void (error.code === "EMUNGE_NOTHING");
  // @ts-expect-error: the library makes them
  void new MungeError();
}
