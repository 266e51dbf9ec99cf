// Counts of questions to the store by outcome, for the status and the metrics. Only the store's thread writes this memory.

const BUCKETS = 24;
const CELL = {
  fresh: 0,
  replayed: 1,
  unavailable: 2,
  tooOld: 3,
  /** Whether the store is reachable. */
  reachable: 4,
  /** Connections made. */
  connects: 5,
  durationSum: 6,
  durations: 7,
} as const;
const CELLS = CELL.durations + BUCKETS;
const MICROSECONDS = 1000;

/** Memory with nothing counted yet. */
export function createStoreFigures(): SharedArrayBuffer {
  return new SharedArrayBuffer(CELLS * Float64Array.BYTES_PER_ELEMENT);
}

/** The writer's view. */
export class StoreFigures {
  readonly #cells: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new Float64Array(memory);
  }

  /** Counts an answer. @param milliseconds since the question. */
  answered(verdict: number, milliseconds: number): void {
    const microseconds = milliseconds * MICROSECONDS;
    const bucket = Math.min(BUCKETS - 1, Math.ceil(Math.log2(Math.max(1, microseconds))));
    this.#cells[verdict]!++;
    this.#cells[CELL.durationSum]! += microseconds;
    this.#cells[CELL.durations + bucket]!++;
  }

  /** Counts a connection. */
  connected(): void {
    this.#cells[CELL.connects]!++;
  }

  /** Records whether the store is reachable. */
  reachable(is: boolean): void {
    this.#cells[CELL.reachable] = is ? 1 : 0;
  }
}

/** A reader's view. */
export interface StoreTotals {
  readonly reachable: boolean;
  readonly connects: number;
  readonly fresh: number;
  readonly replayed: number;
  readonly unavailable: number;
  readonly tooOld: number;
  /** Total duration of all questions in microseconds, and their number by power of 2 microseconds. */
  readonly durationSum: number;
  readonly durations: readonly number[];
}

/** Reads the figures. */
export function storeTotals(memory: SharedArrayBuffer): StoreTotals {
  const cells = new Float64Array(memory);
  return {
    reachable: cells[CELL.reachable] === 1,
    connects: cells[CELL.connects]!,
    fresh: cells[CELL.fresh]!,
    replayed: cells[CELL.replayed]!,
    unavailable: cells[CELL.unavailable]!,
    tooOld: cells[CELL.tooOld]!,
    durationSum: cells[CELL.durationSum]!,
    durations: [...cells.subarray(CELL.durations, CELL.durations + BUCKETS)],
  };
}
