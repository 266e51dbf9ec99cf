// Real stores for the tests: Debian's redis-server, and a network between it and munged that the tests can disturb.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

/** Whether Debian's packages are installed. */
export const hasRedis = existsSync("/usr/bin/redis-server") && existsSync("/usr/bin/redis-cli") &&
  existsSync("/usr/bin/redis-sentinel");

const START_TIMEOUT_MS = 60_000;

/** Ports below those that the system assigns, so that a restarted server finds its own free. */
const FIRST_PORT = 12_000;
const PORTS = 20_000;

/** What {@linkcode freePort} has returned. */
const given = new Set<number>();

/** A port that nothing uses now, and that is returned only once. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
    if (given.has(port)) continue;
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    given.add(port);
    return port;
  }
}

/** How to start a server. */
export interface RedisOptions {
  /** More options of redis-server; it listens on `port`. */
  readonly args?: readonly string[];
  /** Whether it takes TLS connections only. */
  readonly tls?: boolean;
  /** More options for redis-cli, such as a password. */
  readonly cli?: readonly string[];
  /** The text of a configuration file, which the server may change. */
  readonly configuration?: string;
}

/** A redis-server, which keeps nothing on disk unless its options say so. */
export class Redis {
  readonly port: number;
  readonly directory: string = mkdtempSync("/tmp/replay-store-");
  readonly #args: readonly string[];
  readonly #cli: readonly string[];
  #child: ChildProcess | undefined;

  private constructor(
    port: number,
    { args = [], tls = false, cli = [], configuration }: RedisOptions,
  ) {
    this.port = port;
    const file = join(this.directory, "redis.conf");
    if (configuration !== undefined) writeFileSync(file, configuration);
    const ports = tls ? ["--port", "0", "--tls-port", `${port}`] : ["--port", `${port}`];
    this.#args = [...configuration === undefined ? [] : [file], ...ports, ...args];
    this.#cli = cli;
  }

  /** Starts a server. */
  static async start(options: RedisOptions = {}): Promise<Redis> {
    const redis = new Redis(await freePort(), options);
    await redis.restart();
    return redis;
  }

  /** Starts it, again and empty. */
  async restart(): Promise<void> {
    this.#child = spawn("redis-server", [
      ...this.#args,
      ...["--save", "", "--dir", this.directory],
    ], {
      stdio: "ignore",
    });
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!/PONG|NOAUTH|NOPERM/.test(this.command("PING"))) {
      if (performance.now() > deadline) throw new Error("redis-server did not start");
      await pause(10);
    }
  }

  /** Runs one command. Returns what redis-cli prints. */
  command(...words: readonly string[]): string {
    const args = ["-p", `${this.port}`, ...this.#cli, ...words];
    const { stdout, stderr } = spawnSync("redis-cli", args, { encoding: "utf8", timeout: 60_000 });
    return `${stdout}${stderr}`.trim();
  }

  /** Sends it a signal. */
  signal(name: "SIGSTOP" | "SIGCONT"): void {
    this.#child!.kill(name);
  }

  /** Kills it at once. */
  async kill(): Promise<void> {
    const child = this.#child!;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }

  /** Kills it, and leaves nothing behind. */
  async close(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A network between munged and a server. */
export class Network {
  /** Milliseconds for each way. */
  delay = 0;
  /** Drops everything on one of the ways, or on both. */
  drops: "none" | "requests" | "answers" | "both" = "none";
  readonly #target: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => this.#join(client));
  }

  /** A network to a port of this host. */
  static async to(port: number): Promise<Network> {
    const network = new Network(port);
    await new Promise<void>((resolve) => network.#server.listen(0, "127.0.0.1", resolve));
    return network;
  }

  /** The port at munged's end. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Closes all connections. */
  reset(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Takes the network away. */
  async close(): Promise<void> {
    this.reset();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket): void {
    const server = connect(this.#target, "127.0.0.1");
    for (
      const [from, to, way] of [[client, server, "requests"], [server, client, "answers"]] as const
    ) {
      this.#sockets.add(from);
      from.setNoDelay();
      from.on("data", (bytes) => {
        if (this.drops === "both" || this.drops === way) return;
        if (this.delay === 0) to.write(bytes);
        else setTimeout(() => to.destroyed || to.write(bytes), this.delay);
      });
      from.on("error", () => {});
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}
