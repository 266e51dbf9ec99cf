// The leader of a daemon's session (background.ts): it starts the daemon and exits. It loads nothing else, because the user
// is waiting for it. On Linux it only does so if it could not fork.
import { ownCommand } from "../../lib/os/thread_file.ts";

/**
 * The environment variable with a copy's role: `daemon`, or `session:` and the caller's process ID, so that it has no
 * effect on other processes that inherit it. The daemon removes it from its environment.
 */
export const STAGE = "MUNGED_STAGE";
/** The end of the pipe to the waiting caller, in both copies. */
export const PIPE_FD = 3;
/** The environment variable that is set if the copies have the service manager's socket, and its descriptor there. */
export const LISTENER = "MUNGED_LISTENER";
export const LISTENER_FD = 4;

/**
 * How to start a copy: with standard error, the pipe and perhaps the listener, but no other input or output.
 *
 * @param nothing a descriptor of /dev/null, because the runtime would create the file if it is missing; or `"inherit"`
 * if standard input and output already are /dev/null.
 * @param listener the service manager's socket, or null; not {@linkcode PIPE_FD}, which the pipe takes first.
 */
export function copyOptions(
  program: string,
  stage: `session:${number}` | "daemon",
  nothing: number | "inherit",
  pipe: number,
  listener: number | null,
) {
  const passed = listener === null ? {} : { [LISTENER]: "yes" };
  return {
    argv0: program,
    env: { ...process.env, [STAGE]: stage, ...passed },
    // All other descriptors are closed.
    stdio: [nothing, nothing, "inherit", pipe, ...listener === null ? [] : [listener]] as [
      typeof nothing,
      typeof nothing,
      "inherit",
      ...number[],
    ],
  };
}

/** Starts the daemon as a child that outlives this process. */
export function leadSession(): void {
  const { argv, argv0 } = process;
  const listener = process.env[LISTENER] === undefined ? null : LISTENER_FD;
  const options = copyOptions(argv0, "daemon", "inherit", PIPE_FD, listener);
  Bun.spawn([...ownCommand(), ...argv.slice(2)], options).unref();
}
