// Threads for the engine, started before their settings are known, so that their code is loaded by the time these arrive.
// They use the global Worker, because threads of node:worker_threads take three times as long to start.
import { threadFile } from "../../../lib/os/thread_file.ts";

/** The code of each thread. */
export const WORKER_FILE = threadFile("daemon/munged/serve/worker.ts");

const warmWorkers: Worker[] = [];

/** Starts threads that wait for their settings. */
export function warmUp(threads: number): void {
  for (let i = 0; i < threads; i++) warmWorkers.push(new Worker(WORKER_FILE));
}

/** A thread that runs `file` and waits for its settings: one started earlier, or a new one. */
export function takeWorker(file: URL): Worker {
  return (file === WORKER_FILE ? warmWorkers.pop() : undefined) ?? new Worker(file);
}
