// Where the binary starts: its name picks the command; under any other name the first argument does.
import { type Applet, findApplet } from "./applets.ts";

/** The binary under its own name, or one that is none of ours. */
const MUNGEBOX: Applet = {
  name: "mungebox",
  summary: "list and install the commands",
  load: () => import("./mungebox.ts"),
};

/** Runs a command and ends the process with its exit status. */
async function runApplet(applet: Applet, program: string, args: readonly string[]): Promise<void> {
  try {
    const { run } = await applet.load();
    const status = await run(program, [...applet.implied ?? [], ...args]);
    process.exit(status ?? 0); // at once: the runtime has nothing left to wait for
  } catch (error) {
    const { reportFailure } = await import("./print.ts"); // only now: it opens libc
    process.exit(reportFailure(program, error));
  }
}

/** The first copy of a munged that goes into the background. */
async function runSessionLeader(): Promise<void> {
  const { leadSession } = await import("../daemon/session_leader.ts");
  leadSession();
  process.exit(0);
}

// node:path would cost every command more than this line.
const name = process.argv0.slice(process.argv0.lastIndexOf("/") + 1);
const args = process.argv.slice(2);
const applet = findApplet(name);
const named = findApplet(args[0]);
if (applet?.name === "munged" && process.env["MUNGED_STAGE"] === "session") void runSessionLeader();
else if (applet !== undefined) void runApplet(applet, name, args);
else if (named !== undefined) void runApplet(named, named.name, args.slice(1));
else void runApplet(MUNGEBOX, MUNGEBOX.name, args);
