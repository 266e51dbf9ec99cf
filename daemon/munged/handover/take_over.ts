// What a new munged does to its own parts when it takes the place of another; predecessor.ts has the conversation.
import type { Logger } from "../../process/log.ts";
import { NOTIFY_SOCKET } from "../../process/systemd.ts";
import type { BoundSocket } from "../bound_socket.ts";
import type { ReplayStore } from "../replay/directory.ts";
import type { Engine } from "../serve/engine.ts";
import type { Signals } from "../signals.ts";
import type { Predecessor } from "./predecessor.ts";

/** The parts of a new munged that is ready but for its place. */
export interface NewMunged {
  readonly socket: BoundSocket;
  readonly listener: number;
  readonly cache: ReplayStore;
  /** Its threads, which do not accept connections yet. */
  readonly engine: Engine;
  readonly signals: Signals;
  readonly log: Logger;
  claimPidFile(): void;
}

/** Takes the predecessor's place. @throws {Error} if that fails; this process must then end, and the predecessor keeps serving. */
export async function takeOver(
  predecessor: Predecessor,
  { socket, listener, cache, engine, signals, log, claimPidFile }: NewMunged,
): Promise<void> {
  cache.preview();
  const gap = await predecessor.takeOver({
    adopt(hasErased) {
      if (signals.isEnding) throw new Error("the new daemon was stopped by a signal");
      cache.adoptRest(hasErased);
    },
    claim() {
      socket.seizeLock();
      cache.seizeLock();
      claimPidFile();
    },
    succeed() {
      socket.reclaimLock();
      cache.lock();
      cache.adoptAnew();
      claimPidFile();
    },
    accept() {
      socket.own(listener); // only now that nothing can fail any more, as an owner shuts it down at the end
      engine.accept();
    },
  });
  if (predecessor.notifySocket !== undefined) {
    process.env[NOTIFY_SOCKET] ??= predecessor.notifySocket; // the manager's service is us now
  }
  log.notice(`Replaced daemon ${predecessor.who}: clients waited for ${Math.ceil(gap)} ms`);
}
