// Watches the socket and the PID file, and recreates them if someone removes them.
import { lstatSync } from "node:fs";
import { systemText } from "../../lib/os/system_text.ts";
import type { Logger } from "../process/log.ts";
import { writePidFile } from "../process/pid_file.ts";
import type { BoundSocket } from "./bound_socket.ts";
import type { DaemonConfig } from "./config.ts";
import type { Engine } from "./serve/engine.ts";

/** Pause between attempts to recreate the socket. */
const RESTORE_PAUSE_MS = 5_000;

/** Guards the socket and the PID file. */
export class SocketGuard {
  readonly #config: DaemonConfig;
  readonly #socket: BoundSocket;
  readonly #listener: number;
  readonly #engine: Engine;
  readonly #log: Logger;
  #retry: NodeJS.Timeout | undefined;

  constructor(
    config: DaemonConfig,
    socket: BoundSocket,
    listener: number,
    engine: Engine,
    log: Logger,
  ) {
    this.#config = config;
    this.#socket = socket;
    this.#listener = listener;
    this.#engine = engine;
    this.#log = log;
  }

  /** Checks whether the socket exists; if it can't be recreated, tries again every few seconds. */
  look(): void {
    clearTimeout(this.#retry);
    const { pidFile, socketPath } = this.#config;
    try {
      if (!this.#socket.restore(this.#listener)) return;
      this.#engine.rewatchListener();
      if (lstatSync(pidFile, { throwIfNoEntry: false }) === undefined) {
        writePidFile(pidFile, this.#config, this.#log);
      }
    } catch (error) {
      const text = `Failed to create socket "${socketPath}" again: ${systemText(error)}`;
      this.#log.limited("socket", "error", text);
      this.#retry = setTimeout(() => this.look(), RESTORE_PAUSE_MS);
    }
  }

  stop(): void {
    clearTimeout(this.#retry);
  }
}
