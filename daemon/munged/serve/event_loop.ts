// A worker's event loop: which socket is ready, whose turn it is, who is charged for the time, and what to do when idle. It
// blocks only in libc, and never waits for a particular client. listener.ts and exchange.ts serve the clients.
import { openPoller, type Poller } from "../../../lib/os/poller.ts";
import { lastDescriptors } from "../../../lib/os/process.ts";
import type { Logger } from "../../process/log.ts";
import type { WorkerCounters } from "../observe/counters.ts";
import type { Verdict } from "../replay_store/messages.ts";
import type { StoreQuestions } from "../replay_store/questions.ts";
import type { Peer, WorkerContext } from "./context.ts";
import { Activity } from "./activity.ts";
import { Descriptors } from "./descriptors.ts";
import { Exchange } from "./exchange.ts";
import { Leftovers } from "./leftovers.ts";
import { Listener } from "./listener.ts";
import { Retries } from "./retries.ts";
import { Standby } from "./standby.ts";
import { Turns } from "./turns.ts";
import type { FromWorker, WorkerSettings } from "./worker_messages.ts";

/** Descriptors reserved for the replay cache's tables and other files. */
const SPARE_DESCRIPTORS = 14;
/** How long to serve clients waiting for their turn before checking for new ones. */
const TURN_MS = 0.25;
/** How often to check clients that wait for another worker. */
const BLOCKED_MS = 1;

/** What the loop needs. */
export interface EventLoopParts {
  readonly settings: WorkerSettings;
  readonly context: WorkerContext;
  readonly counters: WorkerCounters;
  /** Null if there is no store. */
  readonly questions: StoreQuestions | null;
  readonly log: Logger;
  report(message: FromWorker): void;
}

/** The event loop of one worker. */
export class EventLoop {
  readonly #counters: WorkerCounters;
  readonly #questions: StoreQuestions | null;
  readonly #report: EventLoopParts["report"];
  readonly #poller: Poller;
  readonly #descriptors: Descriptors;
  readonly #standby: Standby;
  readonly #retries: Retries;
  readonly #activity: Activity;
  readonly #turns: Turns;
  readonly #exchange: Exchange;
  readonly #listener: Listener;
  readonly #leftovers: Leftovers;
  /** What to do when a descriptor that is not a client's is ready. */
  readonly #sources = new Map<number, () => void>();

  /** When something was last done for a client. */
  #clock = performance.now();
  /** Requests that had been answered at that time. */
  #answered = 0;
  /** Whether all clients waiting for their turn wait for other workers. */
  #isBlocked = false;
  #isStopping = false;
  /** Whether it was told to rest, and has not yet reported that no client is left. */
  #isWindingDown = false;

  constructor({ settings, context, counters, questions, log, report }: EventLoopParts) {
    this.#counters = counters;
    this.#questions = questions;
    this.#report = report;
    const firstSpare = lastDescriptors(SPARE_DESCRIPTORS);
    this.#poller = openPoller();
    this.#descriptors = new Descriptors(settings.descriptors, settings.number);
    if (this.#poller.descriptor !== null) this.#descriptors.own(this.#poller.descriptor);
    this.#standby = new Standby(settings.standby, settings.number);
    this.#retries = new Retries(this.#standby, this.#descriptors);
    this.#activity = new Activity(settings.activity);
    this.#turns = new Turns(settings.turns, settings.number);
    this.#exchange = new Exchange({
      context,
      counters,
      descriptors: this.#descriptors,
      limits: settings.parking,
      poller: this.#poller,
      retries: this.#retries,
      log,
      expectLong: () => this.#standby.endAccepting(),
      mustWait: ({ uid }) => this.#turns.mustWait(uid, this.#clock),
      awaitTurn: (client) => this.#turns.add(client),
    });
    this.#leftovers = new Leftovers(() => this.#exchange.received);
    this.#listener = new Listener({
      socket: settings.listener,
      poller: this.#poller,
      standby: this.#standby,
      descriptors: this.#descriptors,
      firstSpare,
      log,
      serve: (fd, peer) => this.#serveNew(fd, peer),
      makeRoom: () => this.#exchange.makeRoom(),
      parkFewer: () => {
        if (!this.#exchange.kept.makeRoom()) this.#exchange.parked.keepFewer();
      },
      accepting: settings.accepting,
    });
    this.#sources.set(settings.listener, () => this.#listener.accept());
    if (questions !== null) {
      const decide = (question: number, verdict: Verdict) => this.#decide(question, verdict);
      this.watch(questions.wake, () => questions.take(decide));
    }
  }

  /** Calls `attend` whenever a descriptor can be read. */
  watch(fd: number, attend: () => void): void {
    this.#poller.add(fd, "read");
    this.#sources.set(fd, attend);
  }

  /** Ends a {@linkcode watch}. */
  unwatch(fd: number): void {
    this.#poller.remove(fd);
    this.#sources.delete(fd);
  }

  /** Serves until {@linkcode stop}, and then until no client is left. */
  run(): void {
    const { kept, parked } = this.#exchange;
    for (;;) {
      const count = this.#poller.wait(this.#waitTime());
      this.#clock = performance.now();
      if (count === 0 && this.#listener.isWatching) this.#leftovers.giveBack();
      for (let i = 0; i < count; i++) {
        const fd = this.#poller.ready(i);
        const attend = this.#sources.get(fd);
        if (attend === undefined) this.#resume(fd);
        else attend();
      }
      this.#takeTurns();
      if (parked.users > 1) this.#leftovers.limitGarbage();
      if (this.#retries.hasWaiting) {
        this.#exchange.answerRetries(this.#clock, ({ uid }) => this.#charge(uid));
      }
      parked.cutOff(this.#clock);
      kept.cutOff(this.#clock);
      this.#listener.tick(this.#clock);
      this.#questions?.flush();
      if (this.#exchange.size > 0) continue;
      if (this.#isStopping) break;
      if (this.#isWindingDown) {
        this.#isWindingDown = false;
        this.#report({ kind: "resting" });
      }
    }
    if (this.#poller.descriptor !== null) this.#descriptors.hangUp(this.#poller.descriptor);
  }

  /** Accepts connections from the socket to which the listening descriptor now refers, unless it is not accepting any. */
  rewatchListener(): void {
    if (this.#listener.isWatching) this.#listener.rewatch();
  }

  /** Stops accepting connections until {@linkcode accept}, and reports when no client is left. */
  rest(graceMs: number): void {
    this.#isWindingDown = true;
    this.#listener.rest();
    this.#exchange.kept.drain();
    this.#exchange.parked.hurry(performance.now() + graceMs);
  }

  /** Accepts connections again. */
  accept(): void {
    this.#isWindingDown = false;
    this.#exchange.kept.keepAgain();
    this.#listener.rewatch();
  }

  /** Makes {@linkcode run} return once no client is left. */
  stop(): void {
    this.#isStopping = true;
    this.#listener.end();
    this.#exchange.kept.drain();
  }

  /** Milliseconds to wait for events; -1 for no limit. */
  #waitTime(): number {
    if (this.#turns.hasWaiting) return this.#isBlocked ? BLOCKED_MS : 0;
    if (this.#retries.hasWaiting) return BLOCKED_MS;
    const next = Math.min(
      this.#exchange.parked.nextDeadline(),
      this.#exchange.kept.connections.nextDeadline,
      this.#listener.nextDeadline,
    );
    const wait = next === Infinity ? -1 : Math.max(0, Math.ceil(next - performance.now()));
    const { idleTimeout } = this.#leftovers;
    return idleTimeout < Infinity && (wait < 0 || wait > idleTimeout) ? idleTimeout : wait;
  }

  #serveNew(fd: number, peer: Peer): void {
    this.#activity.mark();
    this.#leftovers.accepted();
    const { uid } = peer;
    try {
      if (this.#turns.mustWait(uid, this.#clock)) {
        this.#turns.add(this.#exchange.reception.defer(fd, peer));
      } else {
        this.#exchange.reception.begin(fd, peer);
        this.#charge(uid);
      }
    } catch (error) {
      this.#exchange.abandon(fd, error as Error);
    }
  }

  #resume(fd: number): void {
    const uid = this.#exchange.peerOf(fd)?.uid;
    try {
      this.#exchange.resume(fd);
    } catch (error) {
      this.#exchange.abandon(fd, error as Error);
    }
    if (uid !== undefined) this.#charge(uid);
  }

  /** Answers a client after the store has answered. */
  #decide(question: number, verdict: Verdict): void {
    const client = this.#exchange.deferredClient(question);
    if (client === undefined) return;
    try {
      this.#exchange.decide(question, verdict);
    } catch (error) {
      this.#exchange.abandon(client.fd, error as Error);
    }
    this.#charge(client.peer.uid);
  }

  /** Serves clients that have waited for their turn. */
  #takeTurns(): void {
    const turns = this.#turns;
    if (!turns.hasWaiting) return;
    this.#standby.endAccepting(); // other workers should not count on this one now
    for (const end = this.#clock + TURN_MS; this.#clock < end;) {
      const client = turns.next(this.#clock);
      this.#isBlocked = client === undefined;
      if (client === undefined) return;
      try {
        this.#exchange.take(client);
      } catch (error) {
        this.#exchange.abandon(client.fd, error as Error);
      }
      turns.release();
      this.#charge(client.peer.uid);
    }
  }

  /** Charges a user for the time since the last call. */
  #charge(uid: number): void {
    const now = performance.now();
    const requests = this.#exchange.answered - this.#answered;
    this.#turns.charge(uid, now, now - this.#clock, requests);
    if (requests > 0) {
      this.#counters.recent(now, requests);
      this.#activity.mark();
    }
    this.#answered = this.#exchange.answered;
    this.#clock = now;
  }
}
