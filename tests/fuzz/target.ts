// What a target of the fuzzer is, and how one is run.
import { setImmediate } from "node:timers/promises";
import { mutate, Random } from "./mutate.ts";

/** Something that reads bytes from elsewhere. */
export interface Target {
  readonly name: string;
  /** Inputs that are as they should be; at least one. */
  readonly corpus: () => readonly Uint8Array[];
  /** Pieces of text that mean something to what reads it. */
  readonly tokens?: readonly string[];
  /** Reads the bytes, and throws what `isRefusal` knows if they are not as they should be. Checks what it has read. */
  readonly read: (bytes: Uint8Array) => void;
  readonly isRefusal: (error: unknown) => boolean;
}

/** What came of running a target. */
export interface Result {
  readonly runs: number;
  readonly refused: number;
  /** Bytes that the heap has grown by since the first tenth of the runs. */
  readonly growth: number;
}

/** Bytes that a target does not stand, or takes too long for. */
export class Finding extends Error {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array, cause: unknown) {
    super(`${bytes.length} bytes: ${cause instanceof Error ? cause.stack : cause}`);
    this.bytes = bytes;
  }
}

/** Most milliseconds of one input. */
const PATIENCE_MS = 5000;

/**
 * Reads one input.
 *
 * @returns true if it was refused.
 * @throws {Finding} if anything else was thrown, or if it took too long.
 */
export function runCase({ read, isRefusal }: Target, bytes: Uint8Array): boolean {
  const started = performance.now();
  let refused = false;
  try {
    // Its own copy, as a finding has to show what was read and not what became of it.
    read(bytes.slice());
  } catch (error) {
    if (!isRefusal(error)) throw new Finding(bytes, error);
    refused = true;
  }
  const ms = performance.now() - started;
  if (ms > PATIENCE_MS) throw new Finding(bytes, `it took ${Math.round(ms)} ms`);
  return refused;
}

/**
 * Reads damaged inputs until `isEnough`.
 *
 * @param seed the same seed gives the same inputs in the same order.
 * @param isEnough told how many inputs have been read.
 * @throws {Finding} at the first input that is not refused cleanly.
 */
export async function runTarget(
  target: Target,
  seed: number,
  isEnough: (runs: number) => boolean,
): Promise<Result> {
  const corpus = target.corpus();
  for (const bytes of corpus) {
    if (runCase(target, bytes)) throw new Finding(bytes, "one of the corpus is refused");
  }
  const random = new Random(seed);
  let refused = 0;
  let runs = 0;
  // What is compiled and kept in the first runs is no growth.
  let warm: number | undefined;
  for (; !isEnough(runs); runs++) {
    // What the runtime lets go of between turns of its loop, as streams of zlib, is no growth either.
    if (runs % TURN_RUNS === 0) await setImmediate();
    if (runs === WARM_RUNS) warm = heapBytes();
    if (runCase(target, mutate(corpus, random, target.tokens))) refused++;
  }
  await setImmediate();
  const growth = warm === undefined ? 0 : heapBytes() - warm;
  return { runs, refused, growth };
}

const WARM_RUNS = 2000;
const TURN_RUNS = 500;

function heapBytes(): number {
  Bun.gc(true);
  return process.memoryUsage().heapUsed;
}
