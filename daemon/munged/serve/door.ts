// The engine's other listening socket, on which a munged that replaces this one calls. The first worker accepts its
// connections for the main thread, which waits for no sockets itself.
import { acceptConnection } from "../../../lib/os/socket.ts";
import type { EventLoop } from "./event_loop.ts";
import type { FromWorker } from "./worker_messages.ts";

/** One worker's part in it. */
export class Door {
  readonly #loop: EventLoop;
  readonly #report: (message: FromWorker) => void;
  #socket: number | null = null;

  constructor(loop: EventLoop, report: (message: FromWorker) => void) {
    this.#loop = loop;
    this.#report = report;
  }

  /** Attends to this socket from now on, and to none before it; null for none at all. */
  attend(socket: number | null): void {
    if (this.#socket !== null) this.#loop.unwatch(this.#socket);
    if (socket !== null) this.#loop.watch(socket, () => this.#admit(socket));
    this.#socket = socket;
  }

  #admit(socket: number): void {
    const fd = acceptConnection(socket);
    if (fd >= 0) this.#report({ kind: "visitor", fd });
  }
}
