// One worker's view of the listening socket: it accepts connections, immediately asks the kernel for each client's
// identity, and leaves the socket alone while there is nothing to gain.
import { EAGAIN, EINTR, errno, strerror } from "../../../lib/os/libc.ts";
import type { Poller } from "../../../lib/os/poller.ts";
import {
  acceptConnection,
  EINVAL,
  EMFILE,
  ENFILE,
  ENOBUFS,
  ENOMEM,
  identifyPeer,
  peer,
} from "../../../lib/os/socket.ts";
import type { Logger } from "../../process/log.ts";
import type { Peer } from "./context.ts";
import type { Descriptors } from "./descriptors.ts";
import type { Standby } from "./standby.ts";

/** Connections served before the parked clients are checked. */
const ACCEPTS_PER_TURN = 64;
/** Pause if the system is out of descriptors and no client can be made to give one up. */
const DESCRIPTOR_PAUSE_MS = 10;
/**
 * How long a worker that found the queue empty stands by while another one accepts connections. If that one is held up or
 * can't keep up, clients wait no longer than this.
 */
const STANDBY_MS = 1;

/** What a listener needs. */
export interface ListenerParts {
  /** The non-blocking listening socket. */
  readonly socket: number;
  readonly poller: Poller;
  readonly standby: Standby;
  readonly descriptors: Descriptors;
  /** The first descriptor not left to clients. */
  readonly firstSpare: number;
  readonly log: Logger;
  /** Serves a new client, whose `peer` is valid only during the call; never throws. */
  serve(fd: number, peer: Peer): void;
  /** Makes a parked client give up its descriptor; false if there is none. */
  makeRoom(): boolean;
  /** Lowers the number of parked clients. */
  parkFewer(): void;
  /** Whether to accept connections from the start, or only after {@linkcode Listener.rewatch}. */
  readonly accepting: boolean;
}

/** One worker's view of the listening socket. */
export class Listener {
  readonly #parts: ListenerParts;
  #isWatching = false;
  #hasEnded = false;
  /** When to watch the socket again; Infinity while it is watched. */
  #nextWatch = Infinity;

  constructor(parts: ListenerParts) {
    this.#parts = parts;
    if (parts.accepting) this.#watch();
  }

  /** Whether the worker waits for new clients; one that stands by is not idle. */
  get isWatching(): boolean {
    return this.#isWatching;
  }

  /** Milliseconds of the monotonic clock at which it must be called again, or Infinity. */
  get nextDeadline(): number {
    return this.#nextWatch;
  }

  /** Accepts connections for a turn; if the queue is empty then, leaves the next ones to an active worker. */
  accept(): void {
    if (!this.#isWatching) return; // told to rest after the poller had reported a connection
    const { standby } = this.#parts;
    standby.beginAccepting();
    const outcome = this.#acceptTurn();
    if (outcome === "more") return;
    standby.endAccepting();
    if (outcome === "none" && standby.isOtherAccepting()) this.#pause(STANDBY_MS);
  }

  /** Watches the socket again if it is time. */
  tick(now: number): void {
    if (this.#nextWatch > now) return;
    this.#nextWatch = Infinity;
    this.#watch();
  }

  /** Watches the socket to which the descriptor now refers; the poller has dropped the previous one. */
  rewatch(): void {
    this.#isWatching = false;
    this.#nextWatch = Infinity;
    this.#watch();
  }

  /** Stops accepting connections until {@linkcode rewatch}. */
  rest(): void {
    this.#nextWatch = Infinity;
    this.#unwatch();
    this.#parts.standby.endAccepting();
  }

  /** Stops accepting connections permanently. */
  end(): void {
    this.#hasEnded = true;
    this.rest();
  }

  /** Whether more clients are waiting, none are, or none can be accepted. */
  #acceptTurn(): "more" | "none" | "stuck" {
    const { socket, descriptors, firstSpare, log, standby } = this.#parts;
    for (let i = 0; i < ACCEPTS_PER_TURN; i++) {
      standby.step();
      const fd = acceptConnection(socket);
      if (fd >= 0) {
        if (fd >= firstSpare) {
          log.limited("accept", "warning", "Failed to accept connection: Too many open files");
          this.#parts.parkFewer();
        }
        descriptors.own(fd);
        if (identifyPeer(fd)) {
          descriptors.own(fd, peer.pid);
          this.#parts.serve(fd, peer);
        } else {
          log.limited("identify", "info", `Failed to identify client: ${strerror(errno())}`);
          descriptors.hangUp(fd);
        }
        standby.step();
        continue;
      }
      const reason = errno();
      standby.step();
      if (reason === EAGAIN) return "none";
      if (reason === EINVAL) return "stuck"; // it was shut down
      if (reason === EINTR) continue;
      log.limited("accept", "warning", `Failed to accept connection: ${strerror(reason)}`);
      if (!isScarcity(reason)) return "stuck";
      if (this.#parts.makeRoom()) continue;
      this.#pause(DESCRIPTOR_PAUSE_MS);
      return "stuck";
    }
    return "more";
  }

  #watch(): void {
    if (this.#isWatching || this.#hasEnded) return;
    this.#parts.poller.add(this.#parts.socket, "read", true);
    this.#isWatching = true;
  }

  #unwatch(): void {
    if (!this.#isWatching) return;
    this.#parts.poller.remove(this.#parts.socket);
    this.#isWatching = false;
  }

  #pause(milliseconds: number): void {
    this.#unwatch();
    this.#nextWatch = performance.now() + milliseconds;
  }
}

/** Whether accept() failed for lack of descriptors or memory, which clients could release. */
function isScarcity(reason: number): boolean {
  return reason === EMFILE || reason === ENFILE || reason === ENOBUFS || reason === ENOMEM;
}
