// The engine's other listening socket, to which a munged that is to replace this one connects. The first worker accepts its
// connections for the main thread, which never waits for sockets itself.
import { acceptConnection } from "../../../lib/os/socket.ts";
import type { EventLoop } from "./event_loop.ts";
import type { FromWorker } from "./worker_messages.ts";

/** The worker's view of that socket. */
export class HandoverListener {
  readonly #loop: EventLoop;
  readonly #report: (message: FromWorker) => void;
  #socket: number | null = null;

  constructor(loop: EventLoop, report: (message: FromWorker) => void) {
    this.#loop = loop;
    this.#report = report;
  }

  /** Accepts from this socket instead of any earlier one; null for none. */
  listen(socket: number | null): void {
    if (this.#socket !== null) this.#loop.unwatch(this.#socket);
    if (socket !== null) this.#loop.watch(socket, () => this.#accept(socket));
    this.#socket = socket;
  }

  #accept(socket: number): void {
    const fd = acceptConnection(socket);
    if (fd >= 0) this.#report({ kind: "handover", fd });
  }
}
