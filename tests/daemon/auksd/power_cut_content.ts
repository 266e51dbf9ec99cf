// What the users' files of power_cut_test.ts hold in each version.

/** Number of users. */
export const USERS = 12;

/** A user's file in a version; undefined for one in which it is removed. */
export function contentOf(uid: number, version: number): Uint8Array | undefined {
  if (version % 7 === 0) return undefined;
  const numbers = new Uint32Array(100 + (uid * 31 + version * 17) % 900);
  return new Uint8Array(numbers.fill(uid * 2 ** 24 + version).buffer);
}
