// The connections that a worker keeps because their clients asked for it: how many, for whom, and for how long.
// kept_exchange.ts handles what goes over them.
import { type KeepTerms, MESSAGE_TIMEOUT_MS } from "../../../lib/protocol/message.ts";
import type { Remembered } from "../replay/cache.ts";
import type { Peer } from "./context.ts";

/** What munged promises and demands of clients of kept connections. */
export const KEEP_TERMS: KeepTerms = { idleMs: 10_000, maxLength: 16_384, maxInFlight: 64 };

/** Share of the clients' descriptors that all kept connections may take, and that one user's may take. */
const TOTAL_SHARE = 1 / 2;
const USER_SHARE = 1 / 8;
/** At most this many in a worker, because each may hold a request of {@linkcode KEEP_TERMS}. */
const MAX_PER_WORKER = 512;
/** How often to look for connections whose time is over. */
const LOOK_MS = 1_000;

/** A connection that is kept. */
export interface KeptConnection {
  readonly fd: number;
  /** The client that connected; a request of anyone else ends the connection. */
  readonly peer: Peer;
  /** Milliseconds of the monotonic clock at which to close it, unless something arrives. */
  deadline: number;
  /** Bytes received but not answered yet, usually none. */
  rest: Uint8Array;
  /** Whether more bytes may have arrived than have been read. */
  hasMore: boolean;
  /** How many of the requests read last munged has begun to process. */
  inFlight: number;
  /** Replay entries of answers not yet received by the client, each with the end of its answer in the bytes to send. */
  undelivered: { readonly remembered: Remembered; end: number }[];
  /** Whether it is among the parked clients: it waits for its turn, for the store, or for its client to read. */
  isParked: boolean;
  /** When it was parked last, in milliseconds of the monotonic clock. */
  parkedAt: number;
}

/** The kept connections of one worker. */
export class KeptConnections {
  readonly #connections = new Map<number, KeptConnection>();
  readonly #users = new Map<number, number>();
  #parked = 0;
  readonly #most: number;
  readonly #mostOfUser: number;
  #nextLook = Infinity;

  /** @param clients number of clients that the worker may serve at a time. */
  constructor(clients: number) {
    this.#most = Math.min(MAX_PER_WORKER, Math.max(1, Math.floor(clients * TOTAL_SHARE)));
    this.#mostOfUser = Math.min(MAX_PER_WORKER / 4, Math.max(1, Math.floor(clients * USER_SHARE)));
  }

  get size(): number {
    return this.#connections.size;
  }

  /** Number of connections that are not among the parked clients. */
  get unparked(): number {
    return this.size - this.#parked;
  }

  /** The kept connection with this descriptor, if any. */
  get(fd: number): KeptConnection | undefined {
    return this.#connections.get(fd);
  }

  [Symbol.iterator](): Iterator<KeptConnection> {
    return this.#connections.values();
  }

  /** Whether one more connection of a user may be kept. */
  hasRoom(uid: number): boolean {
    return this.size < this.#most && (this.#users.get(uid) ?? 0) < this.#mostOfUser;
  }

  /** Keeps a connection. */
  add(fd: number, peer: Peer, now: number): KeptConnection {
    const connection: KeptConnection = {
      fd,
      peer: { ...peer },
      deadline: now + KEEP_TERMS.idleMs,
      rest: new Uint8Array(0),
      hasMore: false,
      inFlight: 0,
      undelivered: [],
      isParked: false,
      parkedAt: 0,
    };
    this.#connections.set(fd, connection);
    this.#users.set(peer.uid, (this.#users.get(peer.uid) ?? 0) + 1);
    this.#nextLook = Math.min(this.#nextLook, now + LOOK_MS);
    return connection;
  }

  /** Forgets a connection that is being closed. */
  remove({ fd, peer: { uid }, isParked }: KeptConnection): void {
    this.#connections.delete(fd);
    if (isParked) this.#parked--;
    const others = this.#users.get(uid)! - 1;
    if (others === 0) this.#users.delete(uid);
    else this.#users.set(uid, others);
    if (this.size === 0) this.#nextLook = Infinity;
  }

  /** Stops a connection's clock, because munged will not read from it for a while. */
  park(connection: KeptConnection, now: number): void {
    connection.isParked = true;
    connection.parkedAt = now;
    this.#parked++;
  }

  /** Restarts a connection's clock with the time that was left: a client must not gain time for a message it has begun. */
  unpark(connection: KeptConnection, now: number): void {
    connection.isParked = false;
    this.#parked--;
    connection.deadline += now - connection.parkedAt;
  }

  /** Gives a connection a new deadline: that of a message if part of one has arrived. */
  extend(connection: KeptConnection, now: number): void {
    const timeout = connection.rest.length > 0 ? MESSAGE_TIMEOUT_MS : KEEP_TERMS.idleMs;
    connection.deadline = now + timeout;
  }

  /** Milliseconds of the monotonic clock at which {@linkcode overdue} must be called, or Infinity. */
  get nextDeadline(): number {
    return this.#nextLook;
  }

  /** The connections whose time is over. */
  overdue(now: number): KeptConnection[] {
    if (now < this.#nextLook) return [];
    this.#nextLook = now + LOOK_MS;
    return [...this].filter(({ deadline, isParked }) => !isParked && deadline <= now);
  }

  /** The connection that has been idle longest, of the user who has most; undefined if none is idle. */
  leastUseful(): KeptConnection | undefined {
    let found: KeptConnection | undefined;
    let most = 0;
    for (const connection of this) {
      if (connection.isParked) continue;
      const count = this.#users.get(connection.peer.uid)!;
      if (count > most || (count === most && connection.deadline < found!.deadline)) {
        [found, most] = [connection, count];
      }
    }
    return found;
  }
}
