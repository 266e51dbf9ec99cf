// A thread of replay_test.ts: several clients that decode the same credential at the same time, in step with other such
// threads, one credential after another.
import { parentPort, workerData } from "node:worker_threads";
import { ERRNO } from "../../lib/errors.ts";
import { fixedMemory, ptr } from "../../lib/os/libc.ts";
import { close, receive } from "../../lib/os/socket.ts";
import { HEADER_LENGTH } from "../../lib/protocol/message.ts";
import { connect, sendSome } from "./connection.ts";

/** The arguments of a thread. */
export interface Race {
  readonly socket: string;
  /** Decode requests, as complete messages. */
  readonly requests: readonly Uint8Array[];
  /** Number of connections of this thread. */
  readonly clients: number;
  readonly threads: number;
  /** Two words: how many times a thread has reached a credential, over all credentials; and the first one to leave out. */
  readonly progress: SharedArrayBuffer;
  /** For how long to begin with further credentials. */
  readonly milliseconds: number;
  /** For each credential, how many clients got success, a replay, and anything else. */
  readonly outcomes: SharedArrayBuffer;
}

const { socket, requests, clients, threads, milliseconds, ...shared } = workerData as Race;
const progress = new Int32Array(shared.progress);
const [ARRIVALS, END] = [0, 1];
const deadline = performance.now() + milliseconds;
const outcomes = new Int32Array(shared.outcomes);
const answer = new Uint8Array(fixedMemory(4096));
const address: number = ptr(answer);

/** Waits until all threads have reached this point. Returns whether to go on, the same in all of them. */
function meet(round: number): boolean {
  const all = (round + 1) * threads;
  if (Atomics.add(progress, ARRIVALS, 1) + 1 === all) {
    // Not this round, which the others may have begun.
    if (performance.now() > deadline) Atomics.compareExchange(progress, END, 0, round + 1);
    Atomics.notify(progress, ARRIVALS);
  }
  for (let seen; (seen = Atomics.load(progress, ARRIVALS)) < all;) {
    Atomics.wait(progress, ARRIVALS, seen, 1000);
  }
  const end = Atomics.load(progress, END);
  return end === 0 || round < end;
}

for (const [index, request] of requests.entries()) {
  if (!meet(index)) break;
  const fds = Array.from({ length: clients }, () => {
    const fd = connect(socket, 0);
    sendSome(fd, request);
    return fd;
  });
  for (const fd of fds) {
    const count = receive(fd, address, answer.length);
    close(fd);
    const errno = count > HEADER_LENGTH ? answer[HEADER_LENGTH] : undefined;
    const outcome = errno === 0 ? 0 : errno === ERRNO.EMUNGE_CRED_REPLAYED ? 1 : 2;
    Atomics.add(outcomes, index * 3 + outcome, 1);
  }
}
parentPort!.postMessage("done");
