// Clients that a worker waits for, each until its deadline, because their request is incomplete, they don't read their
// answer, it is not their turn, or the realm's store has not answered yet. Their resources are bounded, per user and in
// total; when they run short, the user who holds most is the first to lose a client.
import { sizeOf } from "../../../lib/bytes/memory.ts";
import { MESSAGE_TIMEOUT_MS, TIMELY_LENGTH } from "../../../lib/protocol/message.ts";
import type { Poller } from "../../../lib/os/poller.ts";
import type { Answer, Deferred, Peer } from "./context.ts";
import type { KeptConnection } from "./kept_connections.ts";

/** Allowed even if descriptors are scarce, because some clients' bytes arrive a moment late. */
const MIN_PARKED = 2;

/** Limits on what a worker keeps for its clients. */
export interface ParkingLimits {
  /** Clients, including those whose connections are kept. */
  readonly clients: number;
  /** Bytes of all clients' unfinished requests and answers. */
  readonly bytes: number;
  /** Bytes of one user's unfinished requests and answers. */
  readonly bytesOfUser: number;
}

/** A client that the worker waits for. */
export interface ParkedClient {
  readonly fd: number;
  readonly peer: Peer;
  /** Milliseconds of the monotonic clock at which to disconnect it. */
  deadline: number;
  /** The request being received or the answer being sent. */
  buffer: Uint8Array;
  /** Bytes of the buffer received or sent so far. */
  done: number;
  /** The answer being sent; null while the request is being received or waits for the store. */
  readonly answer: Answer | null;
  /** The decode that waits for the store. */
  readonly deferred?: Deferred;
  /** The connection, if it is kept after the answer. */
  readonly kept?: KeptConnection;
  /** Whether the poller watches its descriptor. */
  isWatched: boolean;
}

/** Total resources of one user's parked clients. */
interface Share {
  clients: number;
  bytes: number;
  /** Number of clients that have not read all of their answers. */
  answers: number;
  /** The only client that may exceed the limit, so that at least one makes progress. */
  lead: ParkedClient | null;
  /** Clients not read until others of the same user are done. */
  readonly paused: ParkedClient[];
}

/** The parked clients of one worker. */
export class ParkedClients {
  readonly #poller: Poller;
  readonly #limits: ParkingLimits;
  readonly #giveUp: (client: ParkedClient, reason: string) => void;
  readonly #others: () => number;
  /** By deadline, the earliest first. */
  readonly #clients = new Map<number, ParkedClient>();
  readonly #shares = new Map<number, Share>();
  #bytes = 0;
  /** How many clients there may be now; reset to the full number once none is parked. */
  #most: number;

  /**
   * @param giveUp disconnects a client that is no longer parked.
   * @param others returns how many clients have kept connections that are not parked.
   */
  constructor(
    poller: Poller,
    limits: ParkingLimits,
    giveUp: (client: ParkedClient, reason: string) => void,
    others: () => number,
  ) {
    this.#poller = poller;
    this.#limits = limits;
    this.#giveUp = giveUp;
    this.#others = others;
    this.#most = limits.clients;
  }

  /** Number of parked clients. */
  get size(): number {
    return this.#clients.size;
  }

  /** Number of users whose clients are parked. */
  get users(): number {
    return this.#shares.size;
  }

  /** The parked client with this descriptor, if any. */
  get(fd: number): ParkedClient | undefined {
    return this.#clients.get(fd);
  }

  /** Milliseconds of the monotonic clock at which the next client must be disconnected, or Infinity. */
  nextDeadline(): number {
    for (const { deadline } of this.#clients.values()) return deadline;
    return Infinity;
  }

  /** Parks a client until its deadline. */
  park(client: ParkedClient): void {
    client.deadline = performance.now() + MESSAGE_TIMEOUT_MS;
    if (client.isWatched) this.#watch(client);
    this.#clients.set(client.fd, client);
    const share = this.#shareOf(client.peer.uid);
    share.clients++;
    const held = bytesHeldBy(client);
    share.bytes += held;
    this.#bytes += held;
    if (client.answer !== null) {
      share.answers++;
      this.#limitAnswers(client, share);
    }
    this.limit();
  }

  /** Stops waiting for a client. */
  remove(client: ParkedClient): void {
    const { fd, peer: { uid } } = client;
    const held = bytesHeldBy(client);
    this.#unwatch(client);
    this.#clients.delete(fd);
    this.#bytes -= held;
    const share = this.#shareOf(uid);
    share.bytes -= held;
    if (client.answer !== null) share.answers--;
    if (share.lead === client) share.lead = null;
    if (--share.clients === 0) this.#shares.delete(uid);
    else this.#resumeNext(share);
  }

  /** Makes a client with a complete request wait for its turn, with a new deadline, instead of for more bytes. */
  awaitTurn(client: ParkedClient): void {
    this.#unwatch(client);
    this.extend(client);
  }

  /** Gives a client a new deadline. */
  extend(client: ParkedClient): void {
    this.#clients.delete(client.fd);
    client.deadline = performance.now() + MESSAGE_TIMEOUT_MS;
    this.#clients.set(client.fd, client);
  }

  /** Counts bytes received or sent. Long messages may take longer. */
  progress(client: ParkedClient, count: number): void {
    const before = Math.floor(client.done / TIMELY_LENGTH);
    client.done += count;
    if (Math.floor(client.done / TIMELY_LENGTH) > before) this.extend(client);
  }

  /** Whether a user's clients have reached their limit, so that no more of them should be read. */
  isFull(uid: number): boolean {
    const share = this.#shares.get(uid);
    return share !== undefined && share.bytes >= this.#fairShare;
  }

  /**
   * Whether to receive more from a client; if not, it is not read until another one of the same user is done. While a user
   * has unread answers, no further request is completed, because its answer would need as much memory again.
   */
  mayGather(client: ParkedClient): boolean {
    const share = this.#shareOf(client.peer.uid);
    if (share.bytes < this.#fairShare || share.lead === client) return true;
    if (share.lead === null && share.answers === 0) {
      share.lead = client;
      return true;
    }
    this.#unwatch(client);
    share.paused.push(client);
    return false;
  }

  /** Records that a client's buffer has grown. */
  grew(client: ParkedClient, bytes: number): void {
    this.#shareOf(client.peer.uid).bytes += bytes;
    this.#bytes += bytes;
  }

  /** Disconnects clients until the rest are within the limits. */
  limit(): void {
    const most = Math.max(MIN_PARKED, this.#most - this.#others());
    while (
      (this.#bytes > this.#limits.bytes || this.#clients.size > most) && this.cutOffOldest()
    );
  }

  /** Lowers the number of clients from now on, because the last descriptors have been reached. */
  keepFewer(): void {
    this.#most = this.#others() + this.#clients.size - 1;
    this.limit();
  }

  /** Moves the deadlines of all clients up to this one, in milliseconds of the monotonic clock, unless they are earlier. */
  hurry(deadline: number): void {
    for (const client of this.#clients.values()) {
      client.deadline = Math.min(client.deadline, deadline);
    }
  }

  /** Disconnects the clients whose time is over. */
  cutOff(now: number): void {
    for (const client of this.#clients.values()) {
      if (client.deadline > now) break;
      this.#end(client, "Timed-out");
    }
    if (this.#clients.size === 0) this.#most = this.#limits.clients;
  }

  /**
   * Disconnects a client to make room: the one that has waited longest, of the user who holds most.
   *
   * @returns false if there is none.
   */
  cutOffOldest(): boolean {
    const heaviest = this.#heaviestUser();
    for (const client of this.#clients.values()) {
      if (client.peer.uid !== heaviest) continue;
      this.#end(client, "Out of resources");
      return true;
    }
    return false;
  }

  /**
   * While a user is over the limit, disconnects the clients that have left their answers unread longest, but not the one
   * with the latest answer.
   */
  #limitAnswers(latest: ParkedClient, share: Share): void {
    if (share.bytes <= this.#limits.bytesOfUser) return;
    const { uid } = latest.peer;
    for (const client of this.#clients.values()) {
      if (client.answer === null || client.peer.uid !== uid || client === latest) continue;
      this.#end(client, "Out of resources");
      if (share.bytes <= this.#limits.bytesOfUser) return;
    }
  }

  /** Bytes per user at which reading stops: fewer if there are more users, so that a new user finds room. */
  get #fairShare(): number {
    const { bytes, bytesOfUser } = this.#limits;
    return Math.min(bytesOfUser, Math.floor(bytes / (this.#shares.size + 1)));
  }

  /** The user who holds most of what is scarce: memory, if that is over its limit, otherwise descriptors. */
  #heaviestUser(): number | undefined {
    const measure = this.#bytes > this.#limits.bytes ? "bytes" : "clients";
    let heaviest: number | undefined;
    let most = -1;
    for (const [uid, share] of this.#shares) {
      if (share[measure] > most) [heaviest, most] = [uid, share[measure]];
    }
    return heaviest;
  }

  #end(client: ParkedClient, reason: string): void {
    this.remove(client);
    this.#giveUp(client, reason);
  }

  #watch(client: ParkedClient): void {
    this.#poller.add(client.fd, client.answer === null ? "read" : "write");
    client.isWatched = true;
  }

  #unwatch(client: ParkedClient): void {
    if (client.isWatched) this.#poller.remove(client.fd);
    client.isWatched = false;
  }

  #resumeNext(share: Share): void {
    if (share.paused.length === 0) return;
    const client = share.paused.shift()!;
    if (this.#clients.get(client.fd) === client) {
      this.#watch(client);
      this.extend(client); // munged did not read while it was paused
    } else this.#resumeNext(share); // it was disconnected
  }

  #shareOf(uid: number): Share {
    let share = this.#shares.get(uid);
    if (share === undefined) {
      share = { clients: 0, bytes: 0, answers: 0, lead: null, paused: [] };
      this.#shares.set(uid, share);
    }
    return share;
  }
}

/** Bytes of a client's request or answer, and of the further requests that it has sent over a kept connection. */
function bytesHeldBy({ buffer, kept }: ParkedClient): number {
  return sizeOf(buffer) + (kept?.rest.length ?? 0);
}

/** A client that waits: for the rest of its request, of which `buffer` has `done` bytes, or for something else. */
export function waitingClient(
  fd: number,
  peer: Peer,
  buffer: Uint8Array,
  isWatched: boolean,
  done: number = buffer.length,
): ParkedClient {
  return { fd, peer: { ...peer }, deadline: 0, buffer, done, answer: null, isWatched };
}
