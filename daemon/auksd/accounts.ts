// Maps principals to local users and hosts to addresses. A separate thread does it, because the name service may be slow;
// the results are cached for a short while.
import { Worker } from "node:worker_threads";
import { AuksError, type AuksErrorName } from "../../lib/auks/errors.ts";
import { threadFile } from "../../lib/os/thread_file.ts";

/** A question to the thread. */
export type Question =
  & { readonly id: number }
  & (
    | { readonly principal: string }
    | { readonly host: string }
  );

/** Its answer. */
export interface Answer {
  readonly id: number;
  readonly uid?: number;
  readonly addresses?: readonly Uint8Array[];
  readonly error?: AuksErrorName;
  readonly reason?: string;
}

/** How long a user is cached, and how long its absence. */
const KNOWN_MS = 60_000;
const UNKNOWN_MS = 5_000;
/** Maximum number of cached principals; there are rarely more users. */
const REMEMBERED_MAX = 65_536;
/** How long to wait for an answer before the client is refused. */
const PATIENCE_MS = 8_000;
/** Maximum number of waiting questions; further clients are refused at once. */
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

  /** @param complain called if the thread dies; another one replaces it. */
  constructor(complain: (text: string) => void) {
    this.#complain = complain;
  }

  /**
   * The cached UID of a principal, if any.
   *
   * @throws {AuksError} if its absence is cached.
   */
  recall(principal: string): number | undefined {
    const found = this.#remembered.get(principal);
    if (found === undefined || performance.now() >= found.until) return undefined;
    if (found.outcome instanceof AuksError) throw found.outcome;
    return found.outcome;
  }

  /**
   * The UID of the local user for a principal.
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

  /** The addresses of a host, 4 or 16 bytes each; none if it has none, or the answer is late. */
  async addressesOf(host: string): Promise<readonly Uint8Array[]> {
    return (await this.#ask({ host })).addresses ?? [];
  }

  /** Forgets everything, including krb5.conf. */
  forget(): void {
    this.#remembered.clear();
    this.#asked.clear();
    this.#end("the configuration changed meanwhile");
  }

  /** Ends the thread, and refuses waiting questions. */
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
