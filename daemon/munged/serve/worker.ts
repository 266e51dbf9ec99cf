// One thread that serves requests: it accepts, reads, has request.ts decide, writes and closes, blocking in
// libc only and never waiting for any one client. A client whose bytes are not there yet, or who does not
// take its answer, is parked in the poller until its deadline.
import { parentPort, receiveMessageOnPort } from "node:worker_threads";
import { crypto } from "../../../lib/crypto/executable.ts";
import { MungeError } from "../../../lib/errors.ts";
import { newBytes } from "../../../lib/credential/memory.ts";
import { KeptViews } from "../../../lib/credential/kept_views.ts";
import type { Subkeys } from "../../../lib/credential/subkeys.ts";
import {
  type Header,
  HEADER_LENGTH,
  MAX_REQUEST_LENGTH,
  MESSAGE_TIMEOUT_MS,
  parseHeader,
} from "../../../lib/protocol/message.ts";
import { EAGAIN, EINTR, errno, fixedMemory, ptr, strerror } from "../../../lib/os/libc.ts";
import { openPoller } from "../../../lib/os/poller.ts";
import { lastDescriptors } from "../../../lib/os/process.ts";
import {
  acceptConnection,
  close,
  drainPipe,
  EINVAL,
  EMFILE,
  ENFILE,
  ENOBUFS,
  ENOMEM,
  identifyPeer,
  peer,
  receive,
  send,
} from "../../../lib/os/socket.ts";
import { ReplayCache } from "../replay/cache.ts";
import { audit } from "../observe/audit.ts";
import { WorkerCounters } from "../observe/counters.ts";
import type { FromWorker, ToWorker, WorkerSettings } from "./engine.ts";
import { isGroupMember } from "../groups/map.ts";
import { createLogger } from "../../process/log.ts";
import { DEFAULT_REALM, mayUseRealm, requireRealm } from "../keys/realms.ts";
import type { Answer, RequestContext } from "./context.ts";
import { answerRequest } from "./request.ts";
import { Standby } from "./standby.ts";
import { collectStatus } from "../observe/status.ts";

/** Bytes read at once; a larger request is gathered in memory of its own. */
const READ_LENGTH = 262_144;
/** Bytes of a response that is made in memory used again and again. */
const OUTPUT_LENGTH = 131_072;
/** Connections served before the parked ones get a look. */
const ACCEPTS_PER_TURN = 64;
/** Bytes of unfinished requests and answers that one worker keeps for its clients. */
const PARKED_BYTES_MAX = 64 * 2 ** 20;
/** Descriptors that clients don't keep: for the replay cache's tables, and for what else has to be opened. */
const SPARE_DESCRIPTORS = 14;
/** However scarce descriptors are, some clients' bytes come a moment after them. */
const LEAST_PARKED = 2;
/** Pause when the system can't give another descriptor and no client can be made to give one up. */
const DESCRIPTOR_PAUSE_MS = 10;

/**
 * How long a worker that found the queue empty stands by while another one takes connections. If the other
 * one is held up, or can't keep up, clients have waited no longer than this.
 */
const STANDBY_MS = 1;
/** A request of more bytes may keep its worker busy so long that others had better not stand by. */
const LONG_REQUEST = 4096;

/**
 * Bytes received after which a worker that has been idle for a while collects the garbage they left. The
 * runtime does so when it wants more memory, or in its event loop, which is never run here.
 */
const LITTER_MAX = 2 * 2 ** 20;
/** What a client counts for besides its bytes. */
const LITTER_PER_CLIENT = 512;
const IDLE_MS = 100;

/** A client that has to be waited for. */
interface Parked {
  readonly fd: number;
  /** Milliseconds of the monotonic clock at which it is cut off. */
  readonly deadline: number;
  /** What is being gathered or sent. */
  buffer: Uint8Array;
  /** Bytes of the buffer that were received or sent. */
  done: number;
  /** The answer being sent, or null while the request is being received. */
  readonly answer: Answer | null;
}

// Threads are started before munged knows what to tell them, so that they load their code meanwhile.
const settings = await new Promise<WorkerSettings>((resolve) => {
  parentPort!.once("message", resolve);
});
const log = createLogger(settings.log);
const replayCache = settings.replay === null ? null : new ReplayCache(settings.replay);
let { groups, realms } = settings;
let ring = ringOf(DEFAULT_REALM);

function ringOf(realm: string): readonly Subkeys[] {
  return requireRealm(realms, realm).ring.map(({ subkeys }) => subkeys);
}
let stopping = false;

/** Where responses are made, but for very large ones. */
const output = fixedMemory(OUTPUT_LENGTH);
const outputViews = new KeptViews(output);
const outputAddress: number = ptr(output);

function isMember(uid: number, gid: number): boolean {
  return isGroupMember(groups, uid, gid);
}

const counters = new WorkerCounters(settings.status.counters, settings.number);

const context: RequestContext = {
  crypto,
  ringOf: (realm) => realm === DEFAULT_REALM ? ring : ringOf(realm),
  mayUse: (realm, { uid, gid }) => mayUseRealm(requireRealm(realms, realm), uid, gid, isMember),
  maxTtl: settings.maxTtl,
  defaultTtl: settings.defaultTtl,
  timestampDriftMax: settings.timestampDriftMax,
  originAddress: settings.originAddress,
  now: () => Math.floor(Date.now() / 1000),
  fillRandom: (bytes) => globalThis.crypto.getRandomValues(bytes),
  isMember,
  replayCache,
  allocate: (length) => length <= OUTPUT_LENGTH ? outputViews.first(length) : newBytes(length),
  log,
  status: ({ uid }) =>
    uid === 0 || uid === process.geteuid!()
      ? JSON.stringify(collectStatus(settings.status, realms))
      : null,
  refused(refusal) {
    audit(refusal, log);
    const { error, opened, decodeTime } = refusal;
    if (error === "EMUNGE_CRED_INVALID") counters.invalid(decodeTime);
    else if (error === "EMUNGE_CRED_REWOUND") counters.rewound(opened!.encodeTime - decodeTime);
  },
};

const firstSpare = lastDescriptors(SPARE_DESCRIPTORS);
const input = new Uint8Array(fixedMemory(READ_LENGTH));
const inputAddress: number = ptr(input);
const bodyViews = new KeptViews(input.buffer as ArrayBuffer, HEADER_LENGTH);
const poller = openPoller();
const standby = new Standby(settings.standby, settings.number);
/** Which worker holds which descriptor, so that those of a worker that died can be closed. */
const owners = new Uint32Array(settings.owners);
if (poller.descriptor !== null) own(poller.descriptor);

/** Parked clients, the one with the earliest deadline first. */
const parked = new Map<number, Parked>();
let parkedBytes = 0;
/** How many clients may be parked: as many as ever once none is. */
let parkedMost = settings.maxParked;
/** When the listening socket is watched again; 0 while it is. */
let listenAgainAt = 0;

function own(fd: number): void {
  if (fd < owners.length) owners[fd] = settings.number;
}

function hangUp(fd: number): void {
  if (fd < owners.length) owners[fd] = 0;
  close(fd);
}

/** Bytes received since garbage was collected. */
let litter = 0;

/** Serves until the engine says stop. */
function serve(): void {
  for (;;) {
    const count = poller.wait(untilNextDeadline());
    if (count === 0 && litter > LITTER_MAX && listening) { // standing by is not being idle
      Bun.gc(true);
      litter = 0;
    }
    for (let i = 0; i < count; i++) {
      const fd = poller.ready(i);
      if (fd === settings.listener) acceptClients();
      else if (fd === settings.wake) takeOrders();
      else guarded(resume, fd);
    }
    cutOff(performance.now());
    if (stopping && parked.size === 0) return;
  }
}

function untilNextDeadline(): number {
  let next = listenAgainAt === 0 ? Infinity : listenAgainAt;
  for (const client of parked.values()) {
    next = Math.min(next, client.deadline);
    break;
  }
  const wait = next === Infinity ? -1 : Math.max(0, Math.ceil(next - performance.now()));
  return litter > LITTER_MAX && (wait < 0 || wait > IDLE_MS) ? IDLE_MS : wait;
}

/** Does something for a client; whatever is thrown, memory that ran out most likely, cuts off this one only. */
function guarded(step: (fd: number) => void, fd: number): void {
  try {
    step(fd);
  } catch (error) {
    abandon(fd, error as Error);
  }
}

function abandon(fd: number, error: Error): void {
  log.limited("serve client", "error", `Failed to serve client: ${error.stack}`);
  const client = parked.get(fd);
  if (client !== undefined) unpark(client);
  if (owners[fd] === settings.number) hangUp(fd);
}

function takeOrders(): void {
  drainPipe(settings.wake);
  for (;;) {
    const received = receiveMessageOnPort(settings.orders) as { message: ToWorker } | undefined;
    if (received === undefined) return;
    const order = received.message;
    switch (order.kind) {
      case "groups":
        groups = order.groups;
        break;
      case "realms":
        realms = order.realms;
        ring = ringOf(DEFAULT_REALM);
        report({ kind: "realms", generation: order.generation });
        break;
      case "stop":
        stopping = true;
        unwatchListener();
        break;
    }
  }
}

/** Serves new clients for a turn; if there are no more, leaves the next ones to a worker that is at it. */
function acceptClients(): void {
  standby.beginTaking();
  const outcome = acceptTurn();
  if (outcome === "more") return;
  standby.endTaking();
  if (outcome === "none" && standby.isOtherTaking()) pauseListening(STANDBY_MS);
}

/** Whether new clients are waiting still, none are, or none can be taken. */
function acceptTurn(): "more" | "none" | "stuck" {
  for (let i = 0; i < ACCEPTS_PER_TURN; i++) {
    if (stopping) return "stuck";
    const fd = acceptConnection(settings.listener);
    if (fd >= 0) {
      if (fd >= firstSpare) parkFewer();
      own(fd);
      litter += LITTER_PER_CLIENT;
      guarded(receiveFirst, fd);
      continue;
    }
    const reason = errno();
    if (reason === EAGAIN) return "none";
    if (reason === EINVAL) return "stuck"; // it was shut down
    if (reason === EMFILE || reason === ENFILE || reason === ENOBUFS || reason === ENOMEM) {
      log.limited("accept", "warning", `Failed to accept connection: ${strerror(reason)}`);
      if (!cutOffOldest()) {
        pauseListening(DESCRIPTOR_PAUSE_MS);
        return "stuck";
      }
    } else if (reason !== EINTR) {
      log.limited("accept", "warning", `Failed to accept connection: ${strerror(reason)}`);
      return "stuck";
    }
  }
  return "more";
}

let listening = false;

function watchListener(): void {
  if (listening) return;
  poller.add(settings.listener, "read", true);
  listening = true;
}

function unwatchListener(): void {
  if (!listening) return;
  poller.remove(settings.listener);
  listening = false;
}

function pauseListening(milliseconds: number): void {
  unwatchListener();
  listenAgainAt = performance.now() + milliseconds;
}

/** Reads what a new client has sent; mostly that is the whole request. */
function receiveFirst(fd: number): void {
  const count = receive(fd, inputAddress, READ_LENGTH);
  if (count <= 0) {
    if (count === 0) incomplete(fd, 0, null);
    else if (errno() === EAGAIN) park(fd, new Uint8Array(0));
    else failReceive(fd, strerror(errno()));
    return;
  }
  litter += count;
  if (count < HEADER_LENGTH) {
    park(fd, input.slice(0, count));
    return;
  }
  const header = acceptableHeader(input);
  if (header === null) {
    hangUp(fd);
  } else if (count < HEADER_LENGTH + header.length) {
    park(fd, input.slice(0, count));
  } else {
    if (header.length > LONG_REQUEST) standby.endTaking();
    respond(fd, header, bodyViews.first(header.length));
  }
}

/** The header of a request that may go on, or null. */
function acceptableHeader(bytes: Uint8Array): Header | null {
  try {
    const header = parseHeader(bytes);
    if (header.length <= MAX_REQUEST_LENGTH) return header;
    log.info(
      `Failed to receive message: Size ${header.length} exceeded maximum of ${MAX_REQUEST_LENGTH}`,
    );
  } catch (error) {
    if (!(error instanceof MungeError)) throw error;
    log.info(error.message);
  }
  return null;
}

/** Answers a whole request; `body` is valid during the call only. */
function respond(fd: number, header: Header, body: Uint8Array): void {
  if (!identifyPeer(fd)) {
    log.info(`Failed to identify client: ${strerror(errno())}`);
    hangUp(fd);
    return;
  }
  const begun = counters.begin();
  const answer = answerRequest(header.type, header.retry, body, peer, context);
  if (answer === null) {
    counters.cutOff();
    hangUp(fd);
    return;
  }
  counters.answered(header.type, answer.bytes[HEADER_LENGTH]!);
  sendFirst(fd, answer);
  if (begun !== 0) counters.end(begun);
}

function sendFirst(fd: number, answer: Answer): void {
  const { bytes } = answer;
  const isShared = bytes.buffer === output;
  const count = send(fd, isShared ? outputAddress : ptr(bytes), bytes.length);
  if (count === bytes.length) {
    hangUp(fd);
  } else if (count >= 0 || errno() === EAGAIN) {
    parkClient({
      fd,
      deadline: performance.now() + MESSAGE_TIMEOUT_MS,
      buffer: isShared ? bytes.slice() : bytes,
      done: Math.max(count, 0),
      answer,
    });
  } else {
    failSend(fd, answer, strerror(errno()));
  }
}

function park(fd: number, received: Uint8Array): void {
  const deadline = performance.now() + MESSAGE_TIMEOUT_MS;
  parkClient({ fd, deadline, buffer: received, done: received.length, answer: null });
}

function parkClient(client: Parked): void {
  poller.add(client.fd, client.answer === null ? "read" : "write");
  parked.set(client.fd, client);
  parkedBytes += client.buffer.length;
  limitParked();
}

/** Has fewer clients wait from now on, for the last descriptors have been reached. */
function parkFewer(): void {
  log.limited("accept", "warning", "Failed to accept connection: Too many open files");
  parkedMost = Math.max(LEAST_PARKED, parked.size - 1);
  limitParked();
}

/** Cuts off clients, oldest first, until those that are left take no more than they may. */
function limitParked(): void {
  while (
    (parkedBytes > PARKED_BYTES_MAX || parked.size > parkedMost) && cutOffOldest()
  );
}

function unpark(client: Parked): void {
  poller.remove(client.fd);
  parked.delete(client.fd);
  parkedBytes -= client.buffer.length;
}

/** Goes on with a parked client that has become ready. */
function resume(fd: number): void {
  const client = parked.get(fd);
  if (client === undefined) return; // cut off earlier in this turn
  if (client.answer === null) receiveMore(client);
  else sendMore(client, client.answer);
  if (parked.get(fd) !== client) discard(client);
}

/** Gives a client's memory back at once: much of it can come and go before garbage is collected. */
function discard(client: Parked): void {
  const memory = client.buffer.buffer as ArrayBuffer;
  if (!memory.detached) memory.transfer(0);
}

function receiveMore(client: Parked): void {
  const { fd } = client;
  const count = receive(fd, inputAddress, READ_LENGTH);
  if (count <= 0) {
    if (count < 0 && (errno() === EAGAIN || errno() === EINTR)) return;
    const reason = count < 0 ? strerror(errno()) : null;
    unpark(client);
    if (reason === null) incomplete(fd, client.done, client.buffer);
    else failReceive(fd, reason);
    return;
  }
  litter += count;
  append(client, input.subarray(0, count));
  if (client.done < HEADER_LENGTH) return;
  const header = acceptableHeader(client.buffer);
  const end = header === null ? 0 : HEADER_LENGTH + header.length;
  if (client.done < end) {
    limitParked();
    return;
  }
  unpark(client);
  if (header === null) hangUp(fd);
  else respond(fd, header, client.buffer.subarray(HEADER_LENGTH, end));
}

/** Gathers bytes; the memory grows with what has come, not with what the header claims. */
function append(client: Parked, bytes: Uint8Array): void {
  const needed = client.done + bytes.length;
  if (needed > client.buffer.length) {
    const room = Math.min(
      Math.max(needed, client.buffer.length * 2),
      HEADER_LENGTH + MAX_REQUEST_LENGTH + READ_LENGTH,
    );
    const before = client.buffer.length;
    client.buffer = new Uint8Array((client.buffer.buffer as ArrayBuffer).transfer(room));
    parkedBytes += room - before; // only now: there may have been no memory for it
  }
  client.buffer.set(bytes, client.done);
  client.done = needed;
}

function sendMore(client: Parked, answer: Answer): void {
  const { fd, buffer } = client;
  const count = send(fd, ptr(buffer) + client.done, buffer.length - client.done);
  if (count < 0) {
    if (errno() === EAGAIN || errno() === EINTR) return;
    const reason = strerror(errno());
    unpark(client);
    failSend(fd, answer, reason);
    return;
  }
  client.done += count;
  if (client.done < buffer.length) return;
  unpark(client);
  hangUp(fd);
}

/** Cuts off the clients whose time is over. */
function cutOff(now: number): void {
  for (const client of parked.values()) {
    if (client.deadline > now) break;
    giveUp(client, "Timed-out");
  }
  if (parked.size === 0) parkedMost = settings.maxParked;
  if (listenAgainAt !== 0 && listenAgainAt <= now) {
    listenAgainAt = 0;
    if (!stopping) watchListener();
  }
}

/** Cuts off the client that was waited for the longest, to make room; false if there is none. */
function cutOffOldest(): boolean {
  for (const client of parked.values()) {
    giveUp(client, "Out of resources");
    return true;
  }
  return false;
}

function giveUp(client: Parked, reason: string): void {
  unpark(client);
  discard(client);
  if (client.answer !== null) {
    failSend(client.fd, client.answer, reason);
    return;
  }
  const part = client.done < HEADER_LENGTH ? "header" : "body";
  log.limited(
    `receive ${part}: ${reason}`,
    "info",
    `Failed to receive message ${part}: ${reason}`,
  );
  hangUp(client.fd);
}

/** The client ended its side in the middle of a request. */
function incomplete(fd: number, received: number, bytes: Uint8Array | null): void {
  if (received < HEADER_LENGTH || bytes === null) {
    log.info(`Received incomplete message header: ${received} of ${HEADER_LENGTH} bytes`);
  } else {
    const { length } = parseHeader(bytes);
    log.info(`Received incomplete message body: ${received - HEADER_LENGTH} of ${length} bytes`);
  }
  hangUp(fd);
}

function failReceive(fd: number, reason: string): void {
  log.limited(`receive: ${reason}`, "info", `Failed to receive message header: ${reason}`);
  hangUp(fd);
}

/** An answer that did not reach its client must not make the client's next try a replay. */
function failSend(fd: number, answer: Answer, reason: string): void {
  log.limited(`send: ${reason}`, "info", `Failed to send message: ${reason}`);
  if (answer.remembered !== null) forget(answer.remembered);
  hangUp(fd);
}

function forget(remembered: NonNullable<Answer["remembered"]>): void {
  try {
    replayCache!.forget(remembered);
  } catch (error) {
    const reason = (error as Error).message;
    log.limited("forget credential", "error", `Failed to forget credential: ${reason}`);
  }
}

function run(): void {
  poller.add(settings.wake, "read");
  watchListener();
  report({ kind: "ready" });
  serve();
  if (poller.descriptor !== null) hangUp(poller.descriptor);
  report({ kind: "stopped" });
}

function report(message: FromWorker): void {
  parentPort!.postMessage(message);
}

try {
  run();
} catch (error) {
  log.error(`Worker thread ${settings.number} failed: ${(error as Error).stack}`);
  process.exit(1); // this thread only
}
