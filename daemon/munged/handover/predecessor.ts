// The new munged's part in a replacement: it asks the running munged for its socket, makes it stop serving, reads which
// credentials it has decoded, and serves in its place. If it fails before that, the running munged keeps serving.
import { closeSync, constants, openSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { MungeError } from "../../../lib/errors.ts";
import { lockHolder } from "../../../lib/os/file_lock.ts";
import { connectForPackets } from "../../../lib/os/packet_socket.ts";
import { close } from "../../../lib/os/socket.ts";
import { systemCode, systemText } from "../../../lib/os/system_text.ts";
import { printable } from "../../../lib/printable.ts";
import { VERSION } from "../../../lib/version.ts";
import { lockPath } from "../../process/lock_file.ts";
import type { Logger } from "../../process/log.ts";
import type { SocketSource } from "../bound_socket.ts";
import type { DaemonConfig } from "../config.ts";
import { Channel, ChannelClosed, HandoverRefused } from "./channel.ts";
import { type MessageOf, PROTOCOLS } from "./messages.ts";
import { handoverPath, trustedPeer } from "./place.ts";

/** How long the old munged may take for each step; before it stops serving, it also waits for its clients. */
const WELCOME_MS = 5_000;
const REST_MS = 10_000;
const GO_MS = 10_000;
/** How long a munged that is starting may take until it can be replaced: it waits for its groups for a second. */
const START_MS = 1_500;
/** How long the lock of a process that has ended may outlive its connections. */
const RELEASE_MS = 1_000;
const RELEASE_POLL_MS = 5;

/** The steps by which the new munged takes over. */
export interface TakeOverSteps {
  /** Reads the rest of the journals of the old munged, which has stopped but may resume; all if it has erased a record. */
  adopt(hasErased: boolean): void;
  /** Takes locks and PID file. The old munged has agreed. */
  claim(): void;
  /** Serves. */
  accept(): void;
  /** Takes the locks, journals and PID file of the old munged after it has ended. */
  succeed(): void;
}

/** The running munged, which has agreed to be replaced. */
export class Predecessor {
  /** Its process, for messages. */
  readonly who: string;
  /** A descriptor of its listening socket, and where that is from. */
  readonly listener: number;
  readonly source: SocketSource;
  /** Where its service manager, if it has one, expects to hear who is the main process. */
  readonly notifySocket: string | undefined;
  /** The directory of its replay cache, which is also ours. */
  readonly replayDir: string;
  readonly #channel: Channel;

  constructor(
    channel: Channel,
    who: string,
    { isManagers, version, notifySocket }: MessageOf<"welcome">,
    listener: number,
    replayDir: string,
  ) {
    this.notifySocket = notifySocket;
    this.#channel = channel;
    this.who = `${who} (mungebox ${printable(version)})`;
    this.listener = listener;
    this.source = { name: `daemon ${this.who}`, isOwnedByManager: isManagers, isMunged: true };
    this.replayDir = replayDir;
  }

  /**
   * Takes its place.
   *
   * @returns milliseconds during which nobody accepted connections.
   * @throws {MungeError} if it refuses or does not answer, or a step fails. It then keeps serving, once this process has
   * ended.
   */
  async takeOver(steps: TakeOverSteps): Promise<number> {
    const channel = this.#channel;
    const begun = performance.now();
    let isGranted = false;
    try {
      channel.send({ kind: "rest" });
      const { message } = await channel.expect("resting", REST_MS);
      steps.adopt(message.kept !== true);
      channel.send({ kind: "ready" });
      await channel.expect("go", GO_MS);
      isGranted = true;
      steps.claim();
      steps.accept();
    } catch (error) {
      if (!(error instanceof ChannelClosed)) {
        // Otherwise it waits until we exit, as we hold its locks.
        if (!isGranted) channel.close();
        throw this.#failure(error);
      }
      steps.succeed(); // which fails if it is still there
      steps.accept();
      return performance.now() - begun;
    }
    const gap = performance.now() - begun;
    channel.send({ kind: "serving" });
    channel.close();
    return gap;
  }

  #failure(error: unknown): unknown {
    return error instanceof HandoverRefused || !(error instanceof MungeError)
      ? refusal(this.who, systemText(error), error)
      : error;
  }
}

/**
 * Asks the munged bound to our socket to hand over.
 *
 * @returns null if there is none.
 * @throws {MungeError} if there is one that can't be replaced.
 */
export async function askPredecessor(
  { socketPath, replayDir, benchmark }: DaemonConfig,
  log: Pick<Logger, "info">,
): Promise<Predecessor | null> {
  const holder = holderOf(socketPath);
  if (holder === null) {
    log.info(`Found no daemon bound to socket "${socketPath}" to replace`);
    return null;
  }
  const who = holder > 0 ? `pid ${holder}` : "a process that can't be seen from here";
  if (replayDir === null || benchmark) {
    throw refusal(who, "without a replay cache on disk, what it has decoded would be forgotten");
  }
  const channel = await connect(who, replayDir);
  try {
    channel.send({ kind: "hello", ...PROTOCOLS, version: VERSION, socket: socketPath });
    const { message, passed } = await channel.expect("welcome", WELCOME_MS);
    if (passed === null) throw new Error("it sent no socket");
    return new Predecessor(channel, who, message, passed, replayDir);
  } catch (error) {
    channel.close();
    if (error instanceof ChannelClosed && await hasEnded(socketPath)) return null;
    throw refusal(who, systemText(error), error);
  }
}

/** Whether the munged that has just closed its connection has ended; its lock may outlive that by a moment. */
async function hasEnded(socketPath: string): Promise<boolean> {
  for (const deadline = performance.now() + RELEASE_MS; performance.now() < deadline;) {
    if (holderOf(socketPath) === null) return true;
    await sleep(RELEASE_POLL_MS);
  }
  return false;
}

async function connect(who: string, replayDir: string): Promise<Channel> {
  const path = handoverPath(replayDir);
  const fd = await reach(path, who);
  if (trustedPeer(fd) !== null) return new Channel(fd);
  close(fd);
  throw refusal(who, `"${path}" belongs to a process of another user`);
}

/** Descriptor of a connection. A munged that has just started may still be about to listen. */
async function reach(path: string, who: string): Promise<number> {
  for (const deadline = performance.now() + START_MS;; await sleep(RELEASE_POLL_MS)) {
    try {
      return connectForPackets(path);
    } catch (error) {
      const code = systemCode(error);
      const isMissing = code === "ENOENT" || code === "ECONNREFUSED";
      if (isMissing && performance.now() < deadline) continue;
      const reason = isMissing
        ? "it is another implementation, an older version, or has another --replay-dir; restart it instead"
        : `"${path}": ${systemText(error)}`;
      throw refusal(who, reason, error);
    }
  }
}

/** The process that holds the socket's lock, as lockHolder() has it; null if none does. */
function holderOf(socketPath: string): number | null {
  let fd: number;
  try {
    const { O_WRONLY, O_NONBLOCK, O_NOFOLLOW } = constants;
    fd = openSync(lockPath(socketPath), O_WRONLY | O_NONBLOCK | O_NOFOLLOW);
  } catch {
    return null; // locking it will report the problem
  }
  try {
    return lockHolder(fd);
  } finally {
    closeSync(fd);
  }
}

function refusal(who: string, reason: string, cause?: unknown): MungeError {
  return new MungeError("EMUNGE_SNAFU", `Failed to replace daemon (${who}): ${reason}`, { cause });
}
