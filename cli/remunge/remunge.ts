// remunge: measures how many credentials per second munged makes, or makes and opens.
import { ignoreHangup } from "../../lib/os/standard_streams.ts";
import { threadFile } from "../../lib/os/thread_file.ts";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import {
  INFORMATION_OPTIONS,
  type Option,
  parseOptions,
  type Usage,
} from "../command_line/options.ts";
import { choice, flag, parsed } from "../command_line/vocabulary.ts";
import { print, printError } from "../command_line/print.ts";
import { COUNTER, printLine, STATE, type WorkerTask } from "./task.ts";
import {
  COUNT_UNITS,
  ENCODE_DEFAULTS,
  type EncodeSettings,
  INT_MAX,
  leadingNumber,
  refuse,
  RESTRICT_GID_OPTION,
  RESTRICT_UID_OPTION,
  SOCKET_OPTION,
  TTL_OPTION,
  TYPE_OPTIONS,
  ULONG_MAX,
} from "../command_line/values.ts";

interface Settings extends EncodeSettings {
  decode: boolean;
  quiet: boolean;
  /** Bytes in the payload. */
  length: number;
  /** Seconds, or undefined for no limit. */
  duration: number | undefined;
  /** Number of credentials to make, or undefined for no limit. */
  limit: bigint | undefined;
  threads: number;
  /** Seconds after which a request causes a warning. */
  warnTime: number;
}

/** Seconds below which a run is too short to measure anything. */
const SHORT_RUN = 0.5;
const DEFAULT_DURATION = 1;
const DEFAULT_WARN_TIME = 5;
/** Maximum number of threads; each is a complete JavaScript engine. */
const MAX_THREADS = 256n;
/** The longest delay of a timer, in milliseconds. */
const MAX_TIMER = 2 ** 31 - 1;
/** Milliseconds between progress lines. */
const PROGRESS_INTERVAL = 1000;
/** Exit status of an interrupted run: 128 + SIGINT, as in shells. */
const INTERRUPTED = 130;

const DURATION_UNITS: Readonly<Record<string, bigint>> = {
  s: 1n,
  S: 1n,
  m: 60n,
  M: 60n,
  h: 3600n,
  H: 3600n,
  d: 86_400n,
  D: 86_400n,
};

/** A kind of number followed by a unit, and its names in error messages. */
interface Quantity {
  /** "number of credentials" */
  readonly name: string;
  /** "number" or "duration", for the unit. */
  readonly unitName: string;
  readonly units: Readonly<Record<string, bigint>>;
  readonly minimum: bigint;
  readonly maximum: bigint;
  /** What is counted, for the maximum. */
  readonly counted: string;
}

const CREDENTIALS: Quantity = {
  name: "number of credentials",
  unitName: "number",
  units: COUNT_UNITS,
  minimum: 1n,
  maximum: ULONG_MAX,
  counted: "credentials",
};
const BYTES: Quantity = {
  name: "number of bytes",
  unitName: "number",
  units: COUNT_UNITS,
  minimum: 0n,
  maximum: INT_MAX,
  counted: "bytes",
};
const DURATION: Quantity = {
  name: "duration",
  unitName: "duration",
  units: DURATION_UNITS,
  minimum: 1n,
  maximum: INT_MAX,
  counted: "seconds",
};
const THREADS: Quantity = {
  name: "number of threads",
  unitName: "number",
  units: {},
  minimum: 1n,
  maximum: MAX_THREADS,
  counted: "threads",
};
const WARN_TIME: Quantity = {
  name: "number of seconds",
  unitName: "number",
  units: {},
  minimum: 1n,
  maximum: INT_MAX,
  counted: "seconds",
};

function parseQuantity(quantity: Quantity, value: string): bigint {
  const { name, unitName, units, minimum, maximum, counted } = quantity;
  const parsed = leadingNumber(value);
  const unitsExpected = Object.keys(units).length > 0;
  const tail = parsed?.rest ?? "";
  if (parsed === undefined || parsed.number < minimum || tail.length > (unitsExpected ? 1 : 0)) {
    refuse(`Invalid ${name} '${value}'`);
  }
  const unit = tail === "" ? 1n : units[tail] ?? refuse(`Invalid ${unitName} specifier '${tail}'`);
  const number = parsed.number * unit;
  if (number > maximum) {
    const what = name === "duration" ? "duration" : "number";
    refuse(`Exceeded maximum ${what} of ${maximum} ${counted}`);
  }
  return number;
}

/** `-1` means no limit where the help says so. */
const orUnlimited = (quantity: Quantity, most: bigint) => (value: string) =>
  value === "-1" ? most : parseQuantity(quantity, value);

/** The command line of remunge. */
export const USAGE: Usage<Settings> = {
  groups: [
    [
      ...INFORMATION_OPTIONS,
      flag("-q, --quiet", "Display only the creds/sec numeric result", "quiet"),
    ],
    TYPE_OPTIONS,
    [
      choice("-e, --encode", "Encode (but do not decode) each credential", "decode", false),
      choice("-d, --decode", "Encode and decode each credential", "decode", true),
      count("-l, --length=BYTES", "Specify payload length (in bytes)", "length", BYTES),
      RESTRICT_UID_OPTION,
      RESTRICT_GID_OPTION,
      TTL_OPTION,
      SOCKET_OPTION,
    ],
    [
      parsed(
        "-D, --duration=SECS",
        "Specify test duration (in seconds; -1=max)",
        "duration",
        (value) => Number(orUnlimited(DURATION, INT_MAX)(value)),
      ),
      parsed(
        "-N, --num-creds=INT",
        "Specify number of credentials to generate",
        "limit",
        orUnlimited(CREDENTIALS, ULONG_MAX),
      ),
      count("-T, --num-threads=INT", "Specify number of threads to spawn", "threads", THREADS),
      count(
        "-W, --warn-time=SECS",
        "Specify max seconds for munge op before warning",
        "warnTime",
        WARN_TIME,
      ),
    ],
  ],
};

function count(
  names: string,
  help: string,
  key: "length" | "threads" | "warnTime",
  quantity: Quantity,
): Option<Settings> {
  return parsed(names, help, key, (value) => Number(parseQuantity(quantity, value)));
}

/** Runs remunge; throws a MungeError for a mistake on the command line. */
export async function run(program: string, args: readonly string[]): Promise<number> {
  const settings: Settings = {
    ...ENCODE_DEFAULTS,
    decode: false,
    quiet: false,
    length: 0,
    duration: undefined,
    limit: undefined,
    threads: 1,
    warnTime: DEFAULT_WARN_TIME,
  };
  parseOptions(program, USAGE, settings, args);
  ignoreHangup();
  if (settings.limit === undefined) settings.duration ??= DEFAULT_DURATION;
  const report = settings.quiet ? () => {} : printLine;

  const work = settings.decode ? "encoding/decoding" : "encoding";
  report(`Spawning ${counted(settings.threads, "thread")} for ${work}`);
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

  const done = task.counters[COUNTER.done]!;
  const encodeErrors = task.counters[COUNTER.encodeErrors]!;
  const decodeErrors = task.counters[COUNTER.decodeErrors]!;
  if (encodeErrors > 0n) report(`Generated ${counted(encodeErrors, "encoding error")}`);
  if (decodeErrors > 0n) report(`Generated ${counted(decodeErrors, "decoding error")}`);
  const rate = Math.trunc(Number(done) / seconds);
  report(`Processed ${counted(done, "credential")} in ${seconds.toFixed(3)}s (${rate} creds/sec)`);
  if (settings.quiet) print(`${rate}\n`);
  if (seconds < SHORT_RUN) {
    print("\nWARNING: Results based on such a short time interval are of low accuracy\n\n");
  }
  process.exit(interrupted ? INTERRUPTED : 0);
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
  else setTimeout(() => stopAt(task, end), Math.min(remaining, MAX_TIMER));
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
