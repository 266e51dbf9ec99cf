// The names of security realms. The default realm has none.
import { MungeError } from "../errors.ts";

const NAME = /^[A-Za-z0-9._-]{1,63}$/;
/** What the length in 8 bits, a NUL counted, leaves room for in messages and credentials. */
// deno-lint-ignore no-control-regex
const TEXT = /^[\x01-\xff]{0,254}$/;

/** Whether a realm may be called so. */
export function isRealmName(name: string): boolean {
  return NAME.test(name);
}

/**
 * A realm that message and credential can carry: at most 254 characters, none of them NUL or above U+00FF.
 *
 * @throws {MungeError} EMUNGE_BAD_ARG for another one.
 */
export function checkedRealm(realm: string): string {
  if (!TEXT.test(realm)) throw new MungeError("EMUNGE_BAD_ARG", "Invalid security realm string");
  return realm;
}
