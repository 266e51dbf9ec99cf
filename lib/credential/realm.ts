// Names of security realms. The default realm has none.
import { MungeError } from "../errors.ts";

/** The default realm's name. */
export const DEFAULT_REALM = "";

const NAME = /^[A-Za-z0-9._-]{1,63}$/;
/** Limited by the 8-bit length in messages and credentials, which includes a NUL. */
// deno-lint-ignore no-control-regex
const TEXT = /^[\x01-\xff]{0,254}$/;

/** Whether this is a valid name for a realm. */
export function isRealmName(name: string): boolean {
  return NAME.test(name);
}

/** A realm in messages: `realm "x"`, or `the default realm`. */
export function describeRealm(name: string): string {
  return name === DEFAULT_REALM ? "the default realm" : `realm "${name}"`;
}

/**
 * Checks that messages and credentials can carry a realm: at most 254 characters, none NUL or above U+00FF.
 *
 * @throws {MungeError} EMUNGE_BAD_ARG if they can't.
 */
export function checkedRealm(realm: string): string {
  if (!TEXT.test(realm)) throw new MungeError("EMUNGE_BAD_ARG", "Invalid security realm string");
  return realm;
}
