// A private auksd for the tests: its own directory, a free port and, if a test wants that, its own clock and accounts.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MAIN } from "../harness/programs.ts";
import { freePort } from "./kdc.ts";

const FAKETIME = [
  "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
  "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
].find((file) => existsSync(file));

/** The needs of a daemon with its own accounts or clock, for suite(). */
export const SANDBOX_NEEDS = {
  root: process.getuid!() === 0,
  faketime: FAKETIME !== undefined,
  "unshare of util-linux": existsSync("/usr/bin/unshare"),
} as const;

const VERSIONS = "\0\0\0\x13KRB5_SENDAUTH_V1.0\0\0\0\0\x040.1\0";

/** How the tests run our programs. */
export const PROGRAM = [process.execPath, MAIN] as const;

/** Options that a test can set. */
export interface AuksdOptions {
  readonly principal?: string;
  /** Path of the keytab. */
  readonly keytab: string;
  readonly acl: string;
  /** Lines that come first in the blocks of auks.conf, and so take precedence. */
  readonly common?: string;
  readonly auksd?: string;
  readonly own?: string;
  readonly env: NodeJS.ProcessEnv;
  /** Users of the host, as the daemon sees them. */
  readonly accounts?: Readonly<Record<string, number>>;
  /** Whether every look-up of a user hangs. */
  readonly hangingAccounts?: boolean;
  /** The daemon's clock at startup, seconds since the epoch. */
  readonly clock?: number;
  /** CacheDir to use, which is not removed. */
  readonly cacheDir?: string;
  readonly port?: number;
  /** The host name it sees instead of the real one. */
  readonly hostname?: string;
  /** The program whose first argument is auksd; the one in this tree unless given. */
  readonly program?: readonly string[];
  /** The shell's limit of open files. */
  readonly files?: number;
}

/** For what takes milliseconds on an idle machine. */
const PATIENCE_MS = 60_000;

/** A running auksd. */
export class Auksd {
  readonly directory: string;
  readonly cacheDir: string;
  readonly port: number;
  readonly options: AuksdOptions;
  #child: ReturnType<typeof spawn> | undefined;
  #closed: Promise<unknown> | undefined;
  #log = "";

  private constructor(options: AuksdOptions, port: number) {
    this.options = options;
    this.port = port;
    this.directory = mkdtempSync(join(tmpdir(), "mungebox-auksd-"));
    this.cacheDir = options.cacheDir ?? join(this.directory, "cache");
    mkdirSync(this.cacheDir, { mode: 0o700, recursive: true });
    this.configure(options);
  }

  /** Starts one, and waits until it serves. */
  static async start(options: AuksdOptions): Promise<Auksd> {
    const auksd = new Auksd(options, options.port ?? await freePort());
    await auksd.start();
    return auksd;
  }

  /** Configures one without starting it. */
  static async prepare(options: AuksdOptions): Promise<Auksd> {
    return new Auksd(options, options.port ?? await freePort());
  }

  /** The path of its configuration. */
  get config(): string {
    return join(this.directory, "auks.conf");
  }

  /** What it has logged so far. */
  get log(): string {
    return this.#log;
  }

  /** Its process, even with its own accounts, because whatever starts it uses exec. */
  get pid(): number {
    return this.#child!.pid!;
  }

  /** Writes auks.conf and auks.acl. */
  configure({ principal, keytab, acl, common = "", auksd = "", own = "" }: AuksdOptions): void {
    writeFileSync(join(this.directory, "auks.acl"), acl);
    writeFileSync(
      this.config,
      `common {
  ${common}
  PrimaryHost = localhost ;
  PrimaryAddress = 127.0.0.1 ;
  PrimaryPort = ${this.port} ;
  PrimaryPrincipal = ${principal ?? "host/mngt.realm.a@REALM.A"} ;
  Retries = 1 ;
}
api { LogLevel = 0 ; }
auksd {
  ${auksd}
  ACLFile = ${join(this.directory, "auks.acl")} ;
  CacheDir = ${this.cacheDir} ;
  PrimaryKeytab = ${keytab} ;
  LogLevel = 3 ;
  LogFile = ${join(this.directory, "auksd.log")} ;
}
mungebox {
  ${own}
}
`,
    );
  }

  /** Starts it, in the foreground, and waits until it serves. */
  async start(): Promise<void> {
    const {
      env,
      accounts,
      hangingAccounts = false,
      clock,
      files,
      hostname,
      program: own = PROGRAM,
    } = this.options;
    const commands = [...own, "auksd", "-F", "-f", this.config];
    const script = ['exec "$@"'];
    if (accounts !== undefined) {
      const passwd = join(this.directory, "passwd");
      // Opening a pipe for reading blocks until another process opens it for writing.
      if (hangingAccounts) spawnSync("mkfifo", [passwd]);
      else {writeFileSync(
          passwd,
          Object.entries(accounts).map(([name, uid]) => `${name}:x:${uid}:0::/:/bin/sh\n`).join(""),
        );}
      script.unshift(`mount --bind ${passwd} /etc/passwd`);
    }
    if (files !== undefined) script.unshift(`ulimit -n ${files}`);
    if (hostname !== undefined) script.unshift(`hostname ${hostname}`);
    const isolated = [
      ...accounts === undefined ? [] : ["--mount"],
      ...hostname === undefined ? [] : ["--uts"],
    ];
    const [program = "", ...args] = [
      ...isolated.length === 0 ? [] : ["/usr/bin/unshare", ...isolated],
      "/bin/sh",
      "-c",
      script.join(" && "),
      "sh",
      ...commands,
    ];
    this.#log = "";
    const child = spawn(program, args, {
      env: { ...env, ...clock === undefined ? {} : clockOf(clock) },
      stdio: ["ignore", "inherit", "pipe"],
    });
    this.#child = child;
    this.#closed = new Promise((resolve) => child.once("close", resolve));
    child.stderr!.on("data", (bytes) => this.#log += bytes);
    for (const latest = performance.now() + PATIENCE_MS; performance.now() < latest;) {
      if (await answers(this.port)) return;
      if (child.exitCode !== null || child.signalCode !== null) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`auksd does not start: ${this.#log}`);
  }

  /** Sends a signal. */
  signal(name: NodeJS.Signals): void {
    this.#child!.kill(name);
  }

  /** Stops reading its log, so that it fills up. */
  readNoMore(): void {
    this.#child!.stderr!.pause();
  }

  /** Waits for it to end, and for the rest of its log. Returns the exit status or the signal. */
  async ended(): Promise<number | string | null> {
    const child = this.#child!;
    child.stderr!.resume();
    await this.#closed;
    return child.signalCode ?? child.exitCode;
  }

  /** Stops it, if it is still running, and removes its directory. */
  async stop(): Promise<void> {
    if (this.#child !== undefined) {
      this.signal("SIGTERM");
      await this.ended();
    }
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Waits for a matching line in the log, after the part that the test has already seen. */
  async logged(pattern: RegExp, from = 0): Promise<string> {
    for (const latest = performance.now() + PATIENCE_MS; performance.now() < latest;) {
      const found = pattern.exec(this.#log.slice(from));
      if (found !== null) return found[0];
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`auksd does not log ${pattern}: ${this.#log.slice(from)}`);
  }

  /** Kilobytes of resident memory. */
  get residentKb(): number {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"))![1]);
  }

  /** Runs `auksd` with these arguments and this daemon's configuration, for commands that exit at once. */
  run(...words: string[]) {
    const [program = "", ...args] = [...PROGRAM, "auksd", ...words, "-f", this.config];
    return spawnSync(program, args, { env: this.options.env, encoding: "utf8" });
  }
}

function clockOf(clock: number): NodeJS.ProcessEnv {
  const [date, time] = new Date(clock * 1000).toISOString().replace(/\..*/, "").split("T");
  return {
    TZ: "UTC",
    LD_PRELOAD: FAKETIME,
    FAKETIME: `@${date} ${time}`,
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
}

/** Whether auksd answers the first message of the handshake there. */
export function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(VERSIONS));
    const end = (isAnswered: boolean) => {
      socket.destroy();
      resolve(isAnswered);
    };
    socket.once("data", () => end(true));
    socket.once("error", () => end(false));
    socket.once("close", () => end(false));
  });
}
