// What the library's tests share: many calls at once, and the errors with which calls end.
import assert from "node:assert/strict";
import { ERRNO, LibraryError, MungeError } from "../../mod.ts";

/** A payload as text. */
export const text = (payload: Uint8Array): string => new TextDecoder().decode(payload);

/** The results of `make` for 0 to `count` - 1. */
export const times = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));

/** The MungeError with which a call ends. */
export async function errorOf(call: Promise<unknown> | (() => unknown)): Promise<MungeError> {
  try {
    await (typeof call === "function" ? call() : call);
  } catch (error) {
    assert.ok(error instanceof MungeError, String(error));
    if (!(error instanceof LibraryError)) assert.equal(error.errno, ERRNO[error.code]);
    return error;
  }
  assert.fail("no error");
}

/** Fails unless a call ends with this error, which it returns. */
export async function assertRefused(
  code: MungeError["code"],
  message: string | RegExp,
  call: Promise<unknown> | (() => unknown),
): Promise<MungeError> {
  const error = await errorOf(call);
  assert.equal(error.code, code, error.message);
  if (typeof message === "string") assert.equal(error.message, message);
  else assert.match(error.message, message);
  return error;
}
