// Memory for keys, outside the engine's heap, so that nothing moves or copies it. It is not in core dumps, is zeroed in child
// processes, and is never swapped out if the limit on locked memory allows that.
import { mapMemory } from "./anonymous_memory.ts";
import { FFIType, openLibc, type Pointer, ptr, SystemError, toArrayBuffer } from "./libc.ts";

/** Advice for memory with secrets: MADV_DONTDUMP and MADV_WIPEONFORK, MADV_NOCORE; macOS dumps no core by default. */
const ADVICE = ({ linux: [16, 18], freebsd: [8] } as Record<string, number[]>)[process.platform] ??
  [];

const { i32, u64, ptr: pointer } = FFIType;

function openSecretMemory() {
  return openLibc({
    madvise: { args: [pointer, u64, i32], returns: i32 },
    mlock: { args: [pointer, u64], returns: i32 },
    munmap: { args: [pointer, u64], returns: i32 },
  });
}

let opened: ReturnType<typeof openSecretMemory> | undefined;
function libc() {
  return opened ??= openSecretMemory();
}

/** A secret that all threads of the process can read by its address. */
export interface SharedSecret {
  readonly address: number;
  readonly length: number;
}

/**
 * New zeroed memory in separate pages.
 *
 * @param warn receives the reason if it can't be locked and may be swapped out.
 * @throws {SystemError} ENOMEM.
 */
export function newSecret(length: number, warn: (reason: SystemError) => void): Uint8Array {
  const { madvise, mlock } = libc();
  const address = mapMemory(length);
  for (const advice of ADVICE) madvise(address as Pointer, length, advice); // Linux before 4.14 lacks the second
  if (mlock(address as Pointer, length) < 0) warn(new SystemError("mlock"));
  return secretAt({ address, length });
}

/** The bytes of a secret, in this or another thread; never post them, because posting copies them. */
export function secretAt({ address, length }: SharedSecret): Uint8Array {
  return new Uint8Array(toArrayBuffer(address as Pointer, 0, length));
}

/** How other threads find bytes from {@linkcode newSecret}. */
export function shareSecret(bytes: Uint8Array): SharedSecret {
  return { address: ptr(bytes), length: bytes.length };
}

/** Wipes a secret and frees its memory; no thread may use it afterwards. */
export function freeSecret(secret: SharedSecret): void {
  secretAt(secret).fill(0);
  libc().munmap(secret.address as Pointer, secret.length);
}
