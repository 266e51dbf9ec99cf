// The first of munged's two copies on its way into the background (daemon/process/background.ts): it leads the new session,
// starts the daemon and ends. It loads nothing else, as the user waits for it.
import { IS_COMPILED } from "../../lib/os/thread_file.ts";

/** Names what a copy of ourselves is for; the daemon takes it out of its environment. */
export const STAGE = "MUNGED_STAGE";
/** The end of the pipe to whoever waits for the daemon, in both copies. */
export const PIPE_FD = 3;

/** How a copy is started: no input and output but standard error, and the pipe. */
export function copyOptions(program: string, stage: "session" | "daemon", pipe: number) {
  return {
    argv0: program,
    env: { ...process.env, [STAGE]: stage },
    // All other descriptors are closed on the way.
    stdio: ["ignore", "ignore", "inherit", pipe] as ["ignore", "ignore", "inherit", number],
  };
}

/** Starts the daemon as a child that outlives this process. */
export function leadSession(): void {
  const { execPath, argv, argv0 } = process;
  const command = IS_COMPILED ? [execPath] : [execPath, Bun.main];
  Bun.spawn([...command, ...argv.slice(2)], copyOptions(argv0, "daemon", PIPE_FD)).unref();
}
