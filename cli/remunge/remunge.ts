// remunge: measures how many credentials per second munged makes, or makes and opens. options.ts has its command line, and
// thread.ts what each thread does.
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { requireMemory } from "../../lib/os/limits.ts";
import { ignoreHangup } from "../../lib/os/standard_streams.ts";
import { threadFile } from "../../lib/os/thread_file.ts";
import { MAX_TIMER_MS } from "../../lib/timer.ts";
import { parseOptions } from "../command_line/options.ts";
import { print, printError } from "../command_line/print.ts";
import { ULONG_MAX } from "../command_line/values.ts";
import { DEFAULTS, type Settings, USAGE } from "./options.ts";
import { COUNTER, printLine, STATE, type WorkerTask } from "./task.ts";

/** Seconds below which a run is too short to measure anything. */
const SHORT_RUN = 0.5;
const DEFAULT_DURATION = 1;
const MIB = 1024 * 1024;
/** Memory needed in addition to what remunge has at first: in all, and by each thread. */
const BASE_MEMORY = 10 * MIB;
const THREAD_MEMORY = 26 * MIB;
/** Milliseconds between progress lines. */
const PROGRESS_INTERVAL = 1000;
/** Exit status of an interrupted run: 128 + SIGINT, as in shells. */
const INTERRUPTED = 130;

/** Runs remunge; throws a MungeError for a mistake on the command line. */
export async function run(program: string, args: readonly string[]): Promise<number> {
  const settings: Settings = { ...DEFAULTS };
  parseOptions(program, USAGE, settings, args);
  ignoreHangup();
  if (settings.limit === undefined) settings.duration ??= DEFAULT_DURATION;
  const report = settings.quiet ? () => {} : printLine;

  const threads = counted(settings.threads, "thread");
  requireMemory(BASE_MEMORY + settings.threads * THREAD_MEMORY, threads);
  const work = settings.decode ? "encoding/decoding" : "encoding";
  report(`Spawning ${threads} for ${work}`);
  const task = makeTask(settings);
  let interrupted = false;
  // timeout(1) interrupts both the process and its group, and the second signal must not lose the report.
  process.on("SIGINT", () => {
    interrupted = true;
    setState(task, STATE.stopped);
  });
  const workers = await spawnWorkers(task, settings.threads);

  report(`Processing ${describeAmount(settings)}`);
  const finished = Promise.all(workers.map((worker) => message(worker, "done")));
  const start = performance.now();
  if (!interrupted) setState(task, STATE.running);
  if (settings.duration !== undefined) stopAt(task, start + settings.duration * 1000);
  const progress = startProgress(settings, task, start);
  await finished;
  const seconds = (performance.now() - start) / 1000;
  progress.stop();

  reportResult(task, seconds, report);
  process.exit(interrupted ? INTERRUPTED : 0);
}

/** Reports what was done, and how fast. */
function reportResult(task: WorkerTask, seconds: number, report: (text: string) => void): void {
  const done = task.counters[COUNTER.done]!;
  const encodeErrors = task.counters[COUNTER.encodeErrors]!;
  const decodeErrors = task.counters[COUNTER.decodeErrors]!;
  if (encodeErrors > 0n) report(`Generated ${counted(encodeErrors, "encoding error")}`);
  if (decodeErrors > 0n) report(`Generated ${counted(decodeErrors, "decoding error")}`);
  const rate = Math.trunc(Number(done) / seconds);
  report(`Processed ${counted(done, "credential")} in ${seconds.toFixed(3)}s (${rate} creds/sec)`);
  if (task.quiet) print(`${rate}\n`);
  if (seconds < SHORT_RUN) {
    print("\nWARNING: Results based on such a short time interval are of low accuracy\n\n");
  }
}

function makeTask(settings: Settings): WorkerTask {
  const { cipher, mac, zip, ttl, uidRestriction, gidRestriction, length } = settings;
  const payload = new Uint8Array(length);
  return {
    request: { cipher, mac, zip, realm: "", ttl, uidRestriction, gidRestriction, payload },
    decode: settings.decode,
    socket: settings.socket,
    limit: settings.limit ?? ULONG_MAX,
    warnTime: settings.warnTime,
    quiet: settings.quiet,
    counters: new BigInt64Array(
      new SharedArrayBuffer(Object.keys(COUNTER).length * BigInt64Array.BYTES_PER_ELEMENT),
    ),
    state: new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)),
  };
}

/** Starts the workers, which then wait for the state to change. */
async function spawnWorkers(task: WorkerTask, threads: number): Promise<Worker[]> {
  const workers = Array.from(
    { length: threads },
    () => new Worker(threadFile("cli/remunge/thread.ts"), { workerData: task }),
  );
  await Promise.all(workers.map((worker) => message(worker, "ready")));
  return workers;
}

/** Resolves with the worker's next message; rejects if the worker fails. */
async function message(worker: Worker, expected: string): Promise<void> {
  const [received] = await once(worker, "message");
  if (received !== expected) throw new Error(`Unexpected message from a thread: ${received}`);
}

function setState({ state }: WorkerTask, value: number): void {
  Atomics.store(state, 0, value);
  Atomics.notify(state, 0);
}

/** Stops the run when performance.now() reaches `end`. */
function stopAt(task: WorkerTask, end: number): void {
  const remaining = end - performance.now();
  if (remaining <= 0) setState(task, STATE.stopped);
  else setTimeout(() => stopAt(task, end), Math.min(remaining, MAX_TIMER_MS));
}

/** On a terminal, shows the speed of a long run and how much of it is left. */
function startProgress(settings: Settings, task: WorkerTask, start: number): { stop(): void } {
  if (settings.quiet || !process.stderr.isTTY) return { stop() {} };
  const timer = setInterval(() => {
    const seconds = (performance.now() - start) / 1000;
    const done = Number(Atomics.load(task.counters, COUNTER.done));
    const rate = done / seconds;
    const byTime = (settings.duration ?? Infinity) - seconds;
    const byLimit = rate > 0 ? (Number(settings.limit ?? Infinity) - done) / rate : Infinity;
    const left = Math.max(0, Math.ceil(Math.min(byTime, byLimit)));
    printError(`\r\x1b[K${Math.trunc(rate)} creds/sec, ${counted(left, "second")} left`);
  }, PROGRESS_INTERVAL);
  return {
    stop() {
      clearInterval(timer);
      printError("\r\x1b[K");
    },
  };
}

/** `5 credentials for up to 1 second`, depending on which are limited. */
function describeAmount({ limit, duration }: Settings): string {
  const time = duration === undefined ? "" : counted(duration, "second");
  if (limit === undefined) return `credentials for ${time}`;
  return counted(limit, "credential") + (time === "" ? "" : ` for up to ${time}`);
}

/** `1 thread`, `2 threads` */
function counted(number: number | bigint, noun: string): string {
  return `${number} ${noun}${BigInt(number) === 1n ? "" : "s"}`;
}
