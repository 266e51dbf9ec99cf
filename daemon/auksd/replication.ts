// Keeps the other auksd of a pair up to date: forwards each accepted request to it before answering the client, and
// sends everything again after a lost connection. A separate thread talks to it (replication_thread.ts).
import { Worker } from "node:worker_threads";
import type { Server } from "../../lib/auks/config.ts";
import type { Request } from "../../lib/auks/request.ts";
import { copySecret } from "../../lib/bytes/secret.ts";
import { threadFile } from "../../lib/os/thread_file.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { AuditLimits } from "../process/audit_limits.ts";
import type { Removals } from "./removals.ts";
import type { Store } from "./store.ts";

/** What the thread needs to reach the other auksd. */
export interface PeerSettings {
  readonly peer: Server;
  /** Our own principal and keytab, with which we authenticate. */
  readonly principal: string;
  readonly keytab: string;
  readonly nat: boolean;
}

/** A request to forward. */
export interface ReplicationOrder {
  readonly id: number;
  readonly request: Request & { readonly type: "add" | "remove" };
}

/** The thread's message: the outcome of an order, or a change of the connection. */
export type ReplicationReport =
  | { readonly id: number; readonly failure?: string }
  | { readonly state: PeerState; readonly reason: string };

/** Whether the other auksd can be used; "foreign" is the original's, to which nothing is sent. */
export type PeerState = "up" | "down" | "foreign";

/** How long a client waits for the other auksd, which still gets the ticket afterwards. */
const REPLICATION_TIMEOUT_MS = 2_000;
const RESTART_MS = 1_000;

/** Forwards to one peer until stopped. */
export class Replication {
  readonly #settings: PeerSettings;
  #worker: Worker;
  #isStopped = false;
  readonly #audits = new AuditLimits();
  readonly #place: string;
  readonly #store: Store;
  readonly #log: (text: string) => void;
  readonly #waiting = new Map<number, () => void>();
  readonly #removals: Removals;
  #lastId = 0;
  #state: PeerState | undefined;

  constructor(
    settings: PeerSettings,
    store: Store,
    removals: Removals,
    log: (text: string) => void,
  ) {
    this.#store = store;
    this.#removals = removals;
    this.#log = log;
    this.#place = `${settings.peer.address}:${settings.peer.port}`;
    this.#settings = settings;
    this.#worker = this.#startThread();
  }

  #startThread(): Worker {
    const worker = new Worker(threadFile("daemon/auksd/replication_thread.ts"), {
      workerData: this.#settings,
    });
    worker.on("message", (report: ReplicationReport) => {
      if ("state" in report) this.#changed(report.state, report.reason);
      else this.#settle(report.id, report.failure);
    });
    worker.on("error", (error) => this.#changed("down", error.message));
    worker.on("exit", () => {
      if (this.#isStopped) return;
      this.#changed("down", "the thread that talks to it ended");
      this.#releaseAll();
      setTimeout(() => {
        if (!this.#isStopped) this.#worker = this.#startThread();
      }, RESTART_MS).unref();
    });
    worker.unref();
    return worker;
  }

  /** Whether the other auksd has everything that was accepted. */
  get isUp(): boolean {
    return this.#state === "up";
  }

  /** Forwards a stored ticket; settles once the peer has it, or takes too long. */
  async added(uid: number, krbCred: Uint8Array): Promise<void> {
    await this.addedAgain(uid);
    await this.#send({ type: "add", krbCred: copySecret(krbCred), replicated: true });
  }

  /** Forwards a removal in the same way. @param until when the removed ticket expires. */
  async removed(uid: number, until: number): Promise<void> {
    const removedAt = Math.floor(Date.now() / 1000);
    await this.#keep(this.#removals.add(uid, { removedAt, until }));
    await this.#send({ type: "remove", uid, replicated: true, removedAt });
  }

  /** Records a removal that the peer forwarded, of a ticket that expires at `until`. */
  async removedByPeer(uid: number, removedAt: number, until: number): Promise<void> {
    await this.#keep(this.#removals.add(uid, { removedAt, until }));
  }

  /** Records that a user has a ticket again, on whichever side it was added. */
  async addedAgain(uid: number): Promise<void> {
    await this.#keep(this.#removals.forget(uid));
  }

  /** Whether a ticket that the peer sends again has been removed here. */
  wasRemoved(uid: number, starttime: number): boolean {
    return this.#removals.covers(uid, starttime);
  }

  /** Only logs failures: the store has already changed, so the request has succeeded. At worst, a restart forgets it. */
  async #keep(written: Promise<void>): Promise<void> {
    try {
      await written;
    } catch (error) {
      if (this.#audits.pass("removals") === null) return;
      this.#log(`replication: a restart would forget removals: ${systemText(error)}`);
    }
  }

  /** Ends the thread and the connection. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#releaseAll();
    await this.#worker.terminate();
    await this.#removals.close();
  }

  #releaseAll(): void {
    for (const done of this.#waiting.values()) done();
    this.#waiting.clear();
  }

  #changed(state: PeerState, reason: string): void {
    if (state !== this.#state) {
      const size = this.#store.size;
      this.#log(
        state === "up"
          ? `replication: ${this.#place} is connected, sending it ${size} tickets`
          : `replication: ${this.#place} is not used: ${reason}`,
      );
    }
    this.#state = state;
    if (state !== "up") return;
    for (const [uid, removedAt] of this.#removals.all) {
      void this.#send({ type: "remove", uid, replicated: true, removedAt });
    }
    for (const { krbCred } of this.#store.all()) {
      void this.#send({
        type: "add",
        krbCred: copySecret(krbCred),
        replicated: true,
        resent: true,
      });
    }
  }

  #send(request: ReplicationOrder["request"]): Promise<void> {
    if (!this.isUp) return Promise.resolve();
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, REPLICATION_TIMEOUT_MS);
      this.#waiting.set(id, () => {
        clearTimeout(timer);
        resolve();
      });
      const order: ReplicationOrder = { id, request };
      const bytes = request.type === "add" ? [request.krbCred.buffer as ArrayBuffer] : [];
      this.#worker.postMessage(order, bytes);
    });
  }

  #settle(id: number, failure: string | undefined): void {
    if (failure !== undefined && this.#audits.pass("refused") !== null) {
      this.#log(`replication: ${this.#place} rejected a request: ${failure}`);
    }
    this.#waiting.get(id)?.();
    this.#waiting.delete(id);
  }
}
