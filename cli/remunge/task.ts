// What remunge and its workers share: the task, the counters and the form of a line of the report.
import type { EncodeRequest } from "../../lib/protocol/message.ts";
import { formatLocalTime } from "../../lib/os/local_time.ts";
import { print } from "../command_line/print.ts";

/** What a worker is to do. */
export interface WorkerTask {
  readonly request: EncodeRequest;
  readonly decode: boolean;
  readonly socket: string;
  /** Number of credentials that all workers together make at most. */
  readonly limit: bigint;
  /** Seconds that one request may take without a word about it. */
  readonly warnTime: number;
  readonly quiet: boolean;
  /** See {@linkcode COUNTER} and {@linkcode STATE}. */
  readonly counters: BigInt64Array;
  readonly state: Int32Array;
}

/** What the counters count, over all workers. */
export const COUNTER = { begun: 0, done: 1, encodeErrors: 2, decodeErrors: 3 } as const;
/** How far the run is, in `state[0]`: the workers wait for running and end at stopped. */
export const STATE = { waiting: 0, running: 1, stopped: 2 } as const;

/** A line of the report, behind the time of day. */
export function printLine(text: string): void {
  print(`${formatLocalTime(Math.floor(Date.now() / 1000), "%Y-%m-%d %H:%M:%S")} ${text}\n`);
}
