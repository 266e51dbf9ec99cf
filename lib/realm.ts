// The names of security realms. The default realm has none.

const NAME = /^[A-Za-z0-9._-]{1,63}$/;

/** Whether a realm may be called so. */
export function isRealmName(name: string): boolean {
  return NAME.test(name);
}
