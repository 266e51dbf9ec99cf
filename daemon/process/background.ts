// Going into the background. The runtime can't fork, so the program starts a copy of itself. The copy leads a new session,
// starts the daemon as its child, and exits, so the daemon is not a session leader and can never acquire a terminal. On
// Linux the copy forks before its runtime starts (scripts/runtime/entry.ts); elsewhere, session_leader.ts starts a second
// copy. If a service manager has already made us the leader of a session without a terminal, the first copy is the daemon.
// The caller waits on a pipe until the daemon reports that it is ready.
import { closeSync, fstatSync, readSync, writeSync } from "node:fs";
import { basename, delimiter, resolve } from "node:path";
import { openNullDevice } from "../../lib/os/null_device.ts";
import {
  duplicateAbove,
  duplicateOver,
  openBlockingPipe,
  setProcessName,
} from "../../lib/os/process.ts";
import { realPath } from "../../lib/os/real_path.ts";
import { IS_COMPILED, ownCommand } from "../../lib/os/thread_file.ts";
import { processState } from "./process_state.ts";
import { copyOptions, PIPE_FD, STAGE } from "./session_leader.ts";

/** The exit status of the caller's command, in one byte. */
const READY = 0;

/** The daemon calls it once it answers requests; the caller's command then exits successfully. */
export type AnnounceReady = () => void;

/**
 * Returns only in the daemon, with / as its working directory and still the caller's standard error. The process that
 * the user started exits with status 0 once the daemon is ready, with the status from {@linkcode announceFailure}, or
 * with 1 if the daemon ends without calling either. ps and pidof show the daemon under the program's name.
 *
 * @param listener the service manager's socket (activation.ts) to pass on to the daemon.
 */
export function enterBackground(
  { program, commandLine }: { readonly program: string; readonly commandLine: readonly string[] },
  listener: number | null = null,
): AnnounceReady {
  const stage = process.env[STAGE];
  delete process.env[STAGE];
  if (stage !== "daemon" || !isPipe(PIPE_FD)) {
    return process.exit(waitForDaemon(program, commandLine, listener));
  }
  setProcessName(program);
  process.chdir("/");
  return announceReady;
}

/** Starts the copies. Returns the exit status for the daemon's success or failure. */
function waitForDaemon(program: string, args: readonly string[], listener: number | null): number {
  const nothing = openNullDevice();
  const { readEnd, writeEnd } = openBlockingPipe();
  const passed = listener === null ? null : duplicateAbove(listener, PIPE_FD);
  const command = namedCommand(program, args);
  if (leadsSession()) Bun.spawn(command, copyOptions(program, "daemon", nothing, writeEnd, passed));
  else {
    // Waiting for the copy, which exits at once, leaves no zombie behind.
    const options = copyOptions(program, `session:${process.pid}`, nothing, writeEnd, passed);
    Bun.spawnSync(command, { ...options, detached: true });
  }
  closeSync(nothing);
  closeSync(writeEnd);
  const word = new Uint8Array(1);
  return readSync(readEnd, word) === 1 ? word[0]! : 1;
}

/** Whether this process leads a session without a terminal. */
function leadsSession(): boolean {
  const found = processState("self");
  return found?.session === `${process.pid}` && found.terminal === "0";
}

/**
 * How to start ourselves: through the applet's name, if there is a file of that name, because the kernel takes the
 * name of a process from there.
 */
function namedCommand(program: string, args: readonly string[]): string[] {
  const { execPath, argv0 } = process;
  if (!IS_COMPILED) return [...ownCommand(), ...args]; // its argv[0] will name the applet
  const directories = argv0.includes("/") ? ["."] : (process.env["PATH"] ?? "").split(delimiter);
  for (const directory of directories) {
    const file = resolve(directory, argv0); // absolute, so that spawning does not search PATH for another munged
    if (basename(file) === program && isSameFile(file, execPath)) return [file, ...args];
  }
  return [...ownCommand(), ...args];
}

function isSameFile(path: string, other: string): boolean {
  try {
    return realPath(path) === realPath(other);
  } catch {
    return false; // missing, so not the same
  }
}

function isPipe(fd: number): boolean {
  try {
    return fstatSync(fd).isFIFO();
  } catch {
    return false; // not open
  }
}

/** Releases the caller: first its standard streams, then the pipe it waits on. */
function announceReady(): void {
  const nothing = openNullDevice();
  for (const fd of [0, 1, 2]) duplicateOver(nothing, fd);
  closeSync(nothing);
  writeSync(PIPE_FD, Uint8Array.of(READY));
  closeSync(PIPE_FD);
}

/** Makes the caller's command, if it is still waiting, exit with this status. Call it in the daemon only. */
export function announceFailure(status: number): void {
  if (isPipe(PIPE_FD)) writeSync(PIPE_FD, Uint8Array.of(status));
}
