// The commands in the executable, by name. main.ts loads them.

/** A command, as lists of commands show it. */
interface AppletEntry {
  readonly name: string;
  /** What it does, in a few words. */
  readonly summary: string;
  /** Set if the command can be called only through mungebox, and gets no link. */
  readonly unlinked?: true;
  /** Set if only sites with Kerberos need the command; --auks makes the link. */
  readonly auks?: true;
}

const TABLE = [
  { name: "munged", summary: "the daemon that authenticates users" },
  { name: "munge", summary: "make a credential" },
  { name: "unmunge", summary: "check and open a credential" },
  { name: "remunge", summary: "measure how fast munged is" },
  { name: "mungekey", summary: "create the secret key" },
  { name: "create-munge-key", summary: "older name of mungekey --create" },
  {
    name: "container",
    summary: "run munged in a container, its key a mounted secret",
    unlinked: true,
  },
  { name: "doctor", summary: "find out why munge does not work", unlinked: true },
  { name: "health", summary: "check that munged makes and opens credentials", unlinked: true },
  {
    name: "transact",
    summary: "ask munged for a program that can't call the C library",
    unlinked: true,
  },
  {
    name: "auksd",
    summary: "the daemon that keeps users' Kerberos tickets for their jobs",
    auks: true,
  },
  { name: "auks", summary: "forward Kerberos tickets to jobs", auks: true },
  { name: "auks-pam", summary: "send a user's ticket to auksd at login", unlinked: true },
  {
    name: "auks-step",
    summary: "what the plugin auks.so does with tickets for Slurm's jobs",
    unlinked: true,
  },
  { name: "auksdrenewer", summary: "the daemon that renews auksd's tickets", auks: true },
  { name: "aukspriv", summary: "the daemon that keeps a host's own ticket", auks: true },
] as const satisfies readonly AppletEntry[];

/** The name of a command. */
export type AppletName = typeof TABLE[number]["name"];

/** Every command. */
export const APPLETS: readonly AppletEntry[] = TABLE;
