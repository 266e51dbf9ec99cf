// The two daemons that the library is tested against, our munged and the C one, each started in its own folder with a key
// that the test knows.
import { randomBytes, randomUUID } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { after, before } from "node:test";
import { type Daemon, startDaemon } from "../harness/daemon.ts";
import { MUNGEBOX, REFERENCE_MUNGED } from "../harness/programs.ts";
import { suite } from "../suite.ts";

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

/** The C munged's program. */
export const REFERENCE: Program = PROGRAMS[1]!;

/** A munged that runs from {@linkcode Munged.start} to {@linkcode Munged.stop}. */
export class Munged {
  readonly program: Program;
  readonly key: Uint8Array = new Uint8Array(randomBytes(128));
  readonly socketPath: string;
  readonly #folder = `/tmp/munge-mod-${randomUUID()}`;
  readonly #options: readonly string[];
  #daemon: Daemon | undefined;

  constructor(program: Program, ...options: readonly string[]) {
    this.program = program;
    this.socketPath = this.#path("socket");
    this.#options = options;
  }

  #path(name: string): string {
    return `${this.#folder}/${name}`;
  }

  /** Makes its files, starts it, and waits until it accepts connections. */
  async start(): Promise<void> {
    mkdirSync(this.#folder);
    chmodSync(this.#folder, 0o755);
    writeFileSync(this.#path("key"), this.key, { mode: 0o400 });
    writeFileSync(this.#path("gpu.key"), randomBytes(128), { mode: 0o400 });
    writeFileSync(this.#path("munge.conf"), "");
    await this.restart();
  }

  /** Its process ID. */
  get pid(): number {
    return this.#daemon!.process.pid!;
  }

  /** Starts it again after {@linkcode Munged.end}. */
  async restart(): Promise<void> {
    const path = (name: string) => this.#path(name);
    // The reference serves every realm with its one key, and has no configuration file; ours serves the realms that have
    // their own.
    const ours = this.program === REFERENCE
      ? []
      : [`--realm=gpu=${path("gpu.key")}`, `--config=${path("munge.conf")}`];
    const files = ["key", "log", "pid", "seed"].map((name) => `--${name}-file=${path(name)}`);
    // --force, because a folder below /tmp is writable by others, though with the sticky bit.
    const own = ["-F", "--force", `--socket=${this.socketPath}`, ...files];
    // It listens before it is able to stop cleanly.
    this.#daemon = await startDaemon(
      [...this.program.command, ...own, ...ours, ...this.#options],
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

/**
 * Declares a suite for each program that is available; `body` declares its tests, during which the munged runs.
 *
 * @param subject what is tested, for the suite's name.
 * @param options of munged.
 */
export function suiteWithEach(
  subject: string,
  options: readonly string[],
  body: (munged: Munged) => void,
): void {
  for (const program of PROGRAMS) {
    suite(`${subject} with ${program.name}`, program.skip, () => {
      const munged = new Munged(program, ...options);
      before(() => munged.start());
      after(() => munged.stop());
      body(munged);
    });
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
