// Machine instructions of the runtime, and replacements of the same length; each is found by the instructions around it.

/** Instructions in hexadecimal, and what replaces them. */
export interface Replacement {
  readonly found: string;
  readonly wanted: string;
}

/** A replacement for each architecture. */
export interface Replacements {
  readonly x64: Replacement;
  readonly arm64: Replacement;
}

/**
 * The allocator's scavenger thread is woken when there is memory to give back, and also wakes up by itself as a precaution.
 * It converts milliseconds to seconds by a multiplication that is exact only up to the values given here: on x64 for 16 bits
 * of an eighth, on arm64 for 13 bits.
 */
const SCAVENGER_SLEEP: Replacements = {
  x64: {
    found: "b930750000" + "e996000000", // mov ecx, 30000; jmp
    wanted: "b9e0fe0700" + "e996000000", // 524000
  },
  arm64: {
    found: "08a68e52" + "2f000014" + "1f2003d5", // mov w8, 30000; b; nop
    wanted: "08bd9f52" + "2f000014" + "1f2003d5", // 65000
  },
};

/** Lets the allocator's thread sleep for longer, so that it does not wake up an idle daemon twice a minute. */
export function letScavengerSleep(runtime: Buffer, architecture: keyof Replacements): void {
  replaceCode(runtime, SCAVENGER_SLEEP[architecture], [1], "lets its scavenger sleep for 30 s");
}

/**
 * Replaces instructions, in place.
 *
 * @param times how many times they may occur.
 * @param what the runtime does with them, for the error.
 * @throws {Error} if they occur more or less often.
 */
export function replaceCode(
  runtime: Buffer,
  replacement: Replacement,
  times: readonly number[],
  what: string,
): void {
  const found = Buffer.from(replacement.found, "hex");
  const wanted = Buffer.from(replacement.wanted, "hex");
  let places = 0;
  for (let at = runtime.indexOf(found); at >= 0; at = runtime.indexOf(found, at)) {
    wanted.copy(runtime, at);
    places++;
  }
  if (!times.includes(places)) throw new Error(`The runtime ${what} in ${places} places`);
}
