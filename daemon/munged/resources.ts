// Checks system limits before munged starts: the runtime, when short of something, crashes or reports nothing that an
// administrator understands.
import { availableParallelism } from "node:os";
import { MAX_PAYLOAD_LENGTH } from "../../lib/credential/fields.ts";
import { MungeError } from "../../lib/errors.ts";
import { processLimit } from "../../lib/os/cgroup.ts";
import { requireMemory, softLimit } from "../../lib/os/limits.ts";
import { otherTasks } from "../../lib/os/tasks.ts";

const MIB = 1024 * 1024;
/** Memory needed in addition to what munged has by then. */
const BASE_MEMORY = 33 * MIB;
const THREAD_MEMORY = 31 * MIB;
/** Copies of a payload that a thread needs memory for, to seal or open a credential and to keep one for a client. */
export const PAYLOADS_PER_THREAD = 8;
/** Descriptors besides those of the threads, with some for clients. */
const OTHER_DESCRIPTORS = 22;
const THREAD_DESCRIPTORS = 5;
const STACK = 128 * 1024;
/** The runtime's threads besides ours, and the processes needed to go into the background. */
const OTHER_THREADS = 16;

/** More threads per processor than this make nothing faster; but every machine may have at least the second number. */
const THREADS_PER_PROCESSOR = 4;
const MIN_THREAD_CAP = 16;

/** The number of threads to start: as requested, but no more than this machine can use. */
export function usefulThreads(asked: number): number {
  return Math.min(
    asked,
    Math.max(MIN_THREAD_CAP, THREADS_PER_PROCESSOR * availableParallelism()),
  );
}

/**
 * Refuses to start if limits leave too little.
 *
 * @param threads that serve requests.
 * @param maxPayload maximum length of a payload.
 * @throws {MungeError} EMUNGE_NO_MEMORY for memory, EMUNGE_SNAFU for another limit.
 */
export function requireResources(threads: number, maxPayload: number): void {
  const longer = PAYLOADS_PER_THREAD * (maxPayload - MAX_PAYLOAD_LENGTH);
  const memory = BASE_MEMORY + threads * (THREAD_MEMORY + longer);
  requireMemory(memory, `${threads} threads`);
  const descriptors = OTHER_DESCRIPTORS + threads * THREAD_DESCRIPTORS;
  const needs = [
    [
      "descriptors",
      descriptors,
      `ulimit -n must allow ${descriptors} descriptors for ${threads} threads`,
    ],
    ["stack", STACK, `ulimit -s must allow ${STACK / 1024} KiB of stack`],
  ] as const;
  for (const [resource, need, text] of needs) {
    if (softLimit(resource) < need) throw insufficient(text);
  }
  requireProcesses(threads);
}

/** Requires that the limits of the user and of the control group leave enough processes, which includes threads. */
function requireProcesses(threads: number): void {
  const processes = OTHER_THREADS + threads;
  const need = `must allow ${processes} processes for ${threads} threads`;
  // The limit of a user does not apply to root.
  const limit = process.geteuid!() === 0 ? Infinity : softLimit("processes");
  const users = otherTasks(limit - processes);
  if (limit - users < processes) {
    const others = users === 0
      ? ""
      : ` (it is ${limit}, and the user's other processes use ${users})`;
    throw insufficient(`ulimit -u ${need}${others}`);
  }
  const group = processLimit();
  if (group !== null && group.limit - group.used < processes) {
    const others = group.used === 0 ? "" : `, and others use ${group.used}`;
    throw insufficient(`the control group ${need} (pids.max is ${group.limit}${others})`);
  }
}

function insufficient(text: string): MungeError {
  return new MungeError("EMUNGE_SNAFU", `Insufficient resources: ${text}`);
}
