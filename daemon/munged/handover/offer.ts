// The old munged's part in its replacement: it offers to hand over and, when a new munged asks, passes it the socket, stops
// serving, and exits once the new one serves. If anything goes wrong on the way, the old one keeps serving.
import { chmodSync } from "node:fs";
import { removeName } from "../../../lib/files/replacement.ts";
import { listenForPackets } from "../../../lib/os/packet_socket.ts";
import { systemText } from "../../../lib/os/system_text.ts";
import { printable } from "../../../lib/printable.ts";
import { VERSION } from "../../../lib/version.ts";
import type { Logger } from "../../process/log.ts";
import { NOTIFY_SOCKET, notifyManager } from "../../process/systemd.ts";
import { type BoundSocket, isSamePath } from "../bound_socket.ts";
import type { ReplayStore } from "../replay/directory.ts";
import { erasedRecords, isSaved } from "../replay/takeover.ts";
import type { Engine } from "../serve/engine.ts";
import { Channel, ChannelClosed } from "./channel.ts";
import { commonProtocol, type MessageOf, PROTOCOLS } from "./messages.ts";
import { handoverPath, trustedPeer } from "./place.ts";

const SOCKET_MODE = 0o600;
/** How long the new munged may take for each step; during the first two, this one still serves. */
const HELLO_MS = 2_000;
const PREPARATION_MS = 60_000;
const ADOPTION_MS = 10_000;
/**
 * How long connected clients may take to send the rest of their request or to receive our answer. After that they are
 * disconnected, and ask the new munged. It is short, because other clients have to wait.
 */
const GRACE_MS = 100;

/** What the old munged needs for its replacement. */
export interface OfferParts {
  readonly socket: BoundSocket;
  /** Its descriptor. */
  readonly listener: number;
  readonly engine: Engine;
  readonly replay: ReplayStore;
  readonly log: Logger;
  /** Writes the PID file again, as the new munged may have replaced it. */
  writePidFile(): void;
}

/** How far the replacement has got: from "committed" on, the new munged may serve. */
type Phase = "none" | "begun" | "committed" | "done";

/** Offers to hand over, where that is possible; null where it isn't. */
export function offerHandover(parts: OfferParts): HandoverOffer | null {
  if (process.platform !== "linux" || parts.replay.state.directory === null) return null;
  try {
    return new HandoverOffer(parts);
  } catch (error) {
    const { directory } = parts.replay.state;
    parts.log.info(
      `Can't be replaced (--replace): "${handoverPath(directory)}": ${systemText(error)}`,
    );
    return null;
  }
}

/** An offer to hand over. */
export class HandoverOffer {
  readonly #parts: OfferParts;
  readonly #path: string;
  readonly #ended = Promise.withResolvers<number>();
  #phase: Phase = "none";
  #attempt:
    | { readonly channel: Channel; readonly pid: number; readonly done: Promise<void> }
    | null = null;
  #isStopping = false;

  /** Settles with the exit status once a new munged serves, or if this one can no longer serve. */
  readonly ended: Promise<number> = this.#ended.promise;

  /** @throws the system's error if the socket can't be made. */
  constructor(parts: OfferParts) {
    this.#parts = parts;
    this.#path = handoverPath(parts.replay.state.directory!);
    removeName(this.#path); // a predecessor's
    const listener = listenForPackets(this.#path);
    chmodSync(this.#path, SOCKET_MODE);
    parts.engine.listenForHandover(listener, (fd) => this.#admit(fd));
  }

  /** Whether a new munged has taken over. */
  get isDone(): boolean {
    return this.#phase === "done";
  }

  /** Ends the offer when munged stops, and also stops a new munged that may already be serving. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const attempt = this.#attempt;
    if (attempt !== null && this.#phase === "committed") stopProcess(attempt.pid);
    else if (attempt !== null && !this.isDone) {
      attempt.channel.send({ kind: "refused", reason: "it is being stopped" });
      attempt.channel.close();
    }
    await attempt?.done;
    // The descriptor stays open, because the worker may still be watching it.
    if (!this.isDone) removeName(this.#path); // otherwise it is the new munged's
  }

  #admit(fd: number): void {
    const channel = new Channel(fd);
    const peer = trustedPeer(fd);
    if (peer === null || this.#isStopping || this.#attempt !== null) {
      if (peer !== null) {
        channel.send({ kind: "refused", reason: "it is being replaced or stopped already" });
      }
      channel.close();
      return;
    }
    const done = this.#handOver(channel, peer.pid).finally(() => {
      channel.close();
      this.#attempt = null;
    });
    this.#attempt = { channel, pid: peer.pid, done };
  }

  /** Hands over, or keeps serving; never throws. */
  async #handOver(channel: Channel, pid: number): Promise<void> {
    const { log } = this.#parts;
    const who = pid > 0 ? `pid ${pid}` : "a process that can't be seen from here";
    let version = "";
    try {
      const { message: hello } = await channel.expect("hello", HELLO_MS);
      version = ` (mungebox ${printable(hello.version)})`;
      const erased = erasedRecords(this.#parts.replay.state);
      this.#welcome(channel, hello);
      await channel.expect("rest", PREPARATION_MS);
      this.#phase = "begun";
      log.notice(`Handing over to ${who}${version}`);
      await this.#rest();
      const kept = erasedRecords(this.#parts.replay.state) === erased;
      channel.send({ kind: "resting", kept });
      await channel.expect("ready", ADOPTION_MS);
      this.#phase = "committed";
      channel.send({ kind: "go" });
      await untilServing(channel);
      this.#leave(pid);
    } catch (error) {
      const text = systemText(error);
      if (!(error instanceof ChannelClosed)) channel.send({ kind: "refused", reason: text });
      log.warning(`Failed to hand over to ${who}${version}: ${text}`);
      if (!this.#isStopping) this.#resumeServing();
    }
  }

  /** @throws {Error} if we can't be replaced by the munged that says hello. */
  #welcome(channel: Channel, { oldest, newest, socket }: MessageOf<"hello">): void {
    const { socket: own, listener } = this.#parts;
    const protocol = commonProtocol(oldest, newest);
    if (protocol === null) {
      throw new Error(
        `it supports handover protocols ${PROTOCOLS.oldest} to ${PROTOCOLS.newest}, not ${oldest} to ${newest}`,
      );
    }
    if (!isSamePath(socket, own.path)) throw new Error(`it serves "${own.path}"`);
    this.#requireJournals();
    const notifySocket = process.env[NOTIFY_SOCKET];
    channel.send(
      {
        kind: "welcome",
        protocol,
        version: VERSION,
        isManagers: own.isOwnedByManager,
        notifySocket,
      },
      listener,
    );
  }

  /** Stops serving. @throws {Error} if that fails, or would lose entries of the replay cache. */
  async #rest(): Promise<void> {
    if (!await this.#parts.engine.rest(GRACE_MS)) {
      throw new Error("it did not finish its requests in time");
    }
    this.#requireJournals();
  }

  #requireJournals(): void {
    if (isSaved(this.#parts.replay.state, Math.floor(Date.now() / 1000))) return;
    throw new Error("it could not write its replay cache to disk (see its log), and would lose it");
  }

  #leave(pid: number): void {
    this.#phase = "done";
    this.#parts.socket.handOver();
    if (pid > 0) notifyManager(`MAINPID=${pid}`);
    this.#ended.resolve(0);
  }

  /** Resumes serving, because the new munged has ended or failed. */
  #resumeServing(): void {
    const { socket, listener, engine, replay, log, writePidFile } = this.#parts;
    const phase = this.#phase;
    this.#phase = "none";
    if (phase === "none") return;
    try {
      if (phase === "committed") { // it may have served
        replay.lock();
        replay.rebuild();
        socket.reclaimLock();
        socket.own(listener);
        writePidFile();
      }
      engine.accept();
      log.notice("Resumed serving");
    } catch (error) {
      log.error(`Failed to resume serving: ${systemText(error)}`);
      this.#ended.resolve(1);
    }
  }
}

/**
 * Waits until the new munged serves; ignores anything else it says, as it may serve by now.
 *
 * @throws {ChannelClosed} if it ends.
 */
async function untilServing(channel: Channel): Promise<void> {
  for (;;) {
    try {
      await channel.expect("serving", Infinity);
      return;
    } catch (error) {
      if (error instanceof ChannelClosed) throw error;
    }
  }
}

/** Asks a new munged to stop. @param pid 0 or less if it can't be seen from here. */
function stopProcess(pid: number): void {
  if (pid <= 0) return;
  try {
    process.kill(pid, "SIGTERM");
  } catch {
    // It has ended.
  }
}
