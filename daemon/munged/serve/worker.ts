// One thread that serves requests. It blocks only in libc and never waits for a single client. This file has its event
// loop, its context for decisions, and turns; the sockets are in listener.ts and exchange.ts.
import { dropSpareMemory, keepSpareMemory } from "../../../lib/bytes/memory.ts";
import { loadPrimitives, primitives } from "../../../lib/primitives/executable.ts";
import { openPoller } from "../../../lib/os/poller.ts";
import { lastDescriptors } from "../../../lib/os/process.ts";
import { acceptConnection, drainPipe } from "../../../lib/os/socket.ts";
import { createLogger } from "../../process/log.ts";
import { isGroupMember } from "../groups/map.ts";
import { requireRealm } from "../keys/realms.ts";
import { subkeysIn } from "../keys/shelter.ts";
import { Activity } from "./activity.ts";
import { audit } from "./audit.ts";
import { WorkerCounters } from "../observe/counters.ts";
import { collectStatus } from "../observe/status.ts";
import { ReplayCache } from "../replay/cache.ts";
import type { Verdict } from "../replay_store/messages.ts";
import type { Peer, ServedRealm } from "./context.ts";
import { Descriptors } from "./descriptors.ts";
import type { FromWorker, ToWorker, WorkerSettings } from "./engine.ts";
import { Exchange, type ExchangeParts } from "./exchange.ts";
import { Listener } from "./listener.ts";
import { Retries } from "./retries.ts";
import { Standby } from "./standby.ts";
import { Turns } from "./turns.ts";

/** Descriptors reserved for the replay cache's tables and other files. */
const SPARE_DESCRIPTORS = 14;
/** Time for clients waiting for their turn before new ones are checked. */
const TURN_MS = 0.25;
/** How often to check clients who wait for another worker. */
const BLOCKED_MS = 1;

/**
 * Bytes received after which a worker that has been idle for a while collects their garbage. The runtime does so only
 * when it needs more memory, or in its event loop, which never runs here.
 */
const LITTER_MAX = 2 * 2 ** 20;
/** Bytes a client counts for in addition to its own. */
const LITTER_PER_CLIENT = 512;
const IDLE_MS = 100;
/** Memory kept for the next long request: as much as one needs in all where payloads have up to 1 MiB. */
const SPARE_MEMORY = 6 * 2 ** 20;
/** How long a thread waits for the end of the process before it ends by itself. */
const PARTING_MS = 50;

process.once("uncaughtException", ({ message }) => {
  report({ kind: "failed", reason: message });
  process.exit(1);
});

loadPrimitives();

// Threads are started before munged knows their settings, so that they load their code meanwhile. Nothing is awaited before
// the listener is there, because messages are not kept for it.
const settings = await new Promise<WorkerSettings>((resolve) => {
  addEventListener("message", ({ data }) => resolve(data as WorkerSettings), { once: true });
});
const log = createLogger(settings.log);
let { groups, realms } = settings;
let served = openRealms();
let stopping = false;
/** Whether it was told to rest, and has not reported yet that no client is left. */
let isWindingDown = false;

function openRealms(): ReadonlyMap<string, ServedRealm> {
  return new Map(
    [...realms].map((
      [name, { ring, policy }],
    ) => [name, { ring: ring.map(({ secret }) => subkeysIn(secret)), policy }]),
  );
}

function isMember(uid: number, gid: number): boolean {
  return isGroupMember(groups, uid, gid);
}

/** The realm's store; null if there is none. */
const store = settings.store === null ? null : (await import("./realm_replays.ts"))
  .openStore(settings.store, settings.timestampDriftMax ?? 0, () => realms);
const questions = store?.questions ?? null;

const counters = new WorkerCounters(settings.status.counters, settings.number);

const context: ExchangeParts["context"] = {
  primitives,
  realmOf: (name) => requireRealm(served, name),
  maxPayload: settings.maxPayload,
  maxTtl: settings.maxTtl,
  defaultTtl: settings.defaultTtl,
  timestampDriftMax: settings.timestampDriftMax,
  originAddress: settings.originAddress,
  overflow: settings.overflow,
  now: () => Math.floor(Date.now() / 1000),
  fillRandom: (bytes) => crypto.getRandomValues(bytes),
  isMember,
  replayCache: settings.replay === null ? null : new ReplayCache(
    settings.replay,
    (text) => log.limited("replay journal", "warning", text),
  ),
  realmReplays: store?.realmReplays ?? null,
  log,
  status: ({ uid }) =>
    uid === 0 || uid === process.geteuid!()
      ? JSON.stringify(collectStatus(settings.status, realms))
      : null,
  used: (direction, cipher, mac, zip) => counters.used(direction, cipher, mac, zip),
  refusedByPolicy: (direction, rule) => counters.refusedByPolicy(direction, rule),
  refused(refusal) {
    audit(refusal, log);
    const { error, opened, decodeTime } = refusal;
    if (error === "EMUNGE_CRED_INVALID") counters.invalid(decodeTime);
    else if (error === "EMUNGE_CRED_REWOUND") counters.rewound(opened!.encodeTime - decodeTime);
  },
};

keepSpareMemory(SPARE_MEMORY);
const firstSpare = lastDescriptors(SPARE_DESCRIPTORS);
const poller = openPoller();
const descriptors = new Descriptors(settings.descriptors, settings.number);
if (poller.descriptor !== null) descriptors.own(poller.descriptor);
const standby = new Standby(settings.standby, settings.number);
const retries = new Retries(standby, descriptors);
const activity = new Activity(settings.activity);
const turns = new Turns(settings.turns, settings.number);
const exchange = new Exchange({
  context,
  counters,
  descriptors,
  limits: settings.parking,
  poller,
  retries,
  log,
  expectLong: () => standby.endTaking(),
  mustWait: ({ uid }) => turns.mustWait(uid, clock),
  awaitTurn: (client) => turns.add(client),
});
const listener = new Listener({
  socket: settings.listener,
  poller,
  standby,
  descriptors,
  firstSpare,
  log,
  serve: serveNew,
  makeRoom: () => exchange.makeRoom(),
  parkFewer() {
    if (!exchange.kept.makeRoom()) exchange.parked.keepFewer();
  },
  accepting: settings.accepting,
});
/** The other listening socket, if this worker is the one that attends to it. */
let door: number | null = null;

/** When something was last done for a client. */
let clock = performance.now();
/** Requests that had been answered by then. */
let answered = 0;
/** Clients accepted since the last garbage collection, and bytes received by then. */
let accepted = 0;
let collectedAt = 0;

function litter(): number {
  return exchange.received - collectedAt + accepted * LITTER_PER_CLIENT;
}

/** Charges a user for the time since the last call. */
function charge(uid: number): void {
  const now = performance.now();
  const requests = exchange.answered - answered;
  turns.charge(uid, now, now - clock, requests);
  if (requests > 0) {
    counters.recent(now, requests);
    activity.mark();
  }
  answered = exchange.answered;
  clock = now;
}

function serveNew(fd: number, peer: Peer): void {
  accepted++;
  const { uid } = peer;
  try {
    if (turns.mustWait(uid, clock)) turns.add(exchange.defer(fd, peer));
    else {
      exchange.begin(fd, peer);
      charge(uid);
    }
  } catch (error) {
    exchange.abandon(fd, error as Error);
  }
}

/** Answers a client whose credential the store was asked about. */
function decide(question: number, verdict: Verdict): void {
  const client = exchange.deferredClient(question);
  if (client === undefined) return;
  try {
    exchange.decide(question, verdict);
  } catch (error) {
    exchange.abandon(client.fd, error as Error);
  }
  charge(client.peer.uid);
}

function resume(fd: number): void {
  const uid = exchange.peerOf(fd)?.uid;
  try {
    exchange.resume(fd);
  } catch (error) {
    exchange.abandon(fd, error as Error);
  }
  if (uid !== undefined) charge(uid);
}

/** Whether all clients waiting for their turn wait for other workers. */
let isBlocked = false;

/** Serves clients that have waited for their turn. */
function takeTurns(): void {
  if (!turns.hasWaiting) return;
  standby.endTaking(); // other workers should not count on this one now
  for (const end = clock + TURN_MS; clock < end;) {
    const client = turns.next(clock);
    isBlocked = client === undefined;
    if (client === undefined) return;
    try {
      exchange.take(client);
    } catch (error) {
      exchange.abandon(client.fd, error as Error);
    }
    turns.release();
    charge(client.peer.uid);
  }
}

/** Serves until the engine orders it to stop. */
function serve(): void {
  for (;;) {
    const count = poller.wait(patience());
    clock = performance.now();
    if (count === 0 && litter() > LITTER_MAX && listener.isWatching) {
      dropSpareMemory();
      Bun.gc(true);
      accepted = 0;
      collectedAt = exchange.received;
    }
    for (let i = 0; i < count; i++) {
      const fd = poller.ready(i);
      if (fd === settings.listener) listener.accept();
      else if (fd === settings.wake) takeOrders();
      else if (fd === questions?.wake) questions.take(decide);
      else if (fd === door) admit(fd);
      else resume(fd);
    }
    takeTurns();
    if (retries.hasWaiting) exchange.answerRetries(clock, ({ uid }) => charge(uid));
    exchange.parked.cutOff(clock);
    exchange.kept.cutOff(clock);
    listener.tick(clock);
    questions?.flush();
    if (exchange.size > 0) continue;
    if (stopping) return;
    if (isWindingDown) {
      isWindingDown = false;
      report({ kind: "resting" });
    }
  }
}

/** Milliseconds to wait for events; -1 for no limit. */
function patience(): number {
  if (turns.hasWaiting) return isBlocked ? BLOCKED_MS : 0;
  if (retries.hasWaiting) return BLOCKED_MS;
  const next = Math.min(
    exchange.parked.nextDeadline(),
    exchange.kept.connections.nextDeadline,
    listener.nextDeadline,
  );
  const wait = next === Infinity ? -1 : Math.max(0, Math.ceil(next - performance.now()));
  return litter() > LITTER_MAX && (wait < 0 || wait > IDLE_MS) ? IDLE_MS : wait;
}

function takeOrders(): void {
  drainPipe(settings.wake);
  // Loaded here, because the first clients would have to wait for it.
  const { receiveMessageOnPort } = process.getBuiltinModule("node:worker_threads");
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
        served = openRealms();
        report({ kind: "realms", generation: order.generation });
        break;
      case "store":
        questions!.askAnew(order.port);
        break;
      case "listen":
        if (listener.isWatching) listener.watchAnew();
        break;
      case "rest":
        isWindingDown = true;
        listener.rest();
        exchange.kept.drain();
        exchange.parked.hurry(performance.now() + order.graceMs);
        break;
      case "accept":
        isWindingDown = false;
        exchange.kept.keepAgain();
        listener.watchAnew();
        break;
      case "door":
        attend(order.door);
        break;
      case "stop":
        stopping = true;
        listener.end();
        exchange.kept.drain();
        break;
    }
  }
}

/** Attends to the other listening socket, which the first worker does. */
function attend(socket: number | null): void {
  if (settings.number !== 1) return;
  if (door !== null) poller.remove(door);
  if (socket !== null) poller.add(socket, "read");
  door = socket;
}

function admit(socket: number): void {
  const fd = acceptConnection(socket);
  if (fd >= 0) report({ kind: "visitor", fd });
}

function report(message: FromWorker): void {
  postMessage(message);
}

try {
  poller.add(settings.wake, "read");
  if (questions !== null) poller.add(questions.wake, "read");
  attend(settings.door);
  report({ kind: "ready" });
  serve();
  if (poller.descriptor !== null) descriptors.hangUp(poller.descriptor);
  report({ kind: "stopped" });
  // The process usually ends meanwhile, sooner than if this thread's memory was taken down first.
  Bun.sleepSync(PARTING_MS);
} catch (error) {
  log.error(`Worker thread ${settings.number} failed: ${(error as Error).stack}`);
  process.exit(1); // ends only this thread
}
