// Runs the test command's parts, and ends them with everything they have started when the test command ends early.
// Every part leads its own process group; processes that leave it, as daemons do, are found by a variable in their environment.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

/** The project's tools come first. */
const PATH = `${resolve("node_modules/.bin")}:${process.env["PATH"]}`;
/** Names the test command in the environment of everything it starts. */
const MARK = "MUNGEBOX_TEST_RUN";
/** How long processes may take to end by themselves. */
const GRACE_MS = 3_000;

const groups = new Set<number>();
let isEnding = false;

/** How a command ended. */
export interface Ending {
  /** Its exit status, or null for a signal or if it can't be started. */
  readonly status: number | null;
  /** What it wrote to standard output and standard error. */
  readonly output: string;
}

/**
 * Runs a command to its end. Never settles once {@linkcode endAll} has been called, so that nothing follows.
 *
 * @param env variables besides our own.
 * @param show gets its output piece by piece.
 */
export async function run(
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
  show: (chunk: Uint8Array) => void = (chunk) => process.stdout.write(chunk),
): Promise<Ending> {
  const [name = "", ...args] = command;
  const child = spawn(Bun.which(name, { PATH }) ?? name, args, {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // leads a process group
    env: { ...process.env, PATH, NO_COLOR: "1", [MARK]: `${process.pid}`, ...env },
  });
  const { pid } = child;
  if (pid !== undefined) groups.add(pid);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    const decoder = new TextDecoder();
    stream.on("data", (chunk: Uint8Array) => {
      show(chunk);
      output += decoder.decode(chunk, { stream: true });
    });
  }
  const status = await new Promise<number | null>((resolve) => {
    child.once("error", (error) => {
      output += `${error.message}\n`;
      resolve(null);
    });
    child.once("close", resolve);
  });
  if (pid !== undefined) groups.delete(pid);
  if (isEnding) await new Promise(() => {});
  return { status, output };
}

/** Ends everything that {@linkcode run} has started: by SIGTERM, and what is left by SIGKILL. */
export async function endAll(): Promise<void> {
  isEnding = true;
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    const deadline = performance.now() + GRACE_MS;
    signalAll(signal);
    while (started().length > 0 && performance.now() < deadline) await pause(50);
  }
}

function signalAll(signal: NodeJS.Signals): void {
  for (const target of [...[...groups].map((pid) => -pid), ...started()]) {
    try {
      process.kill(target, signal);
    } catch {
      // it has ended
    }
  }
}

/** The processes whose environment names us. */
function started(): number[] {
  if (!existsSync("/proc")) return []; // not Linux
  const mark = `${MARK}=${process.pid}\0`;
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, "latin1").includes(mark);
    } catch {
      return false; // it has ended, or is another user's
    }
  }).map(Number);
}
