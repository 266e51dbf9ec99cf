// What a fuzzing target is, and how to run one.
import { setImmediate } from "node:timers/promises";
import { mutate, Random } from "./mutate.ts";

/** A parser of foreign bytes. */
export interface Target {
  readonly name: string;
  /** Valid inputs; at least one. */
  readonly corpus: () => readonly Uint8Array[];
  /** Texts with a meaning to the parser. */
  readonly tokens?: readonly string[];
  /** Parses the bytes and checks the result. For invalid bytes it throws an error that `isRefusal` accepts. */
  readonly read: (bytes: Uint8Array) => void;
  readonly isRefusal: (error: unknown) => boolean;
}

/** The outcome of running a target. */
export interface Result {
  readonly runs: number;
  readonly refused: number;
  /** Heap growth in bytes since the first tenth of the runs. */
  readonly growth: number;
}

/** An input that a target fails on, or takes too long for. */
export class Finding extends Error {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array, cause: unknown) {
    super(`${bytes.length} bytes: ${cause instanceof Error ? cause.stack : cause}`);
    this.bytes = bytes;
  }
}

/** Maximum milliseconds per input. */
const PATIENCE_MS = 30_000;

/**
 * Runs one input.
 *
 * @returns true if it was refused.
 * @throws {Finding} if it threw anything else or took too long.
 */
export function runCase({ read, isRefusal }: Target, bytes: Uint8Array): boolean {
  const started = performance.now();
  let refused = false;
  try {
    // A copy, because a finding has to show the original input.
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
 * Runs damaged inputs until `isEnough`.
 *
 * @param seed the same seed gives the same inputs in the same order.
 * @param isEnough called with the number of inputs so far.
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
  // Code compiled in the first runs does not count as growth.
  let warm: number | undefined;
  for (; !isEnough(runs); runs++) {
    // Neither does memory that the runtime releases between turns of its event loop, such as zlib streams.
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
