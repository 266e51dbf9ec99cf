// The three nodes of tests/auks/reference/commands.json on one host: mngt, login and compute, each with its own
// host name, /tmp, /etc/passwd, krb5.conf and keytab, in namespaces that end with the test.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { MAIN } from "../harness/programs.ts";
import type { Kdc } from "./kdc.ts";

/** What nodes need, for suite(). */
export const NODE_NEEDS = {
  root: process.getuid!() === 0,
  "unshare and nsenter of util-linux": existsSync("/usr/bin/unshare"),
  "setpriv of util-linux": existsSync("/usr/bin/setpriv"),
} as const;

/** UIDs of the accounts on every node. */
export const ACCOUNTS: Readonly<Record<string, number>> = {
  root: 0,
  bob: 2000,
  alice: 2001,
  carol: 2002,
  dave: 2003,
};

/** The outcome of a command. */
export interface CommandResult {
  readonly status: number;
  readonly out: string;
  readonly err: string;
  readonly seconds: number;
}

/** What a command has printed so far. */
export type Output = Record<"out" | "err", string>;

/** A signal for a command. */
export interface DueSignal {
  readonly name: NodeJS.Signals;
  /** Whether the command has done what it does before. */
  readonly isDue: (output: Readonly<Output>) => Promise<boolean>;
}

/** How to run a command. */
export interface CommandOptions {
  readonly account: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Signals to end it, in order. */
  readonly signals?: readonly DueSignal[];
}

/** The project's directory, and its path on a node. */
const ROOT = join(import.meta.dirname, "../..");
const PROJECT = "/etc/auks/project";
export const inNode = (path: string) => path.replace(ROOT, PROJECT);

/** A host with its own name and files. */
export class Node {
  readonly #holder: ChildProcess;
  readonly #pid: number;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
    this.#pid = holder.pid!;
  }

  /** Starts a node. @param files their text, or where to copy them from, by their path in the node. */
  static async start(
    name: string,
    kdc: Kdc,
    files: Readonly<Record<string, string | { readonly copyOf: string }>>,
  ): Promise<Node> {
    const scratch = join(kdc.directory, `node-${name}`);
    const setUp = [
      `mkdir -p ${scratch}/layer`,
      `mount -t tmpfs tmpfs ${scratch}/layer`,
      `mkdir ${scratch}/layer/upper ${scratch}/layer/work`,
      `mount -t overlay overlay ` +
      `-o lowerdir=/etc,upperdir=${scratch}/layer/upper,workdir=${scratch}/layer/work /etc`,
      `hostname ${name}`,
      `cp ${kdc.directory}/krb5.conf /etc/krb5.conf`,
      `cp ${kdc.keytab(`host/${name}.realm.a`)} /etc/krb5.keytab`,
      `mkdir -p /etc/auks/bin ${PROJECT}`,
      `mount --bind ${ROOT} ${PROJECT}`, // it may be below /tmp
      "mount -t tmpfs -o mode=1777 tmpfs /tmp",
      "echo ready",
      "exec sleep infinity",
    ];
    const holder = spawn("/usr/bin/unshare", ["--mount", "--uts", "sh", "-ec", setUp.join("\n")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve, reject) => {
      holder.stdout.once("data", resolve);
      holder.once("exit", () => reject(new Error(`node ${name} does not start`)));
    });
    const node = new Node(holder);
    node.write("/etc/passwd", passwd());
    node.write("/etc/hosts", "127.0.0.1 localhost mngt login compute\n");
    for (const applet of ["auks", "auksd", "auksdrenewer", "aukspriv"]) {
      const path = `/etc/auks/bin/${applet}`;
      node.write(
        path,
        `#!/bin/sh\nexec ${inNode(process.execPath)} ${inNode(MAIN)} ${applet} "$@"\n`,
        0o755,
      );
    }
    for (const [path, content] of Object.entries(files)) {
      if (typeof content === "string") node.write(path, content);
      else node.write(path, readFileSync(content.copyOf));
    }
    return node;
  }

  /** Writes a file of the node. */
  write(path: string, content: string | Uint8Array, mode = 0o644): void {
    const { status, stderr } = spawnSync("/usr/bin/nsenter", [
      ...this.#enter,
      "sh",
      "-c",
      'cat >"$1" && chmod "$2" "$1"',
      "sh",
      path,
      mode.toString(8),
    ], { input: content });
    if (status !== 0) throw new Error(`${path}: ${stderr}`);
  }

  /** Runs a shell command line as one of the accounts. */
  async run(command: string, options: CommandOptions): Promise<CommandResult> {
    const started = performance.now();
    const child = this.start(command, options);
    const limit = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
    const output: Output = { out: "", err: "" };
    const collect = async (stream: NodeJS.ReadableStream, name: keyof Output) => {
      for await (const chunk of stream) output[name] += chunk;
    };
    const [status] = await Promise.all([
      new Promise<number>((resolve) =>
        child.on("exit", (code, signal) => resolve(code ?? 128 + SIGNALS[signal!]!))
      ),
      collect(child.stdout!, "out"),
      collect(child.stderr!, "err"),
      this.#send(child, options.signals ?? [], output),
    ]);
    clearTimeout(limit);
    return { status, ...output, seconds: (performance.now() - started) / 1000 };
  }

  /** Sends signals when they are due, unless the command ends before. */
  async #send(
    child: ChildProcess,
    signals: readonly DueSignal[],
    output: Readonly<Output>,
  ): Promise<void> {
    for (const { name, isDue } of signals) {
      while (!await isDue(output)) {
        if (child.exitCode !== null || child.signalCode !== null) return;
        await pause(50);
      }
      child.kill(name);
    }
  }

  /** Starts a shell command line as one of the accounts. */
  start(command: string, { account, environment = {} }: CommandOptions): ChildProcess {
    const id = `${ACCOUNTS[account]}`;
    const variables = {
      PATH: "/etc/auks/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      LC_ALL: "C",
      TZ: "UTC",
      KRB5RCACHENAME: "none:",
      ...environment,
    };
    return spawn("/usr/bin/nsenter", [
      ...this.#enter,
      "setpriv",
      "--reuid",
      id,
      "--regid",
      id,
      "--clear-groups",
      "env",
      "-i",
      ...Object.entries(variables).map(([name, value]) => `${name}=${value}`),
      "sh",
      "-c",
      command,
    ], { stdio: ["ignore", "pipe", "pipe"] });
  }

  /** Ends the node. */
  stop(): void {
    this.#holder.kill("SIGKILL");
  }

  get #enter(): string[] {
    return ["-t", `${this.#pid}`, "--mount", "--uts", "--wd=/", "--"];
  }
}

/** The time limit for any command. */
const LIMIT_MS = 120_000;

const SIGNALS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGTERM: 15,
};

function passwd(): string {
  const own = readFileSync("/etc/passwd", "utf8");
  const more = Object.entries(ACCOUNTS).filter(([name]) => name !== "root")
    .map(([name, uid]) => `${name}:x:${uid}:${uid}::/:/bin/sh\n`);
  return own + more.join("");
}
