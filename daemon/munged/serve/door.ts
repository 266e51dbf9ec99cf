// The engine's other listening socket, to which a munged that replaces this one connects. The first worker accepts its
// connections for the main thread, which never waits for sockets itself.
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

  /** Accepts from this socket instead of any earlier one; null for none. */
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
