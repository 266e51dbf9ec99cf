// Whose request a worker serves next. Most are served as they arrive. Requests of users who use much of munged's time wait
// until no others are left; the user who has used least then goes first. As long as there are other users, only one worker
// at a time serves a user's long requests, so that the other workers remain available.
import { sharedTime } from "../../process/shared_clock.ts";
import type { ParkedClient } from "./parked.ts";

/** A user whose requests take longer than this on average waits for other users. */
const COSTLY_MS = 1;
/** Number of requests over which a user's cost is averaged. */
const AVERAGED = 8;
/** Half-life of a user's use of a worker. */
const EPOCH_MS = 64;
/** A user whose weighted use of a worker exceeds this, about a quarter of its time, counts as flooding. */
const FLOOD_MS = 32;
/** How long a user counts as active after a request. */
const ACTIVE_MS = 10_000;
/** How long one worker serves a user while clients of the same user wait at another. */
const HANDOVER_MS = 50;
/** Number of users remembered before the least recent ones are forgotten. */
const USERS = 4096;

/** Shared words of a worker: one cache line each, so that workers don't slow each other down. Times share one clock. */
const CACHE_LINE_WORDS = 16;
/** The user from the queue being served, as `uid + 1`; 0 if none. */
const SERVED = 0;
/** The user whose clients wait here for another worker, as `uid + 1`, or 0; and since when. */
const BLOCKED = 1;
const BLOCKED_SINCE = 2;
/** The user served last, as `uid + 1`, when that was, and when the user last changed. */
const LAST = 3;
const LAST_AT = 4;
const MIXED_AT = 5;

/** Memory through which the workers of an engine agree on turns. */
export function createTurns(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer((threads + 1) * CACHE_LINE_WORDS * Int32Array.BYTES_PER_ELEMENT);
}

/** What a worker knows about a user. */
interface User {
  readonly uid: number;
  /** Average milliseconds per request. */
  cost: number;
  /** Milliseconds used, weighted as of `epoch`. */
  used: number;
  epoch: number;
  /** Clients whose turn has not come, the next one first. */
  readonly waiting: ParkedClient[];
}

/** One worker's view of the turns. */
export class Turns {
  readonly #words: Int32Array;
  readonly #own: number;
  readonly #users = new Map<number, User>();
  /** Users with waiting clients. */
  readonly #queue = new Set<User>();
  #lastUid = -1;
  #lastNoted = -Infinity;

  /** @param number of the worker, 1 and up. */
  constructor(shared: SharedArrayBuffer, number: number) {
    this.#words = new Int32Array(shared);
    this.#own = number * CACHE_LINE_WORDS;
    this.#words.fill(0, this.#own, this.#own + CACHE_LINE_WORDS); // left by the number's last holder
  }

  /** Whether clients wait for their turn. */
  get hasWaiting(): boolean {
    return this.#queue.size > 0;
  }

  /** Whether a user's request has to wait for its turn. */
  mustWait(uid: number, now: number): boolean {
    const user = this.#users.get(uid);
    if (user === undefined) return false;
    if (user.waiting.length > 0 || user.cost > COSTLY_MS) return true;
    return usedBy(user, now) > FLOOD_MS && this.#hasOtherActiveUsers(uid, now);
  }

  /** Makes a client wait. */
  add(client: ParkedClient): void {
    const user = this.#user(client.peer.uid);
    user.waiting.push(client);
    this.#queue.add(user);
  }

  /**
   * The client whose turn it is; undefined if there is none, or if all wait for another worker to finish a request of the
   * same user. After serving it, call {@linkcode release}.
   */
  next(now: number): ParkedClient | undefined {
    const users = [...this.#queue];
    if (users.length > 1) users.sort((a, b) => usedBy(a, now) - usedBy(b, now));
    for (const user of users) {
      if (user.cost > COSTLY_MS && !this.#claim(user.uid, now)) continue;
      const client = user.waiting.shift();
      if (user.waiting.length === 0) this.#queue.delete(user);
      return client;
    }
    return undefined;
  }

  /** Lets other workers serve the user who was served here. */
  release(): void {
    Atomics.store(this.#words, this.#own + SERVED, 0);
  }

  /**
   * Records the time a user has used.
   *
   * @param requests number of requests that were answered in it.
   */
  charge(uid: number, now: number, milliseconds: number, requests: number): void {
    const user = this.#user(uid);
    if (requests > 0) user.cost += (milliseconds / requests - user.cost) / AVERAGED;
    user.used = usedBy(user, now) + milliseconds;
    user.epoch = epochOf(now);
    if (uid !== this.#lastUid || now > this.#lastNoted + ACTIVE_MS / 10) this.#note(uid, now);
  }

  /** Tells the other workers which user this one serves. */
  #note(uid: number, now: number): void {
    const words = this.#words;
    const time = stamp(now);
    Atomics.store(words, this.#own + LAST_AT, time);
    if (uid !== this.#lastUid) {
      if (this.#lastUid !== -1) Atomics.store(words, this.#own + MIXED_AT, time);
      Atomics.store(words, this.#own + LAST, markOf(uid));
    }
    this.#lastUid = uid;
    this.#lastNoted = now;
  }

  /** Makes this the only worker that serves a user; false if another one does, or has waited longer to do so. */
  #claim(uid: number, now: number): boolean {
    const words = this.#words;
    const own = this.#own;
    const mark = markOf(uid);
    Atomics.store(words, own + SERVED, mark);
    if (this.#hasOtherActiveUsers(uid, now)) {
      const waitsSince = words[own + BLOCKED] === mark ? words[own + BLOCKED_SINCE]! : null;
      for (let at = CACHE_LINE_WORDS; at < words.length; at += CACHE_LINE_WORDS) {
        if (at === own) continue;
        const isServed = Atomics.load(words, at + SERVED) === mark;
        if (!isServed && !this.#goesFirst(at, mark, waitsSince, now)) continue;
        this.release();
        if (waitsSince === null) {
          Atomics.store(words, own + BLOCKED_SINCE, stamp(now));
          Atomics.store(words, own + BLOCKED, mark);
        }
        return false;
      }
    }
    Atomics.store(words, own + BLOCKED, 0);
    return true;
  }

  /** Whether the worker with its words at `at` has waited longer than this one to serve a user. */
  #goesFirst(at: number, mark: number, waitsSince: number | null, now: number): boolean {
    if (Atomics.load(this.#words, at + BLOCKED) !== mark) return false;
    const since = Atomics.load(this.#words, at + BLOCKED_SINCE);
    if (waitsSince !== null) return ((waitsSince - since) | 0) > 0;
    return elapsed(since, now) > HANDOVER_MS;
  }

  /** Whether any worker has recently served another user. */
  #hasOtherActiveUsers(uid: number, now: number): boolean {
    const words = this.#words;
    const mark = markOf(uid);
    for (let at = CACHE_LINE_WORDS; at < words.length; at += CACHE_LINE_WORDS) {
      const last = Atomics.load(words, at + LAST);
      if (last === 0) continue;
      if (last !== mark && elapsed(words[at + LAST_AT]!, now) < ACTIVE_MS) return true;
      if (words[at + MIXED_AT] !== 0 && elapsed(words[at + MIXED_AT]!, now) < ACTIVE_MS) {
        return true;
      }
    }
    return false;
  }

  #user(uid: number): User {
    const known = this.#users.get(uid);
    if (known !== undefined) return known;
    if (this.#users.size >= USERS) this.#forget();
    const user = { uid, cost: 0, used: 0, epoch: 0, waiting: [] };
    this.#users.set(uid, user);
    return user;
  }

  /** Forgets the half of all users served least recently, except those with waiting clients. */
  #forget(): void {
    const epochs = [...this.#users.values()].map(({ epoch }) => epoch).sort((a, b) => a - b);
    const middle = epochs[epochs.length >> 1]!;
    for (const [uid, { epoch, waiting }] of this.#users) {
      if (epoch <= middle && waiting.length === 0) this.#users.delete(uid);
    }
  }
}

/** A user as a word; 0 means none. */
function markOf(uid: number): number {
  return (uid + 1) | 0;
}

/** This worker's time on the shared clock, as a word. */
function stamp(now: number): number {
  return Math.floor(sharedTime(now)) | 0;
}

/** Milliseconds since a time on the shared clock. */
function elapsed(since: number, now: number): number {
  return (stamp(now) - since) | 0;
}

function epochOf(now: number): number {
  return Math.floor(now / EPOCH_MS);
}

/** A user's use, weighted as of now. */
function usedBy({ used, epoch }: User, now: number): number {
  const passed = epochOf(now) - epoch;
  return passed === 0 ? used : passed > 16 ? 0 : used / 2 ** passed;
}
