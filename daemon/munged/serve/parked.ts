// Clients that a worker waits for, each until its deadline: those whose request is not whole yet, those that
// don't take their answer, and those whose turn has not come. What is kept for them is bounded, for each
// user and for all together: who takes most gives way first.
import { MESSAGE_TIMEOUT_MS } from "../../../lib/protocol/message.ts";
import type { Poller } from "../../../lib/os/poller.ts";
import type { Answer, Peer } from "./context.ts";

/** However scarce descriptors are, some clients' bytes come a moment after them. */
const LEAST_PARKED = 2;

/** What a worker may keep for its clients. */
export interface ParkingLimits {
  /** Clients. */
  readonly clients: number;
  /** Bytes of all clients' unfinished requests and answers. */
  readonly bytes: number;
  /** Bytes of one user's. */
  readonly bytesOfUser: number;
}

/** A client that has to be waited for. */
export interface ParkedClient {
  readonly fd: number;
  readonly peer: Peer;
  /** Milliseconds of the monotonic clock at which it is cut off. */
  deadline: number;
  /** What is being gathered or sent. */
  buffer: Uint8Array;
  /** Bytes of the buffer that were received or sent. */
  done: number;
  /** The answer being sent, or null while the request is being received. */
  readonly answer: Answer | null;
  /** Whether the poller watches its descriptor. */
  isWatched: boolean;
}

/** What one user's parked clients take together. */
interface Share {
  clients: number;
  bytes: number;
  /** The one client that may gather beyond the limit, so that one of them gets on. */
  lead: ParkedClient | null;
  /** Clients that are not read until others of the user are done. */
  readonly paused: ParkedClient[];
}

/** The parked clients of one worker. */
export class ParkedClients {
  readonly #poller: Poller;
  readonly #limits: ParkingLimits;
  readonly #giveUp: (client: ParkedClient, reason: string) => void;
  /** The one with the earliest deadline first. */
  readonly #clients = new Map<number, ParkedClient>();
  readonly #shares = new Map<number, Share>();
  #bytes = 0;
  /** How many clients may be parked: as many as ever once none is. */
  #most: number;

  /** @param giveUp ends a client that was parked and isn't any more. */
  constructor(
    poller: Poller,
    limits: ParkingLimits,
    giveUp: (client: ParkedClient, reason: string) => void,
  ) {
    this.#poller = poller;
    this.#limits = limits;
    this.#giveUp = giveUp;
    this.#most = limits.clients;
  }

  /** How many there are. */
  get size(): number {
    return this.#clients.size;
  }

  /** The client with this descriptor, if it is parked. */
  get(fd: number): ParkedClient | undefined {
    return this.#clients.get(fd);
  }

  /** Milliseconds of the monotonic clock at which the next client is to be cut off, or Infinity. */
  nextDeadline(): number {
    for (const { deadline } of this.#clients.values()) return deadline;
    return Infinity;
  }

  /** Parks a client, from now on until its deadline. */
  park(client: ParkedClient): void {
    client.deadline = performance.now() + MESSAGE_TIMEOUT_MS;
    if (client.isWatched) this.#watch(client);
    this.#clients.set(client.fd, client);
    const share = this.#shareOf(client.peer.uid);
    share.clients++;
    share.bytes += client.buffer.length;
    this.#bytes += client.buffer.length;
    if (client.answer !== null) this.#limitAnswers(client.peer.uid, share);
    this.limit();
  }

  /** Stops waiting for a client. */
  remove(client: ParkedClient): void {
    const { fd, peer: { uid }, buffer } = client;
    this.#unwatch(client);
    this.#clients.delete(fd);
    this.#bytes -= buffer.length;
    const share = this.#shareOf(uid);
    share.bytes -= buffer.length;
    if (share.lead === client) share.lead = null;
    if (--share.clients === 0) this.#shares.delete(uid);
    else this.#resumeNext(share);
  }

  /** Has a client that is whole wait for its turn, with a new deadline, instead of for more bytes. */
  awaitTurn(client: ParkedClient): void {
    this.#unwatch(client);
    this.#clients.delete(client.fd);
    client.deadline = performance.now() + MESSAGE_TIMEOUT_MS;
    this.#clients.set(client.fd, client);
  }

  /** Whether a user's clients take all they may, so that no more of them should be read. */
  isFull(uid: number): boolean {
    const share = this.#shares.get(uid);
    return share !== undefined && share.bytes >= this.#limits.bytesOfUser;
  }

  /** Whether a client may gather more; if not, it is not read until another one of its user is done. */
  mayGather(client: ParkedClient): boolean {
    const share = this.#shareOf(client.peer.uid);
    if (share.bytes < this.#limits.bytesOfUser || share.lead === client) return true;
    if (share.lead === null) {
      share.lead = client;
      return true;
    }
    this.#unwatch(client);
    share.paused.push(client);
    return false;
  }

  /** Notes that a client's buffer has become so much longer. */
  grew(client: ParkedClient, bytes: number): void {
    this.#shareOf(client.peer.uid).bytes += bytes;
    this.#bytes += bytes;
  }

  /** Cuts clients off until those that are left take no more than they may. */
  limit(): void {
    while (
      (this.#bytes > this.#limits.bytes || this.#clients.size > this.#most) && this.cutOffOldest()
    );
  }

  /** Has fewer clients wait from now on, for the last descriptors have been reached. */
  keepFewer(): void {
    this.#most = Math.max(LEAST_PARKED, this.#clients.size - 1);
    this.limit();
  }

  /** Cuts off the clients whose time is over. */
  cutOff(now: number): void {
    for (const client of this.#clients.values()) {
      if (client.deadline > now) break;
      this.#end(client, "Timed-out");
    }
    if (this.#clients.size === 0) this.#most = this.#limits.clients;
  }

  /**
   * Cuts off a client, to make room: of the user who takes most, the one that was waited for the longest.
   *
   * @returns false if there is none.
   */
  cutOffOldest(): boolean {
    const greediest = this.#greediest();
    for (const client of this.#clients.values()) {
      if (client.peer.uid !== greediest) continue;
      this.#end(client, "Out of resources");
      return true;
    }
    return false;
  }

  /** Cuts off those of a user's clients that have left their answers longest, while they take too much. */
  #limitAnswers(uid: number, share: Share): void {
    if (share.bytes <= this.#limits.bytesOfUser) return;
    for (const client of this.#clients.values()) {
      if (client.answer === null || client.peer.uid !== uid) continue;
      this.#end(client, "Out of resources");
      if (share.bytes <= this.#limits.bytesOfUser) return;
    }
  }

  /** The user who takes most of what is scarce: of memory, or else of descriptors. */
  #greediest(): number | undefined {
    const measure = this.#bytes > this.#limits.bytes ? "bytes" : "clients";
    let greediest: number | undefined;
    let most = -1;
    for (const [uid, share] of this.#shares) {
      if (share[measure] > most) [greediest, most] = [uid, share[measure]];
    }
    return greediest;
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
    if (this.#clients.get(client.fd) === client) this.#watch(client);
    else this.#resumeNext(share); // it was cut off meanwhile
  }

  #shareOf(uid: number): Share {
    let share = this.#shares.get(uid);
    if (share === undefined) {
      share = { clients: 0, bytes: 0, lead: null, paused: [] };
      this.#shares.set(uid, share);
    }
    return share;
  }
}
