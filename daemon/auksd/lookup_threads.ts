// The threads that look up names, each answering one question at a time. Normally there is one; more are started only when
// a slow question would hold up others.
import { Worker } from "node:worker_threads";
import type { AuksErrorName } from "../../lib/auks/errors.ts";
import { threadFile } from "../../lib/os/thread_file.ts";

/** A question to a thread. */
export type Question = { readonly principal: string } | { readonly host: string };

/** Its answer. */
export interface Answer {
  readonly uid?: number;
  readonly addresses?: readonly Uint8Array[];
  readonly error?: AuksErrorName;
  readonly reason?: string;
}

/** How long to wait for an answer before the client is refused. */
const LOOKUP_TIMEOUT_MS = 8_000;
/** How long a question may take before the next one gets another thread. */
const SLOW_MS = 200;
/** Maximum number of threads; a name service that hangs for all names takes them all. */
const THREADS_MAX = 4;
/** Maximum number of waiting questions; further clients are refused at once. */
const WAITING_MAX = 65_536;

interface Asked {
  readonly question: Question;
  answer(answer: Answer): void;
}

interface Thread {
  readonly worker: Worker;
  asked: Asked | undefined;
  since: number;
  /** Whether it has read a krb5.conf that is no longer in force, so that it gets no more questions. */
  isRetired: boolean;
}

/** The threads, which start when they are needed. */
export class LookupThreads {
  readonly #threads = new Set<Thread>();
  readonly #queue = new Set<Asked>();
  readonly #complain: (text: string) => void;
  #timer: NodeJS.Timeout | undefined;

  /** @param complain called if a thread dies; another one replaces it. */
  constructor(complain: (text: string) => void) {
    this.#complain = complain;
  }

  /** Asks a question. The answer is an error if it takes too long. */
  ask(question: Question): Promise<Answer> {
    if (this.#queue.size >= WAITING_MAX) {
      return Promise.resolve(failed("too many requests are waiting for the name service"));
    }
    return new Promise((resolve) => {
      const asked: Asked = {
        question,
        answer: (answer) => {
          clearTimeout(timer);
          this.#queue.delete(asked);
          resolve(answer);
        },
      };
      const timer = setTimeout(
        () => asked.answer(failed("the name service does not answer in time")),
        LOOKUP_TIMEOUT_MS,
      );
      this.#queue.add(asked);
      this.#dispatch();
    });
  }

  /** Replaces the threads, so that later questions are answered by threads that have read krb5.conf again. */
  renew(): void {
    for (const thread of this.#threads) {
      thread.isRetired = true;
      if (thread.asked === undefined) this.#end(thread);
    }
  }

  /** Ends all threads. */
  stop(): void {
    clearTimeout(this.#timer);
    for (const thread of this.#threads) this.#end(thread);
    for (const asked of this.#queue) asked.answer(failed("auksd is stopping"));
  }

  #dispatch(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const asked of this.#queue) {
      const thread = this.#freeThread();
      if (thread === undefined) {
        this.#timer = setTimeout(() => this.#dispatch(), SLOW_MS);
        return;
      }
      this.#queue.delete(asked);
      thread.asked = asked;
      thread.since = performance.now();
      thread.worker.postMessage(asked.question);
    }
  }

  /** A thread without a question; a new one if all others are slow. */
  #freeThread(): Thread | undefined {
    const active = [...this.#threads].filter(({ isRetired }) => !isRetired);
    const free = active.find(({ asked }) => asked === undefined);
    if (free !== undefined) return free;
    const now = performance.now();
    const areSlow = active.every(({ since }) => now - since >= SLOW_MS);
    return areSlow && this.#threads.size < THREADS_MAX ? this.#start() : undefined;
  }

  #start(): Thread {
    const worker = new Worker(threadFile("daemon/auksd/accounts_thread.ts"));
    const thread: Thread = { worker, asked: undefined, since: 0, isRetired: false };
    this.#threads.add(thread);
    worker.on("message", (answer: Answer) => {
      const { asked } = thread;
      thread.asked = undefined;
      if (thread.isRetired) this.#end(thread);
      asked?.answer(answer);
      this.#dispatch();
    });
    const died = (reason: string) => {
      if (!this.#threads.delete(thread)) return;
      this.#complain(`the thread that looks up names ended: ${reason}`);
      thread.asked?.answer(failed(reason));
      this.#dispatch();
    };
    worker.on("error", (error) => died(error.message));
    worker.on("exit", () => died("unexpectedly"));
    worker.unref();
    return thread;
  }

  #end(thread: Thread): void {
    this.#threads.delete(thread);
    thread.asked?.answer(failed("auksd is stopping"));
    void thread.worker.terminate();
  }
}

function failed(reason: string): Answer {
  return { error: "GENERIC", reason };
}
