// Which local user a principal is, and which addresses a host has: asked in a thread of their own, since the
// name service may take its time, and remembered for a short while.
import { Worker } from "node:worker_threads";
import { AuksError, type AuksErrorName } from "../../lib/auks/errors.ts";
import { threadFile } from "../../lib/os/thread_file.ts";

/** What the thread is asked. */
export type Question =
  & { readonly id: number }
  & (
    | { readonly principal: string }
    | { readonly host: string }
  );

/** What it answers. */
export interface Answer {
  readonly id: number;
  readonly uid?: number;
  readonly addresses?: readonly Uint8Array[];
  readonly error?: AuksErrorName;
  readonly reason?: string;
}

/** How long a user is remembered, and how long that there is none. */
const KNOWN_MS = 60_000;
const UNKNOWN_MS = 5_000;
/** Principals that are remembered; there are hardly more users. */
const REMEMBERED_MAX = 65_536;
/** How long an answer is waited for, before whoever asked is refused. */
const PATIENCE_MS = 8_000;
/** Questions that may wait; whoever comes then is refused at once. */
const WAITING_MAX = 65_536;

interface Remembered {
  readonly outcome: number | AuksError;
  readonly until: number;
}

interface Waiting {
  resolve(answer: Answer): void;
  readonly timer: NodeJS.Timeout;
}

/** The accounts of this host. */
export class Accounts {
  readonly #remembered = new Map<string, Remembered>();
  readonly #asked = new Map<string, Promise<number>>();
  readonly #waiting = new Map<number, Waiting>();
  readonly #complain: (text: string) => void;
  #worker: Worker | undefined;
  #lastId = 0;

  /** @param complain is told when the thread dies; another one takes its place. */
  constructor(complain: (text: string) => void) {
    this.#complain = complain;
  }

  /**
   * The uid of a principal, if it is remembered.
   *
   * @throws {AuksError} if it is remembered that it has none.
   */
  recall(principal: string): number | undefined {
    const found = this.#remembered.get(principal);
    if (found === undefined || performance.now() >= found.until) return undefined;
    if (found.outcome instanceof AuksError) throw found.outcome;
    return found.outcome;
  }

  /**
   * The uid of the user that a principal is here.
   *
   * @throws {AuksError} CRED_NO_LOCAL_NAME, CRED_NO_ACCOUNT, or GENERIC if the name service takes too long.
   */
  uidOf(principal: string): Promise<number> {
    try {
      const uid = this.recall(principal);
      if (uid !== undefined) return Promise.resolve(uid);
    } catch (error) {
      return Promise.reject(error);
    }
    const asked = this.#asked.get(principal) ?? this.#lookUp(principal);
    this.#asked.set(principal, asked);
    return asked;
  }

  async #lookUp(principal: string): Promise<number> {
    try {
      const answer = await this.#ask({ principal });
      const { uid, error = "GENERIC", reason } = answer;
      const outcome = uid ?? new AuksError(error, reason);
      if (error !== "GENERIC" || uid !== undefined) this.#remember(principal, outcome);
      if (outcome instanceof AuksError) throw outcome;
      return outcome;
    } finally {
      this.#asked.delete(principal);
    }
  }

  #remember(principal: string, outcome: number | AuksError): void {
    this.#remembered.delete(principal);
    if (this.#remembered.size >= REMEMBERED_MAX) {
      for (const oldest of this.#remembered.keys()) {
        this.#remembered.delete(oldest);
        break;
      }
    }
    const lasts = outcome instanceof AuksError ? UNKNOWN_MS : KNOWN_MS;
    this.#remembered.set(principal, { outcome, until: performance.now() + lasts });
  }

  /** The addresses of a host, 4 or 16 bytes each; none if it has none, or nobody says so in time. */
  async addressesOf(host: string): Promise<readonly Uint8Array[]> {
    return (await this.#ask({ host })).addresses ?? [];
  }

  /** Forgets everything, krb5.conf included. */
  forget(): void {
    this.#remembered.clear();
    this.#asked.clear();
    this.#end("the configuration changed meanwhile");
  }

  /** Ends the thread; questions that wait are refused. */
  stop(): void {
    this.#end("auksd is ending");
  }

  #end(reason: string): void {
    void this.#worker?.terminate();
    this.#worker = undefined;
    this.#refuseAll(reason);
  }

  #refuseAll(reason: string): void {
    for (const [id, { resolve, timer }] of this.#waiting) {
      clearTimeout(timer);
      resolve({ id, error: "GENERIC", reason });
    }
    this.#waiting.clear();
  }

  #ask(question: { principal: string } | { host: string }): Promise<Answer> {
    const id = ++this.#lastId;
    if (this.#waiting.size >= WAITING_MAX) {
      return Promise.resolve({
        id,
        error: "GENERIC",
        reason: "too many wait for the name service",
      });
    }
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        resolve({ id, error: "GENERIC", reason: "the name service does not answer in time" });
      }, PATIENCE_MS);
      this.#waiting.set(id, { resolve, timer });
      this.#worker ??= this.#start();
      this.#worker.postMessage({ id, ...question } satisfies Question);
    });
  }

  #start(): Worker {
    const worker = new Worker(threadFile("daemon/auksd/accounts_thread.ts"));
    worker.on("message", (answer: Answer) => {
      const waiting = this.#waiting.get(answer.id);
      if (waiting === undefined) return; // answered too late
      this.#waiting.delete(answer.id);
      clearTimeout(waiting.timer);
      waiting.resolve(answer);
    });
    const died = (reason: string) => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#complain(`the thread that looks up users ended: ${reason}`);
      this.#refuseAll(reason);
    };
    worker.on("error", (error) => died(error.message));
    worker.on("exit", () => died("unexpectedly"));
    worker.unref();
    return worker;
  }
}
