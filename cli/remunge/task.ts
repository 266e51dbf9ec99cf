// What remunge and its workers have in common: the task, the counters and the format of report lines.
import type { EncodeRequest } from "../../lib/protocol/message.ts";
import { formatLocalTime } from "../../lib/os/local_time.ts";
import { print } from "../command_line/print.ts";

/** A worker's task. */
export interface WorkerTask {
  readonly request: EncodeRequest;
  readonly decode: boolean;
  readonly socket: string;
  /** Maximum number of credentials made by all workers together. */
  readonly limit: bigint;
  /** Seconds that a request may take without a warning. */
  readonly warnTime: number;
  readonly quiet: boolean;
  /** See {@linkcode COUNTER} and {@linkcode STATE}. */
  readonly counters: BigInt64Array;
  readonly state: Int32Array;
}

/** The counters, over all workers. */
export const COUNTER = { begun: 0, done: 1, encodeErrors: 2, decodeErrors: 3 } as const;
/** The state of the run, in `state[0]`: the workers wait for running and end at stopped. */
export const STATE = { waiting: 0, running: 1, stopped: 2 } as const;

/** A report line, after the time of day. */
export function printLine(text: string): void {
  print(`${formatLocalTime(Math.floor(Date.now() / 1000), "%Y-%m-%d %H:%M:%S")} ${text}\n`);
}
