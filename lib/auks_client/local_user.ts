// The user of this host to which a principal belongs.
import { AuksError } from "../auks/errors.ts";
import type { Context } from "../krb5/context.ts";
import { Principal } from "../krb5/principal.ts";
import { userByName } from "../os/users.ts";

/**
 * The UID to which this host maps a principal.
 *
 * @throws {AuksError} CRED_NO_LOCAL_NAME or CRED_NO_ACCOUNT. For a name without an account, the original uses some other
 * user's UID.
 */
export function uidOf(context: Context, name: string): number {
  using principal = Principal.parse(context, name);
  const localName = principal.localName();
  if (localName === null) {
    throw new AuksError("CRED_NO_LOCAL_NAME", `no auth_to_local rule of krb5.conf matches ${name}`);
  }
  const user = userByName(localName);
  if (user !== undefined) return user.uid;
  throw new AuksError("CRED_NO_ACCOUNT", `this host has no account ${localName}, for ${name}`);
}
