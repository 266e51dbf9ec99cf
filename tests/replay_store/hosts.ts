// Two hosts of a realm, each with a munged of its own that asks the same store, and traffic between them that counts how
// often each credential is accepted.
import { setTimeout as pause } from "node:timers/promises";
import type { Status } from "../../daemon/munged/observe/status.ts";
import { Munge } from "../../mod.ts";
import { type Munged, Realm } from "../harness/realm.ts";

/** A host. */
export interface Host {
  readonly munged: Munged;
  readonly munge: Munge;
}

/** Two hosts with the same key. */
export class Hosts {
  readonly realm = new Realm();
  readonly hosts: Host[] = [];
  /** Called before the hosts are closed. */
  readonly closing: (() => Promise<void>)[] = [];

  /** Starts them. @param args munged's options. @param perHost options that differ. */
  static async start(args: readonly string[], perHost: readonly (readonly string[])[] = [[], []]) {
    const hosts = new Hosts();
    for (const own of perHost) await hosts.add([...args, ...own]);
    return hosts;
  }

  /** Starts another one. */
  async add(args: readonly string[]): Promise<Host> {
    const munged = await this.realm.start("ours", args);
    const host = { munged, munge: new Munge({ socketPath: munged.socket, timeoutMs: 30_000 }) };
    this.hosts.push(host);
    return host;
  }

  /** What a host's munged says about itself. */
  status(host: number): Status {
    const socket = this.hosts[host]!.munged.socket;
    const { out, err } = this.realm.run("ours", "munged", [
      "--status",
      "--json",
      `--socket=${socket}`,
    ]);
    if (out === "") throw new Error(err);
    return JSON.parse(out);
  }

  /** Waits until all can ask the store, which remembers every credential that is made from then on. */
  async connected(): Promise<void> {
    await until(() => this.hosts.every((_, host) => this.status(host).replay_store!.reachable));
    await nextSecond();
  }

  async close(): Promise<void> {
    for (const step of this.closing) await step();
    await this.realm.close();
  }
}

/** Waits until something holds. @throws {Error} if it takes long, even on a busy machine. */
export async function until(isSo: () => boolean, milliseconds = 120_000): Promise<void> {
  const deadline = performance.now() + milliseconds;
  for (;;) {
    const begun = performance.now();
    if (isSo()) return;
    const end = performance.now();
    if (end > deadline) throw new Error("It did not happen in time");
    // Asking may take long on a busy machine, and nothing passes this process's network meanwhile.
    await pause(Math.max(20, 2 * (end - begun)));
  }
}

/** Waits until the clock's next second: a credential is younger than a memory that begins now only if its second is. */
export function nextSecond(): Promise<void> {
  return pause(1_020 - Date.now() % 1_000);
}

/** The result of a decode: `ok`, or the error's name. */
export async function outcome(host: Host, credential: string): Promise<string> {
  try {
    await host.munge.decode(credential);
    return "ok";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

/** Credentials that both hosts decode, again and again. */
export class Traffic {
  readonly #hosts: readonly Host[];
  readonly #clients: Promise<void>[];
  #isStopped = false;
  /** How often each credential was accepted. */
  readonly accepted = new Map<string, number>();
  /** How often each result occurred, over all decodes. */
  readonly outcomes = new Map<string, number>();

  /**
   * Starts it.
   *
   * @param clients number of credentials under way at a time.
   * @param everywhere whether both hosts decode each credential at the same time, or only one of them.
   */
  constructor(hosts: Hosts, clients: number, everywhere = true) {
    this.#hosts = hosts.hosts;
    this.#clients = Array.from({ length: clients }, (_, i) => this.#run(i, everywhere));
    hosts.closing.push(() => this.#end());
  }

  /** Credentials that were accepted more than once. */
  get doubles(): number {
    return [...this.accepted.values()].filter((count) => count > 1).length;
  }

  /** Number of decodes with a result. */
  count(result: string): number {
    return this.outcomes.get(result) ?? 0;
  }

  /** Waits for more decodes with a result. */
  async more(result: string, count: number): Promise<void> {
    const enough = this.count(result) + count;
    await until(() => this.count(result) >= enough);
  }

  /** Ends it, and presents every credential to every host once more. */
  async stop(): Promise<void> {
    await this.#end();
    const credentials = [...this.accepted.keys()];
    while (credentials.length > 0) {
      const some = credentials.splice(-50);
      for (const host of this.#hosts) {
        await Promise.all(some.map((credential) => this.#decode(host, credential)));
      }
    }
  }

  async #end(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#clients);
  }

  async #run(client: number, everywhere: boolean): Promise<void> {
    for (let i = client; !this.#isStopped; i++) {
      const credential = await this.#hosts[i % 2]!.munge.encode();
      this.accepted.set(credential, 0);
      const decoders = everywhere ? this.#hosts : [this.#hosts[(i >> 1) % 2]!];
      await Promise.all(decoders.map((host) => this.#decode(host, credential)));
    }
  }

  async #decode(host: Host, credential: string): Promise<void> {
    const result = await outcome(host, credential);
    this.outcomes.set(result, (this.outcomes.get(result) ?? 0) + 1);
    if (result === "ok") this.accepted.set(credential, this.accepted.get(credential)! + 1);
  }
}
