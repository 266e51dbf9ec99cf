// encodeMany(): many credentials in one pass, as many at a time as a connection carries.
import { MungeError } from "../errors.ts";
import { copyOf } from "./arguments.ts";
import { encode, type EncodeOptions } from "./encode.ts";
import { timerDelay, withDeadline } from "./time_limit.ts";

/** As many as munged takes over one connection before it answers. */
const MAX_IN_FLIGHT = 64;

/**
 * Asks munged for many credentials in one pass, which takes a fraction of the time of as many calls one after another.
 *
 * @param payloads the payload of each credential, or how many credentials to make without a payload.
 * @param options properties of all credentials, and how long to wait for all of them.
 * @returns the credentials, in the order of their payloads.
 * @throws {MungeError} as {@linkcode encode} does, for the first credential that munged does not make; `EMUNGE_BAD_ARG` for an
 * invalid number.
 * @throws the signal's reason once it is aborted.
 *
 * @example
 * ```ts
 * import { encodeMany } from "mungebox";
 *
 * const credentials = await encodeMany(10_000, { ttl: 60 });
 * console.log(new Set(credentials).size); // 10000
 * ```
 */
export async function encodeMany(
  payloads: number | readonly (string | Uint8Array)[],
  options: EncodeOptions = {},
): Promise<string[]> {
  const count = typeof payloads === "number" ? payloads : payloads.length;
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new MungeError("EMUNGE_BAD_ARG", `Invalid number of credentials ${count}`);
  }
  // Copied now, because most are sent later, and the caller may reuse its buffers before that.
  const own = typeof payloads === "number" ? payloads : payloads.map(copyOf);
  const { timeoutMs, signal, ...rest } = options;
  const limitMs = timerDelay(timeoutMs);
  const run = (signal: AbortSignal | undefined) =>
    makeAll(own, count, { ...rest, ...(signal === undefined ? {} : { signal }) });
  return limitMs === undefined ? await run(signal) : await withDeadline(limitMs, run, signal);
}

async function makeAll(
  payloads: number | readonly (string | Uint8Array)[],
  count: number,
  options: EncodeOptions,
): Promise<string[]> {
  options.signal?.throwIfAborted();
  const credentials: string[] = [];
  let next = 0;
  let hasFailed = false;
  const make = async () => {
    while (next < count && !hasFailed) {
      const index = next++;
      const payload = typeof payloads === "number" ? "" : payloads[index]!;
      credentials[index] = await encode(payload, options);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(count, MAX_IN_FLIGHT) }, make));
  } finally {
    hasFailed = true; // or all are made
  }
  return credentials;
}
