// munged's counters. Each worker adds to its own cells, which no other thread writes, so that counting costs an
// addition and no lock; readers add up the workers.
import { CIPHERS } from "../../../lib/credential/cipher.ts";
import { MACS } from "../../../lib/credential/mac.ts";
import { ZIPS } from "../../../lib/credential/zip.ts";
import { ERRORS } from "../../../lib/errors.ts";
import { MESSAGE_TYPE } from "../../../lib/protocol/message.ts";
import type { Direction } from "../config.ts";
import { sharedTime } from "../../process/shared_clock.ts";

/** Number of distinct results, one per MUNGE error number. */
const RESULTS = ERRORS.length;
/** Duration buckets are powers of 2 microseconds; the last has everything longer. */
const DURATION_BUCKETS = 24;
/** One request in this many is timed: reading the clock twice costs more than all other counting. */
export const SAMPLING_INTERVAL = 16;

/** The rules by which a policy refuses requests. */
const POLICY_RULES = ["client", "cipher", "mac", "zip", "origin"] as const;
export type PolicyRule = typeof POLICY_RULES[number];
const DIRECTIONS: readonly Direction[] = ["encode", "decode"];

const ENCODE = 0;
const DECODE = ENCODE + RESULTS;
const CUT_OFF = DECODE + RESULTS;
const REQUESTS = CUT_OFF + 1;
const DURATION_SUM = REQUESTS + 1;
const DURATIONS = DURATION_SUM + 1;
const SKEW_MAX = DURATIONS + DURATION_BUCKETS;
const LAST_INVALID = SKEW_MAX + 1;
/** Requests of the last minute, in slices of a few seconds, and the slice that each cell holds. */
const SLICES = 12;
const SLICE_MS = 60_000 / SLICES;
const RECENT = LAST_INVALID + 1;
const RECENT_SLICE = RECENT + SLICES;
/** Types used, and refusals by policy, both for encodes and then for decodes. */
const TYPES = CIPHERS.length * MACS.length;
const TYPES_USED = RECENT_SLICE + SLICES;
const ZIPS_USED = TYPES_USED + DIRECTIONS.length * TYPES;
const REFUSED = ZIPS_USED + DIRECTIONS.length * ZIPS.length;
/** Connections kept at present, requests over kept connections, and clients whose connection could not be kept. */
const KEPT_CONNECTIONS = REFUSED + DIRECTIONS.length * POLICY_RULES.length;
const KEPT_REQUESTS = KEPT_CONNECTIONS + 1;
const NOT_KEPT = KEPT_REQUESTS + 1;
const END = NOT_KEPT + 1;
/** A multiple of a cache line, so that workers don't slow each other down. */
const CELLS = Math.ceil(END / 8) * 8;
const MICROSECONDS = 1000;

/** Cells for a munged with this many workers. */
export function createCounters(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * CELLS * Float64Array.BYTES_PER_ELEMENT);
}

/** The cells of a worker, numbered from 1. */
function row(counters: SharedArrayBuffer, number: number): Float64Array {
  return new Float64Array(counters, (number - 1) * CELLS * Float64Array.BYTES_PER_ELEMENT, CELLS);
}

/** The cells of all workers. */
function rows(counters: SharedArrayBuffer): Float64Array[] {
  const workers = counters.byteLength / Float64Array.BYTES_PER_ELEMENT / CELLS;
  return Array.from({ length: workers }, (_, index) => row(counters, index + 1));
}

/** The slice that contains a time of this thread's clock. */
function sliceAt(now: number): number {
  return Math.floor(sharedTime(now) / SLICE_MS);
}

/** One worker's view of its own cells. */
export class WorkerCounters {
  readonly #cells: Float64Array;
  /** Requests since the last one that was timed. */
  #turn = 0;

  /** @param number of the worker, from 1. */
  constructor(counters: SharedArrayBuffer, number: number) {
    this.#cells = row(counters, number);
    this.#cells[KEPT_CONNECTIONS] = 0; // left by the number's last holder
  }

  /** Counts an answer to an encode or decode request. */
  answered(type: number, errno: number): void {
    if (type === MESSAGE_TYPE.encodeRequest) this.#cells[ENCODE + errno]!++;
    else if (type === MESSAGE_TYPE.decodeRequest) this.#cells[DECODE + errno]!++;
  }

  /** Counts the types of a credential. */
  used(direction: Direction, cipher: number, mac: number, zip: number): void {
    const number = direction === "encode" ? 0 : 1;
    this.#cells[TYPES_USED + number * TYPES + cipher * MACS.length + mac]!++;
    this.#cells[ZIPS_USED + number * ZIPS.length + zip]!++;
  }

  /** Counts a request that the policy refuses. */
  refusedByPolicy(direction: Direction, rule: PolicyRule): void {
    const number = DIRECTIONS.indexOf(direction);
    this.#cells[REFUSED + number * POLICY_RULES.length + POLICY_RULES.indexOf(rule)]!++;
  }

  /** Counts requests towards the rate of the minute that ends with `now`. */
  recent(now: number, requests: number): void {
    const cells = this.#cells;
    const slice = sliceAt(now);
    const at = slice % SLICES;
    if (cells[RECENT_SLICE + at] !== slice) {
      cells[RECENT + at] = 0;
      cells[RECENT_SLICE + at] = slice;
    }
    cells[RECENT + at]! += requests;
  }

  /** Counts a client disconnected without an answer. */
  cutOff(): void {
    this.#cells[CUT_OFF]!++;
  }

  /** Records the number of kept connections. */
  kept(connections: number): void {
    this.#cells[KEPT_CONNECTIONS] = connections;
  }

  /** Counts a request over a kept connection. */
  overKept(): void {
    this.#cells[KEPT_REQUESTS]!++;
  }

  /** Counts a client whose connection could not be kept. */
  notKept(): void {
    this.#cells[NOT_KEPT]!++;
  }

  /** Call it when a request begins. Returns the time, or 0 if this request is not timed. */
  begin(): number {
    this.#cells[REQUESTS]!++;
    this.#turn = (this.#turn + 1) % SAMPLING_INTERVAL;
    return this.#turn === 1 ? performance.now() : 0;
  }

  /** Call it when a timed request has been answered. */
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
  readonly kept: {
    readonly connections: number;
    readonly requests: number;
    readonly refused: number;
  };
  /** Requests by worker. */
  readonly workers: readonly number[];
  /** Timed requests by power of 2 microseconds, and their total duration in microseconds. */
  readonly durations: readonly number[];
  readonly durationSum: number;
  /** Seconds by which the most rewound credential was ahead. */
  readonly skewMax: number;
  /** Seconds since the epoch of the last invalid credential; 0 if there was none. */
  readonly lastInvalid: number;
  readonly used: Readonly<Record<Direction, TypesUsed>>;
  readonly refused: Readonly<Record<Direction, Readonly<Record<PolicyRule, number>>>>;
}

/** Credentials by their types. */
export interface TypesUsed {
  /** By cipher and MAC; only combinations that occurred. */
  readonly types: readonly {
    readonly cipher: string;
    readonly mac: string;
    readonly count: number;
  }[];
  /** By compression; for an encode, the requested one. */
  readonly zips: readonly { readonly zip: string; readonly count: number }[];
}

/** Adds up all workers. */
export function sumCounters(counters: SharedArrayBuffer): Totals {
  const workers = rows(counters);
  const sum = (cell: number) => workers.reduce((total, cells) => total + cells[cell]!, 0);
  const max = (cell: number) => Math.max(...workers.map((cells) => cells[cell]!));
  const sums = (start: number, length: number) =>
    Array.from({ length }, (_, index) => sum(start + index));
  return {
    encode: sums(ENCODE, RESULTS),
    decode: sums(DECODE, RESULTS),
    cutOff: sum(CUT_OFF),
    kept: {
      connections: sum(KEPT_CONNECTIONS),
      requests: sum(KEPT_REQUESTS),
      refused: sum(NOT_KEPT),
    },
    workers: workers.map((cells) => cells[REQUESTS]!),
    durations: sums(DURATIONS, DURATION_BUCKETS),
    durationSum: sum(DURATION_SUM),
    skewMax: max(SKEW_MAX),
    lastInvalid: max(LAST_INVALID),
    used: byDirection((number) => ({
      types: sums(TYPES_USED + number * TYPES, TYPES).map((count, at) => ({
        cipher: CIPHERS[Math.floor(at / MACS.length)]!.name,
        mac: MACS[at % MACS.length]!.name,
        count,
      })).filter(({ count }) => count > 0),
      zips: sums(ZIPS_USED + number * ZIPS.length, ZIPS.length).map((count, at) => ({
        zip: ZIPS[at]!.name,
        count,
      })).filter(({ count }) => count > 0),
    })),
    refused: byDirection((number) => {
      const counts = sums(REFUSED + number * POLICY_RULES.length, POLICY_RULES.length);
      const named = POLICY_RULES.map((rule, at) => [rule, counts[at]!] as const);
      return Object.fromEntries(named) as Record<PolicyRule, number>;
    }),
  };
}

/** @param of returns a direction's value by its number. */
function byDirection<T>(of: (number: number) => T): Record<Direction, T> {
  return { encode: of(0), decode: of(1) };
}

/**
 * Requests per second during the last minute.
 *
 * @param uptime seconds that munged has run, if it is less than that.
 */
export function currentRate(counters: SharedArrayBuffer, uptime: number): number {
  const oldest = sliceAt(performance.now()) - SLICES + 1;
  let requests = 0;
  for (const cells of rows(counters)) {
    for (let at = 0; at < SLICES; at++) {
      if (cells[RECENT_SLICE + at]! >= oldest) requests += cells[RECENT + at]!;
    }
  }
  return requests / Math.min(60, Math.max(1, uptime));
}
