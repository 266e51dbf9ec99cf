// Memory for keys and tickets that can be wiped. The engine keeps a short array that was made without a buffer among its
// own objects, and copies it when a view of it is made: what was there stays, and nobody can reach it.

/** `length` zero bytes that stay where they are. */
export function secretBytes(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(length));
}

/** A copy of `bytes` in such memory. */
export function copySecret(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const copy = secretBytes(bytes.length);
  copy.set(bytes);
  return copy;
}
