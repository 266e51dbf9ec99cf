// A master of the store, over one connection: which credentials it remembers, and since when it has remembered them all.
import type { StoreAddress } from "../config.ts";
import { type Access, formatAddress } from "./access.ts";
import { Link, ServerRefusal } from "./link.ts";
import { VERDICT, type Verdict } from "./messages.ts";
import { PREFIX, sinceName } from "./names.ts";

/** Lifetime of the entry that is written to count replicas. */
const PROBE_LIFETIME_MS = 60_000;

/** The settings for a master. */
export interface MasterSettings {
  readonly access: Access;
  /** What this munged stores beside each credential. */
  readonly token: string;
  /** Replicas that must have an entry before its question is answered. */
  readonly replicas: number;
  /** Maximum milliseconds for a question. */
  readonly timeout: number;
  /** A hash tag that puts a name on this server; "" unless it belongs to a cluster. */
  readonly tag: string;
}

/** What a server says about itself. */
export interface ServerFacts {
  readonly version: string;
  /** Seconds since the epoch. */
  readonly time: number;
  /** Bytes it may use for data; 0 for no limit. */
  readonly maxMemory: number;
  readonly evictionPolicy: string;
  readonly replicas: number;
}

/** A question to a master. */
export interface Entry {
  readonly name: string;
  /** Milliseconds. */
  readonly lifetime: number;
}

interface Sent extends Entry {
  readonly isAsking: boolean;
}

interface Batched extends Sent {
  readonly resolve: (verdict: Verdict) => void;
  readonly reject: (error: unknown) => void;
}

/** A connection to a master. */
export class Master {
  readonly link: Link;
  readonly facts: ServerFacts;
  /** It may not know all entries made before this time; seconds since the epoch by its clock. */
  readonly since: number;
  readonly #settings: MasterSettings;
  #batch: Batched[] = [];
  #isScheduled = false;

  private constructor(link: Link, facts: ServerFacts, since: number, settings: MasterSettings) {
    this.link = link;
    this.facts = facts;
    this.since = since;
    this.#settings = settings;
  }

  /** Connects to a server and makes sure that it is a master. @throws {Error} with the reason. */
  static async open(address: StoreAddress, settings: MasterSettings): Promise<Master> {
    const { access, replicas, timeout, tag } = settings;
    const link = await Link.open(address, access, timeout, timeout / 2);
    try {
      // If it has too few replicas, another server may have become the master and taken them.
      if (replicas > 0) {
        await link.send("SET", [`${PREFIX}probe${tag}`, "", "PX", `${PROBE_LIFETIME_MS}`]);
        await replicate(link, settings);
      }
      const { info, facts } = await askMaster(link);
      // A server that was restarted, or was a replica until now, may lack entries that were accepted before. Each such term
      // as a master has a unique name, under which the first munged to connect records the time.
      const life = sinceName(info.get("run_id") ?? "", info.get("master_replid") ?? "", tag);
      await link.send("SET", [life, `${facts.time}`, "NX"]);
      const since = Number(await link.send("GET", [life]));
      if (!Number.isInteger(since) || since <= 0) throw new Error(`No time in "${life}"`);
      return new Master(link, facts, since, settings);
    } catch (error) {
      link.close();
      throw new Error(`${formatAddress(address)}: ${(error as Error).message}`, { cause: error });
    }
  }

  /**
   * Stores a credential unless it is there. It is safe to try again after any failure: an entry that this munged has stored
   * itself is not a replay. Its local cache lets only one decode of a credential ask at a time, and none once one was
   * accepted.
   *
   * @param isAsking whether the server takes the entry only because its cluster is moving the slot there.
   * @throws {LinkLost | ServerRefusal}
   */
  remember(entry: Entry, isAsking: boolean): Promise<Verdict> {
    if (this.#settings.replicas === 0) {
      const own = { name: entry.name, lifetime: entry.lifetime, isAsking };
      return this.#set(own).then((stored) =>
        stored === "OK" ? VERDICT.fresh : this.#judgeExisting(own)
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<Verdict>();
    this.#batch.push({ ...entry, isAsking, resolve, reject });
    this.#schedule();
    return promise;
  }

  #schedule(): void {
    if (this.#isScheduled || this.#batch.length === 0) return;
    this.#isScheduled = true;
    queueMicrotask(() => void this.#askBatch());
  }

  /** Sends everything asked so far, and then WAIT, which blocks the connection: the next batch follows its answer. */
  async #askBatch(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    const stored = batch.map((each) => this.#set(each));
    const replicated = replicate(this.link, this.#settings);
    batch.forEach((each, i) => {
      this.#judge(each, stored[i]!, replicated).then(each.resolve, each.reject);
    });
    await replicated.catch(() => {});
    this.#isScheduled = false;
    this.#schedule();
  }

  async #judge(
    entry: Batched,
    stored: Promise<unknown>,
    replicated: Promise<void>,
  ): Promise<Verdict> {
    if (await stored === "OK") {
      await replicated;
      return VERDICT.fresh;
    }
    const verdict = await this.#judgeExisting(entry);
    if (verdict === VERDICT.fresh) {
      // WAIT covers only what was written over this connection; the first attempt may have used another one.
      await this.#send(entry, "PEXPIRE", [entry.name, `${entry.lifetime}`]);
      await replicate(this.link, this.#settings);
    }
    return verdict;
  }

  /** The verdict on an entry that was already there: this munged may have stored it, and the answer got lost. */
  async #judgeExisting(entry: Sent): Promise<Verdict> {
    const holder = await this.#send(entry, "GET", [entry.name]);
    return holder === this.#settings.token ? VERDICT.fresh : VERDICT.replayed;
  }

  #set(entry: Sent): Promise<unknown> {
    const { name, lifetime } = entry;
    return this.#send(entry, "SET", [name, this.#settings.token, "NX", "PX", `${lifetime}`]);
  }

  #send({ isAsking }: Sent, command: string, args: readonly string[]): Promise<unknown> {
    if (isAsking) this.link.send("ASKING", []).catch(() => {}); // the next command fails as well
    return this.link.send(command, args);
  }
}

/** Waits until enough replicas have what was written over a connection. @throws {LinkLost | ServerRefusal} */
async function replicate(link: Link, { replicas, timeout }: MasterSettings): Promise<void> {
  const waitTimeout = Math.floor(timeout / 4); // less than the silence after which a connection counts as lost
  const count = Number(await link.send("WAIT", [`${replicas}`, `${waitTimeout}`]));
  if (!(count >= replicas)) {
    throw new ServerRefusal(`NOREPLICAS ${count} of ${replicas} replicas have the entry`);
  }
}

/** What a server says about itself, if it is a master. @throws {Error} if it is not. */
export async function askMaster(
  link: Link,
): Promise<{ readonly info: ReadonlyMap<string, string>; readonly facts: ServerFacts }> {
  const info = parseInfo(String(await link.send("INFO", [])));
  const role = info.get("role");
  if (role !== "master") throw new Error(`Not a master (role: ${role ?? "unknown"})`);
  const [seconds] = await link.send("TIME", []) as [string, string];
  return { info, facts: factsIn(info, Number(seconds)) };
}

/** The fields of an INFO answer. */
function parseInfo(text: string): ReadonlyMap<string, string> {
  const fields = text.split("\r\n").flatMap((line): [string, string][] => {
    const at = line.indexOf(":");
    return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1)]];
  });
  return new Map(fields);
}

function factsIn(info: ReadonlyMap<string, string>, time: number): ServerFacts {
  return {
    version: info.get("valkey_version") ?? info.get("redis_version") ?? "unknown",
    time,
    maxMemory: Number(info.get("maxmemory") ?? 0),
    evictionPolicy: info.get("maxmemory_policy") ?? "unknown",
    replicas: Number(info.get("connected_slaves") ?? 0),
  };
}
