// The public types: this test passes if it compiles. Code that must not compile is marked, and an unused mark is an
// error.
import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  AcceptOptions,
  CallOptions,
  CipherName,
  Credential,
  CredentialSource,
  DecodedCredential,
  DecodeOptions,
  EncodeOptions,
  EncodeResponse,
  Enumeration,
  MacName,
  MungeClient,
  MungeErrorCode,
  SealOptions,
  ZipName,
} from "../../mod.ts";
import type * as mungebox from "../../mod.ts";
import { MungeError } from "../../mod.ts";

/** True if both are the same type; distinguishes any and unknown from all others. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;
function same<A, B>(yes: Same<A, B>): void {
  assert.ok(yes);
}

test("functions take and return the documented types", () => {
  type Data = string | Uint8Array;
  same<
    Parameters<typeof mungebox.encode>,
    [payload?: Data | undefined, options?: EncodeOptions | undefined]
  >(true);
  same<ReturnType<typeof mungebox.encode>, Promise<string>>(true);
  same<Parameters<typeof mungebox.decode>, [credential: Data, options?: DecodeOptions | undefined]>(
    true,
  );
  same<ReturnType<typeof mungebox.decode>, Promise<DecodedCredential>>(true);
  same<ReturnType<typeof mungebox.encodeSync>, string>(true);
  same<ReturnType<typeof mungebox.decodeSync>, DecodedCredential>(true);
  same<
    Parameters<typeof mungebox.decodeSync>,
    [credential: Data, options?: AcceptOptions | undefined]
  >(true);
  same<Parameters<typeof mungebox.sealCredential>, [fields: SealOptions, key: Uint8Array]>(true);
  same<ReturnType<typeof mungebox.openCredential>, Promise<Credential>>(true);
  same<ReturnType<CredentialSource["get"]>, Promise<string>>(true);
  same<Parameters<CredentialSource["fresh"]>, [options?: CallOptions | undefined]>(true);
  same<ReturnType<MungeClient["encode"]>, Promise<EncodeResponse>>(true);
  const disposable: (source: CredentialSource) => AsyncDisposable = (source) => source;
  assert.ok(disposable);
});

test("names are literal types, and options refuse others", () => {
  same<CipherName, "none" | "default" | "blowfish" | "cast5" | "aes128" | "aes256">(true);
  same<MacName, "none" | "default" | "md5" | "sha1" | "ripemd160" | "sha256" | "sha512">(true);
  same<ZipName, "none" | "default" | "bzlib" | "zlib">(true);
  same<typeof mungebox.ciphers, Enumeration<CipherName>>(true);
  same<ReturnType<typeof mungebox.macs.toName>, MacName | undefined>(true);
  const options: EncodeOptions = {
    cipher: "aes256",
    mac: 5,
    ttl: 60,
    // @ts-expect-error: no such compression
    zip: "rar",
  };
  assert.ok(options);
});

test("a decoded credential is read-only, with dates for times and optional restrictions", () => {
  same<DecodedCredential["payload"], Uint8Array>(true);
  same<DecodedCredential["encodeTime"], Date>(true);
  same<DecodedCredential["uidRestriction"], number | undefined>(true);
  same<DecodedCredential["status"], MungeErrorCode>(true);
  const change = (credential: DecodedCredential) => {
    // @ts-expect-error: read-only
    credential.uid = 0;
  };
  assert.ok(change);
});

test("an error has one of nineteen codes, and may have a credential", () => {
  same<MungeError["code"], MungeErrorCode>(true);
  same<MungeError["errno"], number>(true);
  same<MungeError["credential"], DecodedCredential | undefined>(true);
  same<MungeError["socketPath"], string | undefined>(true);
  // @ts-expect-error: no such code
  assert.ok(new MungeError("EMUNGE_NOTHING"));
});
