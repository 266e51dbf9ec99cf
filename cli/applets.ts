// The commands in the one binary, by the names they are called by.

/** A command. */
export interface Applet {
  readonly name: string;
  /** What it does, in a few words. */
  readonly summary: string;
  /** Set on what is called through mungebox only, and gets no link of its own. */
  readonly unlinked?: true;
  /** Arguments that this name stands for; they come before the user's. */
  readonly implied?: readonly string[];
  /** Loads the code, so that a command pays for itself only. */
  load(): Promise<AppletModule>;
}

/** What the file of a command exports. */
export interface AppletModule {
  /**
   * Runs the command.
   *
   * @param program the name it was called by, for messages.
   * @param args the words after the name.
   * @returns the exit status, nothing being 0; the process ends with it.
   * @throws {MungeError} whose number is the exit status and whose text goes to standard error.
   */
  run(program: string, args: readonly string[]): number | void | Promise<number | void>;
}

const loadMungekey = () => import("./mungekey.ts");

/** Every command. */
export const APPLETS: readonly Applet[] = [
  { name: "munged", summary: "authenticate users: the daemon", load: () => import("./munged.ts") },
  { name: "munge", summary: "make a credential", load: () => import("./munge.ts") },
  { name: "unmunge", summary: "check and open a credential", load: () => import("./unmunge.ts") },
  { name: "remunge", summary: "measure a daemon's speed", load: () => import("./remunge.ts") },
  { name: "mungekey", summary: "make the secret key", load: loadMungekey },
  {
    name: "create-munge-key",
    summary: "the older name of mungekey --create",
    implied: ["--create"],
    load: loadMungekey,
  },
  {
    name: "container",
    summary: "munged in a container, with the key from a mounted secret",
    unlinked: true,
    load: () => import("./container.ts"),
  },
  {
    name: "doctor",
    summary: "why munge does not work here, or between hosts",
    unlinked: true,
    load: () => import("./doctor.ts"),
  },
  {
    name: "health",
    summary: "whether munged makes and opens a credential",
    unlinked: true,
    load: () => import("./health.ts"),
  },
];

/** The command of this name. */
export function findApplet(name: string | undefined): Applet | undefined {
  for (const applet of APPLETS) {
    if (applet.name === name) return applet;
  }
  return undefined;
}
