// A cluster for the tests: hosts in network namespaces, each with its own munged, files and clock, and a load of
// credentials sent from every host to every other.
import { hasFaketime, withClockOff } from "../harness/clock.ts";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Status } from "../../daemon/munged/observe/status.ts";
import { MungeClient } from "../../lib/client/protocol.ts";
import { errorText } from "../../lib/errors.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { type Make } from "../harness/programs.ts";
import { until } from "../harness/until.ts";
import { encodeRequest } from "../requests.ts";

function ip(...args: string[]): void {
  const { status, stderr } = spawnSync("ip", args);
  assert.equal(status, 0, `ip ${args.join(" ")}: ${stderr}`);
}

/** The number of requests that hosts have not answered yet; none for those that have answered all. */
const pending = new Map<Peer, number>();

/** Has a host count as busy during a request. */
async function busy<T>(host: Peer, request: Promise<T>): Promise<T> {
  pending.set(host, (pending.get(host) ?? 0) + 1);
  try {
    return await request;
  } finally {
    const left = pending.get(host)! - 1;
    if (left === 0) pending.delete(host);
    else pending.set(host, left);
  }
}

/** Whether namespaces and faketime are available here. */
export function hasClusters(): boolean {
  const name = `munge-probe-${process.pid}`;
  if (spawnSync("ip", ["netns", "add", name]).status !== 0) return false;
  ip("netns", "delete", name);
  return hasFaketime;
}

/** A host as the load needs it. */
export interface Peer {
  readonly make: Make;
  readonly number: number;
  readonly socket: string;
  /** Whether the load includes it. */
  readonly decodes: boolean;
  encodes: boolean;
}

/** One host. */
export class Host implements Peer {
  readonly make: Make;
  readonly number: number;
  readonly keyFile: string;
  readonly address: string;
  /** Seconds by which its clock is ahead. */
  skew = 0;
  decodes = true;
  encodes = true;
  readonly #files: Realm;
  readonly #namespace: string;
  #munged: Munged | undefined;
  #isUp = false;

  constructor(make: Make, number: number, key: Uint8Array) {
    this.make = make;
    this.number = number;
    this.address = `10.77.0.${number}`;
    this.#namespace = `munge-${process.pid}-${number}`;
    ip("netns", "add", this.#namespace);
    this.#files = new Realm(key);
    this.keyFile = join(this.#files.directory, "key");
    ip("-n", this.#namespace, "link", "set", "lo", "up");
    // On the loopback interface, because not every kernel offers another kind.
    ip("-n", this.#namespace, "address", "add", `${this.address}/32`, "dev", "lo");
  }

  /** Starts its munged, at the time of its own clock. */
  async start(...options: string[]): Promise<void> {
    const args = this.make === "ours" ? options : [];
    const wrapper = ["ip", "netns", "exec", this.#namespace, ...this.#clock()];
    this.#munged = await this.#files.start(
      this.make,
      [`--origin=${this.address}`, "--force", ...args],
      wrapper,
    );
    this.decodes = this.encodes = this.#isUp = true;
  }

  /** The command that runs a program at this host's time. */
  #clock(): string[] {
    return this.skew === 0 ? [] : withClockOff(this.skew);
  }

  /** Takes it down, once no request is pending. */
  async stop(): Promise<void> {
    this.decodes = this.encodes = this.#isUp = false;
    await until("no request is pending", () => !pending.has(this));
    await this.#munged!.stop();
  }

  async remove(): Promise<void> {
    await this.#files.close();
    ip("netns", "delete", this.#namespace);
  }

  get socket(): string {
    return this.#munged!.socket;
  }

  log(): string {
    return this.#munged!.log();
  }

  /** The output of munged --status. */
  status(): Status {
    const args = ["--status", "--json", "-S", this.socket];
    return JSON.parse(this.#files.run("ours", "munged", args).out) as Status;
  }

  /** Runs mungekey on its keys, which must succeed, and notifies munged. */
  mungekey(...args: string[]): void {
    const words = [...this.#clock(), this.#files.program("ours", "mungekey"), "-k", this.keyFile];
    const { status, stderr } = spawnSync(words[0]!, [...words.slice(1), ...args]);
    assert.equal(status, 0, stderr?.toString());
    const old = `${this.keyFile}.old`;
    if (this.skew !== 0 && existsSync(old)) {
      const now = Date.now() / 1000 + this.skew; // the kernel's clock is the only one that can't be faked
      utimesSync(old, now, now);
    }
    if (!this.#isUp) return;
    process.kill(Number(readFileSync(join(dirname(this.socket), "pid"), "utf8")), "SIGHUP");
  }

  /** Replaces the active key, as one does for the reference. */
  installKey(key: Uint8Array): void {
    writeFileSync(this.keyFile, key, { mode: 0o600 });
  }
}

/** Sends credentials from every host to every other until stopped. */
export class Load {
  readonly #hosts: readonly Peer[];
  readonly #clients: Promise<void>[] = [];
  readonly #restMs: number;
  #running = true;
  /** Number of accepted credentials. */
  accepted = 0;
  /** `from 1 to 2: Invalid credential`, with the number of each. */
  readonly refused = new Map<string, number>();

  /** @param restMs for which each client rests before the next credential. */
  constructor(hosts: readonly Peer[], clients: number, restMs = 0) {
    this.#hosts = hosts;
    this.#restMs = restMs;
    for (let client = 0; client < clients; client++) this.#clients.push(this.#send(client));
  }

  /** Settles when each pair has been tried a few more times. */
  async pass(): Promise<void> {
    const enough = this.accepted + 4 * this.#hosts.length ** 2;
    await until("more of the load is accepted", () => this.accepted >= enough);
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#clients);
  }

  async #send(start: number): Promise<void> {
    const count = this.#hosts.length;
    for (let turn = start; this.#running; turn++) {
      const from = this.#hosts[turn % count]!;
      const to = this.#hosts[Math.floor(turn / count) % count]!;
      if (from.encodes && to.decodes) await this.#deliver(from, to);
      else await pause(1);
      if (this.#restMs > 0) await pause(this.#restMs);
    }
  }

  async #deliver(from: Peer, to: Peer): Promise<void> {
    // The reference allows no drift beyond the time-to-live.
    const ttl = to.make === "ours" ? 60 : 300;
    const credential = await encode(from, ttl);
    if (!to.decodes) return; // it was taken down meanwhile
    const errno = await decode(to, credential);
    if (errno === 0) {
      this.accepted++;
      return;
    }
    const what = `from ${from.number} to ${to.number}: ${errorText(errno)}`;
    this.refused.set(what, (this.refused.get(what) ?? 0) + 1);
  }
}

/** A credential made on a host. */
export async function encode(host: Peer, ttl: number): Promise<Uint8Array> {
  const request = encodeRequest({ ttl });
  const made = busy(host, new MungeClient(host.socket).encode(request));
  const { errno, errorText, credential } = await made;
  assert.equal(errno, 0, errorText);
  return credential;
}

/** The error number with which a host answers a credential. */
export async function decode(host: Peer, credential: Uint8Array): Promise<number> {
  return (await busy(host, new MungeClient(host.socket).decode({ credential }))).errno;
}
