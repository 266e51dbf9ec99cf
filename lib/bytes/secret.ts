// Memory for keys and tickets that can be wiped. The engine keeps a short array that was created without a buffer among its
// own objects, and moves it when a view of it is created: the old bytes then stay behind, where nothing can wipe them.

/** `length` zero bytes that never move. */
export function secretBytes(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(length));
}

/** A copy of `bytes` in such memory. */
export function copySecret(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const copy = secretBytes(bytes.length);
  copy.set(bytes);
  return copy;
}
