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
  /** How many times a thread has reached a credential, over all credentials. */
  readonly arrivals: SharedArrayBuffer;
  /** For each credential, how many clients got success, a replay, and anything else. */
  readonly outcomes: SharedArrayBuffer;
}

const { socket, requests, clients, threads, ...shared } = workerData as Race;
const arrivals = new Int32Array(shared.arrivals);
const outcomes = new Int32Array(shared.outcomes);
const answer = new Uint8Array(fixedMemory(4096));
const address: number = ptr(answer);

/** Waits until all threads have reached this point. */
function meet(round: number): void {
  const all = (round + 1) * threads;
  if (Atomics.add(arrivals, 0, 1) + 1 === all) Atomics.notify(arrivals, 0);
  for (let seen; (seen = Atomics.load(arrivals, 0)) < all;) Atomics.wait(arrivals, 0, seen, 1000);
}

requests.forEach((request, index) => {
  meet(index);
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
});
parentPort!.postMessage("done");
