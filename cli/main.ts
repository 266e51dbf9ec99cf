// The start of the executable. The name it is called by selects the command or, for mungebox itself, the first argument.
import type { AppletName } from "./applets.ts";

/** How to run a command. */
interface Applet {
  /** Loads the code, so that a command loads only its own. */
  load(): Promise<AppletModule>;
  /** Arguments implied by this name, placed before the user's. */
  readonly implied?: readonly string[];
  /** Whether one of its options takes any bytes; the command then checks the other arguments itself. */
  readonly takesBytes?: true;
}

/** The exports of a command's file. */
interface AppletModule {
  /**
   * Runs the command.
   *
   * @param program the name by which it was called, for messages.
   * @param args the arguments after the name.
   * @returns the exit status of the process; undefined means 0.
   * @throws {MungeError} whose number becomes the exit status and whose text goes to standard error.
   */
  run(program: string, args: readonly string[]): number | void | Promise<number | void>;
}

const APPLETS: Readonly<Record<AppletName, Applet>> & { readonly __proto__: unknown } = {
  __proto__: null, // so that a look-up finds commands only
  "auksd": { load: () => import("./auks/auksd.ts") },
  "munged": { load: () => import("./munged/munged.ts") },
  "munge": { load: () => import("./munge/munge.ts"), takesBytes: true },
  "unmunge": { load: () => import("./unmunge.ts") },
  "remunge": { load: () => import("./remunge/remunge.ts"), takesBytes: true },
  "mungekey": { load: () => import("./mungekey/mungekey.ts") },
  "create-munge-key": { load: () => import("./mungekey/mungekey.ts"), implied: ["--create"] },
  "container": { load: () => import("./container.ts") },
  "doctor": { load: () => import("./doctor/doctor.ts") },
  "transact": { load: () => import("./transact.ts") },
  "health": { load: () => import("./health.ts") },
  "auks": { load: () => import("./auks/auks.ts") },
  "auks-pam": { load: () => import("./auks/pam.ts") },
  "auks-step": { load: () => import("./auks/step/step.ts") },
  "auksdrenewer": { load: () => import("./auks/auksdrenewer.ts") },
  "aukspriv": { load: () => import("./auks/aukspriv.ts") },
};

/** The executable under its own name, or under an unknown one. */
const MUNGEBOX: Applet = { load: () => import("./mungebox.ts") };

/** The command with this name. */
function appletOf(name: string): Applet | undefined {
  return (APPLETS as Readonly<Partial<Record<string, Applet>>>)[name];
}

/** The name up to its first dot: `munge.real` and the like, behind a wrapper, are also munge. */
function stemOf(name: string): string {
  const dot = name.indexOf(".");
  return dot < 0 ? name : name.slice(0, dot);
}

/** Runs a command and ends the process with its exit status. */
async function runApplet(applet: Applet, program: string, args: readonly string[]): Promise<void> {
  try {
    if (args.join().includes("\ufffd")) {
      const { recoverArguments } = await import("./command_line/raw_arguments.ts");
      args = recoverArguments(args);
      if (applet.takesBytes !== true) {
        const { requireText } = await import("./command_line/argument_bytes.ts");
        args.forEach(requireText);
      }
    }
    const { run } = await applet.load();
    const ended = run(program, [...applet.implied ?? [], ...args]);
    if (ended instanceof Promise) reportUncaught(program);
    process.exit((await ended) ?? 0); // at once, because the runtime has nothing left to wait for
  } catch (error) {
    await fail(program, error);
  }
}

/** Reports what nothing else catches, such as the failure of a stream, which the runtime would show with its source. */
function reportUncaught(program: string): void {
  for (const event of ["uncaughtException", "unhandledRejection"]) {
    process.on(event, (error) => void fail(program, error));
  }
}

/** Reports an error and ends the process with its exit status. */
async function fail(program: string, error: unknown): Promise<never> {
  try {
    const { reportFailure } = await import("./command_line/print.ts"); // loaded only now, because it opens libc
    process.exit(reportFailure(program, error));
  } catch { // libc can't be called, which is most likely the original error
    const text = error instanceof Error ? error.message : String(error);
    process.getBuiltinModule("node:fs").writeSync(2, `${program}: Error: ${text}\n`);
    process.exit(1);
  }
}

/** Runs the command that the file is named after, if argv[0] names none; the caller chooses that (`exec -a`, a login). */
async function runExecuted(args: readonly string[]): Promise<void> {
  const { executedPath } = await import("../lib/os/executed_path.ts");
  const path = executedPath();
  const name = path.slice(path.lastIndexOf("/") + 1);
  const applet = appletOf(stemOf(name));
  await (applet === undefined
    ? runApplet(MUNGEBOX, "mungebox", args)
    : runApplet(applet, name, args));
}

/** The commands that go into the background. */
const DAEMONS = ["munged", "auksd", "auksdrenewer", "aukspriv"];

/** Runs the leader of a daemon's session if it could not fork before the runtime started. */
async function runSessionLeader(program: string): Promise<void> {
  try {
    const { leadSession } = await import("../daemon/process/session_leader.ts");
    leadSession();
    process.exit(0);
  } catch (error) {
    await fail(program, error);
  }
}

// Loading node:path would cost every command more time than this line, and so would using the environment, which the runtime
// reads on first use.
const name = process.argv0.slice(process.argv0.lastIndexOf("/") + 1);
const args = process.argv.slice(2);
const [first = ""] = args;
const named = appletOf(stemOf(name));
const given = appletOf(first);
if (DAEMONS.includes(name) && process.env["MUNGED_STAGE"] === `session:${process.ppid}`) {
  void runSessionLeader(name);
} else if (named !== undefined) void runApplet(named, name, args);
else if (given !== undefined) void runApplet(given, first, args.slice(1));
else void runExecuted(args);
