// The commands in the one binary, by the names they are called by. How each is loaded is in main.ts.

/** A command, for lists of them. */
interface AppletEntry {
  readonly name: string;
  /** What it does, in a few words. */
  readonly summary: string;
  /** Set on what is called through mungebox only, and gets no link of its own. */
  readonly unlinked?: true;
}

const TABLE = [
  { name: "munged", summary: "authenticate users: the daemon" },
  { name: "munge", summary: "make a credential" },
  { name: "unmunge", summary: "check and open a credential" },
  { name: "remunge", summary: "measure a daemon's speed" },
  { name: "mungekey", summary: "make the secret key" },
  { name: "create-munge-key", summary: "the older name of mungekey --create" },
  {
    name: "container",
    summary: "munged in a container, with the key from a mounted secret",
    unlinked: true,
  },
  { name: "doctor", summary: "why munge does not work here, or between hosts", unlinked: true },
  { name: "health", summary: "whether munged makes and opens a credential", unlinked: true },
] as const satisfies readonly AppletEntry[];

/** The name of a command. */
export type AppletName = typeof TABLE[number]["name"];

/** Every command. */
export const APPLETS: readonly AppletEntry[] = TABLE;
