// The two daemons that the library is tested against, our munged and the C one, each started in its own folder with a key
// that the test knows.
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { type Daemon, startDaemon } from "../harness/daemon.ts";
import { MUNGEBOX, REFERENCE_MUNGED } from "../harness/programs.ts";

/** One of the two programs. */
export interface Program {
  readonly name: "our munged" | "the reference's munged";
  /** The command that starts it. */
  readonly command: readonly string[];
  /** Why it can't be tested here, or false. */
  readonly skip: string | false;
}

/** Both, whether or not they are available. */
export const PROGRAMS: readonly Program[] = [
  {
    name: "our munged",
    command: [MUNGEBOX, "munged"],
    skip: existsSync(MUNGEBOX) ? false : `${MUNGEBOX} is not built`,
  },
  {
    name: "the reference's munged",
    command: [REFERENCE_MUNGED],
    skip: existsSync(REFERENCE_MUNGED) ? false : `${REFERENCE_MUNGED} is not installed`,
  },
];

/** A munged that runs until {@linkcode Munged.stop}. */
export class Munged {
  readonly socketPath: string;
  readonly key: Uint8Array = new Uint8Array(randomBytes(128));
  readonly #folder: string;
  readonly #command: readonly string[];
  #daemon: Daemon | undefined;

  private constructor(program: Program, options: readonly string[]) {
    this.#folder = mkdtempSync("/tmp/munge-mod-");
    chmodSync(this.#folder, 0o755);
    const path = (name: string) => join(this.#folder, name);
    writeFileSync(path("key"), this.key, { mode: 0o400 });
    this.socketPath = path("socket");
    // The reference serves every realm with its one key; ours serves the realms that have their own.
    writeFileSync(path("gpu.key"), randomBytes(128), { mode: 0o400 });
    const realm = program.name === "our munged" ? [`--realm=gpu=${path("gpu.key")}`] : [];
    const files = ["key", "log", "pid", "seed"].map((name) => `--${name}-file=${path(name)}`);
    // --force, because a folder below /tmp is writable by others, though with the sticky bit.
    const own = ["-F", "--force", `--socket=${this.socketPath}`, ...files];
    this.#command = [...program.command, ...own, ...realm, ...options];
  }

  /** Starts one, and waits until it accepts connections. */
  static async start(program: Program, ...options: readonly string[]): Promise<Munged> {
    const munged = new Munged(program, options);
    await munged.restart();
    return munged;
  }

  /** Its process ID. */
  get pid(): number {
    return this.#daemon!.process.pid!;
  }

  /** Starts it again after {@linkcode Munged.end}. */
  async restart(): Promise<void> {
    // It listens before it is able to stop cleanly.
    this.#daemon = await startDaemon(
      this.#command,
      async (log) => /Created \d+ work thread/.test(log) && await isListening(this.socketPath),
    );
  }

  /** Stops it, and waits until it has ended. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    this.#daemon?.process.kill(signal);
    await this.#daemon?.ended;
    this.#daemon = undefined;
  }

  /** Stops it, and removes its files. */
  async stop(): Promise<void> {
    await this.end("SIGTERM");
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.on("connect", () => resolve(true));
    socket.on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
}

/** Number of sockets this process has open, or undefined if unknown. */
export function openSockets(): number | undefined {
  if (!existsSync("/proc/self/fd")) return undefined;
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
    } catch {
      return false; // the descriptor of this directory listing
    }
  }).length;
}
