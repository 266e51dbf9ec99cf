// The umask of whoever builds, packages or installs: on hardened systems, root's hides new files from all other users.

/** Calls a function under such a umask. */
export function underStrictUmask<T>(call: () => T): T {
  const before = process.umask(0o077);
  try {
    return call();
  } finally {
    process.umask(before);
  }
}
