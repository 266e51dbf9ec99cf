// munged's memory under the limit of a control group, such as a container's: the kernel kills a process that exceeds it, so
// the limit decides how much munged keeps for clients and, in a container, its number of threads.
import { MAX_PAYLOAD_LENGTH } from "../../lib/credential/fields.ts";
import { memoryLimit, processorLimit } from "../../lib/os/cgroup.ts";
import { PAYLOADS_PER_THREAD } from "./resources.ts";

const MIB = 1024 * 1024;
/** Memory that munged needs under load, with a health check beside it: the kernel never killed it in tests with this much. */
const BASE = 46 * MIB;
const THREAD = 12 * MIB;

/** Maximum number of bytes that munged keeps for clients that are slow to send or to read. */
const MAX_PARKED_BYTES = 12 * MIB;
/** Memory needed for each of these bytes, because buffers grow by doubling. */
const PARKED_SHARE = 2;

/** More threads than this do not serve the clients of one host faster. */
const MAX_CHOSEN_THREADS = 4;

/** The lowest memory limit under which a number of threads is safe, in bytes. */
export function neededMemory(threads: number, maxPayload: number): number {
  return BASE + threads * (THREAD + PAYLOADS_PER_THREAD * (maxPayload - MAX_PAYLOAD_LENGTH));
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / MIB)} MiB`;
}

/** A number of threads, and why it was chosen. */
export interface Choice {
  readonly threads: number;
  readonly reason: string;
}

/**
 * As many threads as the processors can keep busy and the memory allows, at least one.
 *
 * @param maxPayload maximum length of a payload.
 */
export function chooseThreads(maxPayload: number): Choice {
  const processors = processorLimit();
  const memory = memoryLimit();
  const thread = neededMemory(1, maxPayload) - neededMemory(0, maxPayload);
  const fitting = Math.floor((memory - neededMemory(0, maxPayload)) / thread);
  const threads = Math.max(1, Math.min(Math.ceil(processors), fitting, MAX_CHOSEN_THREADS));
  const share = Math.round(processors * 100) / 100;
  return {
    threads,
    reason: `${share} processor${share === 1 ? "" : "s"} and ${mebibytes(memory)} of memory`,
  };
}

/** The warning if a number of threads may exceed the memory limit; null if they fit. */
export function memoryWarning(threads: number, maxPayload: number): string | null {
  const limit = memoryLimit();
  const need = neededMemory(threads, maxPayload);
  if (need <= limit) return null;
  const { threads: fewer } = chooseThreads(maxPayload);
  const advice = fewer < threads ? `; --num-threads=${fewer} needs less` : "";
  return `The kernel may kill munged: ${threads} thread${threads === 1 ? "" : "s"} can take ` +
    `${mebibytes(need)} of memory under load, and the limit is ${mebibytes(limit)}${advice}`;
}

/** Maximum number of bytes of clients' unfinished requests and answers that munged may keep. */
export function parkedBytes(threads: number, maxPayload: number): number {
  const spare = memoryLimit() - neededMemory(threads, maxPayload);
  return Math.min(MAX_PARKED_BYTES, Math.max(0, Math.floor(spare / PARKED_SHARE)));
}
