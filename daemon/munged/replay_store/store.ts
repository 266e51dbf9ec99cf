// The store, as its thread sees it: answers each question in time, whatever happens to servers and connections. A question
// that can't be answered with certainty is answered with "unavailable"; the worker decides what that means for the client.
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../../process/log.ts";
import { formatAddress } from "./access.ts";
import type { StoreFigures } from "./figures.ts";
import { LinkLost, ServerRefusal } from "./link.ts";
import type { Master } from "./master.ts";
import { type Question, type StoreConfig, VERDICT, type Verdict } from "./messages.ts";
import { Servers } from "./servers.ts";
import { clockGrace, tooOldText, unavailableText } from "./trouble.ts";

/** Pause before asking again a server that refused for a temporary reason. */
const RETRY_PAUSE_MS = 30;

/** What to do about a server's refusal, by its first word; anything else is final for the question. */
const REMEDIES: Readonly<Record<string, "ask" | "elsewhere" | "later" | "reconnect">> = {
  ASK: "ask",
  MOVED: "elsewhere",
  CLUSTERDOWN: "elsewhere",
  READONLY: "reconnect",
  NOAUTH: "reconnect",
  UNBLOCKED: "reconnect",
  LOADING: "later",
  MASTERDOWN: "later",
  NOREPLICAS: "later",
  TRYAGAIN: "later",
  BUSY: "later",
};

/** A question that is being asked. */
interface Pending {
  readonly question: Question;
  readonly answer: (verdict: Verdict) => void;
  /** Milliseconds of the monotonic clock. */
  readonly asked: number;
  isAnswered: boolean;
}

/** The store. */
export class ReplayStore {
  readonly #config: StoreConfig;
  readonly #figures: StoreFigures;
  readonly #log: Logger;
  readonly #servers: Servers;
  /** Questions without an answer, the oldest first. */
  readonly #pending = new Set<Pending>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param token what this munged stores beside each credential. */
  constructor(config: StoreConfig, token: string, figures: StoreFigures, log: Logger) {
    this.#config = config;
    this.#figures = figures;
    this.#log = log;
    this.#servers = new Servers(config, token, figures, log);
  }

  /** Asks whether a credential is new in its realm; answers within the store's time limit. */
  ask(question: Question, answer: (verdict: Verdict) => void): void {
    const pending = { question, answer, asked: performance.now(), isAnswered: false };
    this.#pending.add(pending);
    this.#timer ??= setTimeout(() => this.#expire(), this.#config.replayStoreTimeout);
    this.#servers.use();
    this.#attempt(pending);
  }

  /** Asks the master that has the credential's name, or waits for a connection to it. */
  #attempt(pending: Pending): void {
    if (pending.isAnswered) return;
    const { question } = pending;
    const master = this.#servers.masterOf(question.name);
    if (master === undefined) {
      if (this.#servers.isUnavailable) this.#giveUp(pending, this.#servers.trouble!);
      else void this.#servers.nextChange.then(() => this.#attempt(pending));
      return;
    }
    // Another host may have decoded it before the server's records begin. Times are whole seconds.
    const since = master.since + clockGrace(this.#config);
    if (question.encodeTime <= since) {
      this.#log.limited("store since", "warning", tooOldText(since, this.#config));
      this.#settle(pending, VERDICT.tooOld);
      return;
    }
    master.remember(question, false).then(
      (verdict) => this.#settle(pending, verdict),
      (error: unknown) => this.#recover(pending, master, error),
    );
  }

  /** Tries again after a failure, unless it is final. */
  async #recover(pending: Pending, master: Master, error: unknown): Promise<void> {
    try {
      const verdict = await this.#remedy(pending.question, master, error);
      if (verdict !== null) this.#settle(pending, verdict);
      else this.#attempt(pending);
    } catch (final) {
      this.#giveUp(pending, `${formatAddress(master.link.address)}: ${(final as Error).message}`);
    }
  }

  /** Reacts to a failure. Returns a verdict, or null to try again. @throws a final failure. */
  async #remedy(question: Question, master: Master, error: unknown): Promise<Verdict | null> {
    if (error instanceof LinkLost) return null; // there is a new connection now, or none
    if (!(error instanceof ServerRefusal)) throw error;
    switch (REMEDIES[error.word]) {
      case "ask": {
        // "ASK slot host:port": the slot is being moved, and new entries go to its new place.
        const next = this.#servers.masterAt(error.message.split(" ")[2]!);
        if (next !== undefined) return await next.remember(question, true);
        await sleep(RETRY_PAUSE_MS);
        return null;
      }
      case "elsewhere":
        this.#servers.rediscover(error.message);
        await this.#servers.nextChange;
        return null;
      case "reconnect":
        master.link.close();
        await this.#servers.nextChange;
        return null;
      case "later":
        await sleep(RETRY_PAUSE_MS);
        return null;
      default:
        throw error;
    }
  }

  #settle(pending: Pending, verdict: Verdict): void {
    if (pending.isAnswered) return;
    pending.isAnswered = true;
    this.#pending.delete(pending);
    this.#figures.answered(verdict, performance.now() - pending.asked);
    pending.answer(verdict);
  }

  #giveUp(pending: Pending, reason: string): void {
    if (pending.isAnswered) return;
    this.#log.limited("replay store", "error", unavailableText(reason, this.#config));
    this.#settle(pending, VERDICT.unavailable);
  }

  /** Gives up on questions whose time is over. While there are none, there is no timer. */
  #expire(): void {
    this.#timer = undefined;
    const { replayStoreTimeout } = this.#config;
    const now = performance.now();
    for (const pending of this.#pending) {
      const left = pending.asked + replayStoreTimeout - now;
      if (left > 0) {
        this.#timer = setTimeout(() => this.#expire(), Math.ceil(left));
        return;
      }
      this.#giveUp(pending, this.#servers.trouble ?? `No answer within ${replayStoreTimeout} ms`);
    }
  }
}
