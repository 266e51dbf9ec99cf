// A thread of replay_test.ts: decodes credentials one after the other, until munged no longer answers, and marks
// those that were accepted.
import { parentPort, workerData } from "node:worker_threads";
import { BlockingClient } from "../../lib/client/blocking_client.ts";

/** What a thread starts with. */
export interface Decoding {
  readonly socket: string;
  readonly credentials: readonly Uint8Array[];
  /** The thread takes credentials `first`, `first + step` and so on. */
  readonly first: number;
  readonly step: number;
  /** A byte per credential: 1 for one that was accepted. */
  readonly accepted: SharedArrayBuffer;
}

const { socket, credentials, first, step, accepted } = workerData as Decoding;
const marks = new Uint8Array(accepted);
const client = new BlockingClient(socket);
try {
  for (let i = first; i < credentials.length; i += step) {
    if (client.decode({ credential: credentials[i]! }).errno === 0) marks[i] = 1;
  }
} catch {
  // munged was killed
}
parentPort!.postMessage("done");
