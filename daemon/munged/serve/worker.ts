// One thread that serves requests. It gets its settings from the engine, assembles a worker, and runs it until told to stop.
// event_loop.ts is what it runs.
import { keepSpareMemory } from "../../../lib/bytes/memory.ts";
import { loadPrimitives } from "../../../lib/primitives/executable.ts";
import { unexpectedText } from "../../../lib/os/system_text.ts";
import { createLogger } from "../../process/log.ts";
import { WorkerCounters } from "../observe/counters.ts";
import { HandoverListener } from "./handover_listener.ts";
import { EventLoop } from "./event_loop.ts";
import { ActiveConfig } from "./active_config.ts";
import { Orders } from "./orders.ts";
import { createContext } from "./worker_context.ts";
import type { FromWorker, WorkerSettings } from "./worker_messages.ts";

/** Memory kept for the next long request: as much as one needs with payloads of up to 1 MiB. */
const SPARE_MEMORY = 3 * 2 ** 20;
/** How long a thread waits for the end of the process before it ends by itself. */
const EXIT_GRACE_MS = 50;

function report(message: FromWorker): void {
  postMessage(message);
}

process.once("uncaughtException", ({ message }) => {
  report({ kind: "failed", reason: message });
  process.exit(1);
});

// The first thread is started before munged knows its settings, so that its code is loaded by the time they arrive. Nothing
// must be awaited before the listener is added, because earlier messages are lost.
const settings = await new Promise<WorkerSettings>((resolve) => {
  addEventListener("message", ({ data }) => resolve(data as WorkerSettings), { once: true });
  // Until they arrive, there is time to load what other threads load only when they need it.
  setTimeout(loadPrimitives, 0).unref();
});
const log = createLogger(settings.log);
const activeConfig = new ActiveConfig(settings);
/** The realm's store; null if there is none. */
const store = settings.store === null ? null : (await import("./realm_replays.ts"))
  .openStore(settings.store, settings.timestampDriftMax ?? 0, () => activeConfig.realms);
const questions = store?.questions ?? null;
const counters = new WorkerCounters(settings.status.counters, settings.number);
const context = createContext(settings, activeConfig, counters, log, store?.realmReplays ?? null);

keepSpareMemory(SPARE_MEMORY);
const loop = new EventLoop({ settings, context, counters, questions, log, report });
const handover = settings.number === 1 ? new HandoverListener(loop, report) : null;
const orders = new Orders(settings, { activeConfig, questions, loop, handover, report });

try {
  loop.watch(settings.wake, () => orders.take());
  handover?.listen(settings.handoverListener);
  report({ kind: "ready" });
  loop.run();
  report({ kind: "stopped" });
  // The process usually ends during this wait, sooner than if this thread had to tear down its memory first.
  Bun.sleepSync(EXIT_GRACE_MS);
} catch (error) {
  log.error(`Worker thread ${settings.number} failed: ${unexpectedText(error)}`);
  process.exit(1); // ends only this thread
}
