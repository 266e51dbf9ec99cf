// One thread of remunge: requests credentials one after another until told to stop.
import { parentPort, workerData } from "node:worker_threads";
import { printable } from "../../lib/printable.ts";
import { errorCode, errorText, MungeError } from "../../lib/errors.ts";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { encodeTransaction, type Transaction } from "../../lib/protocol/transaction.ts";
import { COUNTER, printLine, STATE, type WorkerTask } from "./task.ts";

type Step = "encoding" | "decoding";

function work(task: WorkerTask): void {
  const { counters, state, limit } = task;
  parentPort?.postMessage("ready");
  Atomics.wait(state, 0, STATE.waiting);
  let client: BlockingClient | undefined;
  const encoding = prepared(encodeTransaction(task.request));
  while (Atomics.load(state, 0) === STATE.running) {
    const number = Atomics.add(counters, COUNTER.begun, 1n) + 1n;
    if (number > limit) break;
    let step: Step = "encoding";
    try {
      // Created here, because a path that no socket can have is an error of each credential.
      client ??= new BlockingClient(task.socket);
      let start = performance.now();
      const encoded = client.transact(encoding);
      checkResponse(task, number, step, start, encoded);
      if (task.decode) {
        step = "decoding";
        const credential = encoded.credential.slice(); // the answer arrives in the same buffer
        start = performance.now();
        const decoded = client.decode({ credential });
        checkResponse(task, number, step, start, decoded);
      }
      Atomics.add(counters, COUNTER.done, 1n);
    } catch (error) {
      if (!(error instanceof MungeError)) throw error;
      const counter = step === "encoding" ? COUNTER.encodeErrors : COUNTER.decodeErrors;
      Atomics.add(counters, counter, 1n);
      if (!task.quiet) {
        printLine(`Credential #${number} ${step} failed: ${error.message} (err=${error.errno})`);
      }
    }
  }
}

/** A transaction whose message is made once, for every run of it. */
function prepared<Response>(transaction: Transaction<Response>): Transaction<Response> {
  let message: Uint8Array | undefined;
  const format = (retry: number) =>
    retry === 0 ? message ??= transaction.format(0) : transaction.format(retry);
  return { ...transaction, format };
}

/** Turns an error in an answer into a MungeError, and warns if the answer took long. */
function checkResponse(
  { warnTime, quiet }: WorkerTask,
  number: bigint,
  step: Step,
  start: number,
  response: { readonly errno: number; readonly errorText: string },
): void {
  const seconds = (performance.now() - start) / 1000;
  if (seconds >= warnTime && !quiet) {
    printLine(`Credential #${number} ${step} took ${seconds.toFixed(3)} seconds`);
  }
  if (response.errno !== 0) {
    // For encoding, the reference reports no other error.
    const code = step === "encoding" ? "EMUNGE_SNAFU" : errorCode(response.errno);
    throw new MungeError(code, printable(response.errorText) || errorText(response.errno));
  }
}

work(workerData as WorkerTask);
parentPort?.postMessage("done");
