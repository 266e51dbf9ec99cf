// One thread of remunge: asks munged for credentials one after the other until told to stop.
import { parentPort, workerData } from "node:worker_threads";
import { errorCode, errorText, MungeError } from "../lib/errors.ts";
import { BlockingClient } from "../lib/os/blocking_client.ts";
import { COUNTER, printLine, STATE, type WorkerTask } from "./remunge_task.ts";

function work(task: WorkerTask): void {
  const { counters, state, limit } = task;
  parentPort?.postMessage("ready");
  Atomics.wait(state, 0, STATE.waiting);
  let client: BlockingClient | undefined;
  while (Atomics.load(state, 0) === STATE.running) {
    const number = Atomics.add(counters, COUNTER.begun, 1n) + 1n;
    if (number > limit) break;
    let step: "encoding" | "decoding" = "encoding";
    try {
      // Made here, for a path that no socket can have is an error of each credential.
      client ??= new BlockingClient(task.socket);
      const connection = client;
      const { credential } = timed(task, number, step, () => connection.encode(task.request));
      if (task.decode) {
        step = "decoding";
        const copy = credential.slice(); // the answer arrives in the same buffer
        timed(task, number, step, () => connection.decode({ credential: copy }));
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

/** Runs one request, turns an error in its answer into a MungeError, and tells if it took long. */
function timed<Response extends { errno: number; errorText: string }>(
  { warnTime, quiet }: WorkerTask,
  number: bigint,
  step: string,
  transact: () => Response,
): Response {
  const start = performance.now();
  const response = transact();
  const seconds = (performance.now() - start) / 1000;
  if (seconds >= warnTime && !quiet) {
    printLine(`Credential #${number} ${step} took ${seconds.toFixed(3)} seconds`);
  }
  if (response.errno !== 0) {
    // The reference knows of no error of encoding but this one.
    const code = step === "encoding" ? "EMUNGE_SNAFU" : errorCode(response.errno);
    throw new MungeError(code, response.errorText || errorText(response.errno));
  }
  return response;
}

work(workerData as WorkerTask);
parentPort?.postMessage("done");
