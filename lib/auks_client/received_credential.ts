// KRB-CREDs from elsewhere: their tickets in libkrb5's memory, and in credential caches.
import { AuksError } from "../auks/errors.ts";
import { parseKrbCred } from "../auks/krb_cred.ts";
import { type Context, KerberosError } from "../krb5/context.ts";
import { type Credential, readKrbCred } from "../krb5/credential.ts";
import { replaceTickets } from "./credential_cache.ts";

/**
 * The tickets of a KRB-CRED; the caller frees them.
 *
 * @throws {AuksError} KRB5_LOAD.
 */
export function readCredentials(context: Context, krbCred: Uint8Array): Credential[] {
  try {
    // libkrb5 relies on fields that are optional in the message, and dereferences a null pointer without them.
    parseKrbCred(krbCred);
    return readKrbCred(context, krbCred);
  } catch (error) {
    if (error instanceof AuksError) throw new AuksError("KRB5_LOAD", error.reason);
    if (error instanceof KerberosError) throw new AuksError("KRB5_LOAD", error.message);
    throw error;
  }
}

/**
 * Fills a cache with the tickets of a KRB-CRED.
 *
 * @param ccache name of the cache; undefined for the default one.
 * @throws {AuksError}
 */
export function storeCredential(
  context: Context,
  ccache: string | undefined,
  krbCred: Uint8Array,
): void {
  const credentials = readCredentials(context, krbCred);
  try {
    replaceTickets(context, ccache, credentials);
  } finally {
    for (const credential of credentials) credential.free();
  }
}
