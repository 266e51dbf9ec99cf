// munged's counters. Each worker adds to its own cells, which no other thread writes, so that counting costs an
// addition and no lock; readers add up the workers.
import { ERRORS } from "../../../lib/errors.ts";
import { MESSAGE_TYPE } from "../../../lib/protocol/message.ts";

/** Number of distinct results, one per MUNGE error number. */
const RESULTS = ERRORS.length;
/** Duration buckets are powers of 2 microseconds; the last has everything longer. */
const DURATION_BUCKETS = 24;
/** One request in this many is timed: reading the clock twice costs more than all other counting. */
export const SAMPLING = 16;

const ENCODE = 0;
const DECODE = ENCODE + RESULTS;
const CUT_OFF = DECODE + RESULTS;
const REQUESTS = CUT_OFF + 1;
const DURATION_SUM = REQUESTS + 1;
const DURATIONS = DURATION_SUM + 1;
const SKEW_MAX = DURATIONS + DURATION_BUCKETS;
const LAST_INVALID = SKEW_MAX + 1;
/** A multiple of a cache line, so that workers don't slow each other down. */
const CELLS = Math.ceil((LAST_INVALID + 1) / 8) * 8;
const MICROSECONDS = 1000;

/** The cells of a munged with `workers` workers; the first row is the main thread's. */
export function createCounters(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer((threads + 1) * CELLS * Float64Array.BYTES_PER_ELEMENT);
}

function row(counters: SharedArrayBuffer, number: number): Float64Array {
  return new Float64Array(counters, number * CELLS * Float64Array.BYTES_PER_ELEMENT, CELLS);
}

/** One worker's view of its own cells. */
export class WorkerCounters {
  readonly #cells: Float64Array;
  /** Requests since the last one that was timed. */
  #turn = 0;

  /** @param number of the worker, from 1. */
  constructor(counters: SharedArrayBuffer, number: number) {
    this.#cells = row(counters, number);
  }

  /** Counts an answer to an encode or decode request. */
  answered(type: number, errno: number): void {
    if (type === MESSAGE_TYPE.encodeRequest) this.#cells[ENCODE + errno]!++;
    else if (type === MESSAGE_TYPE.decodeRequest) this.#cells[DECODE + errno]!++;
  }

  /** Counts a client disconnected without an answer. */
  cutOff(): void {
    this.#cells[CUT_OFF]!++;
  }

  /** To be called when a request begins. Returns the time, or 0 if this request is not timed. */
  begin(): number {
    this.#cells[REQUESTS]!++;
    this.#turn = (this.#turn + 1) % SAMPLING;
    return this.#turn === 1 ? performance.now() : 0;
  }

  /** To be called when a timed request has been answered. */
  end(begun: number): void {
    const microseconds = (performance.now() - begun) * MICROSECONDS;
    const bucket = Math.min(DURATION_BUCKETS - 1, Math.ceil(Math.log2(Math.max(1, microseconds))));
    this.#cells[DURATION_SUM]! += microseconds;
    this.#cells[DURATIONS + bucket]!++;
  }

  /** Records how far ahead of this host's clock a rewound credential was. */
  rewound(seconds: number): void {
    if (seconds > this.#cells[SKEW_MAX]!) this.#cells[SKEW_MAX] = seconds;
  }

  /** Records the time of an invalid credential. */
  invalid(time: number): void {
    this.#cells[LAST_INVALID] = time;
  }
}

/** The sums of all counters. */
export interface Totals {
  /** Answers by error number. */
  readonly encode: readonly number[];
  readonly decode: readonly number[];
  readonly cutOff: number;
  /** Requests by worker. */
  readonly workers: readonly number[];
  /** Timed requests by power of 2 microseconds, and their total duration in microseconds. */
  readonly durations: readonly number[];
  readonly durationSum: number;
  /** Seconds by which the most rewound credential was ahead. */
  readonly skewMax: number;
  /** Seconds since the epoch of the last invalid credential; 0 if there was none. */
  readonly lastInvalid: number;
}

/** Adds up all workers. */
export function sumCounters(counters: SharedArrayBuffer): Totals {
  const rows: Float64Array[] = [];
  const threads = counters.byteLength / Float64Array.BYTES_PER_ELEMENT / CELLS - 1;
  for (let number = 1; number <= threads; number++) rows.push(row(counters, number));
  const sum = (cell: number) => rows.reduce((total, cells) => total + cells[cell]!, 0);
  const max = (cell: number) => Math.max(...rows.map((cells) => cells[cell]!));
  const sums = (start: number, length: number) =>
    Array.from({ length }, (_, index) => sum(start + index));
  return {
    encode: sums(ENCODE, RESULTS),
    decode: sums(DECODE, RESULTS),
    cutOff: sum(CUT_OFF),
    workers: rows.map((cells) => cells[REQUESTS]!),
    durations: sums(DURATIONS, DURATION_BUCKETS),
    durationSum: sum(DURATION_SUM),
    skewMax: max(SKEW_MAX),
    lastInvalid: max(LAST_INVALID),
  };
}

/** Keeps the last minute's rate in the main thread's row. */
export class RateMeter {
  readonly #counters: SharedArrayBuffer;
  readonly #own: Float64Array;
  readonly #samples: { at: number; count: number }[] = [];

  constructor(counters: SharedArrayBuffer) {
    this.#counters = counters;
    this.#own = row(counters, 0);
    this.sample();
  }

  /** To be called every few seconds. */
  sample(): void {
    const count = sumCounters(this.#counters).workers.reduce((a, b) => a + b, 0);
    const at = performance.now();
    this.#samples.push({ at, count });
    while (this.#samples.length > 2 && at - this.#samples[0]!.at > 60_000) this.#samples.shift();
    const first = this.#samples[0]!;
    this.#own[0] = at === first.at ? 0 : (count - first.count) / ((at - first.at) / 1000);
  }
}

/** Requests per second during the last minute. */
export function currentRate(counters: SharedArrayBuffer): number {
  return row(counters, 0)[0]!;
}
