// What a new munged does with its own parts when it takes over from another; predecessor.ts talks to that.
import type { Logger } from "../../process/log.ts";
import { NOTIFY_SOCKET } from "../../process/systemd.ts";
import type { BoundSocket } from "../bound_socket.ts";
import type { ReplayStore } from "../replay/directory.ts";
import type { Engine } from "../serve/engine.ts";
import type { Signals } from "../signals.ts";
import type { Predecessor } from "./predecessor.ts";

/** The parts of a new munged, which is otherwise ready to serve. */
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

/** Takes the predecessor's place. @throws {Error} if that fails; this process must then exit, and the predecessor serves on. */
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
      cache.rebuild();
      claimPidFile();
    },
    accept() {
      socket.own(listener); // only once nothing else can fail, because the owner shuts it down when it exits
      engine.accept();
    },
  });
  if (predecessor.notifySocket !== undefined) {
    process.env[NOTIFY_SOCKET] ??= predecessor.notifySocket; // we are the manager's service now
  }
  log.notice(`Replaced daemon ${predecessor.who}: clients waited for ${Math.ceil(gap)} ms`);
}
