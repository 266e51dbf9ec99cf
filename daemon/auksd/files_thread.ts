// The thread that writes CacheDir, so that a slow disk or file server delays only the clients whose tickets it stores.
// It carries out all waiting orders together, and makes them durable with one flush.
import { parentPort, workerData } from "node:worker_threads";
import { systemText } from "../../lib/os/system_text.ts";
import type { FileOrder, FileReport, FilesThreadData } from "./cache_directory.ts";
import { CacheFiles } from "./cache_file.ts";
import { WriteAhead } from "./write_ahead.ts";

const { directory } = workerData as FilesThreadData;

/** Bytes that are written together; the rest waits for the next turn. */
const BATCH_BYTES_MAX = 2 ** 20;

const orders: FileOrder[] = [];
const files = new CacheFiles(directory);
let writeAhead: WriteAhead | undefined;

parentPort!.on("message", (order: FileOrder | "stop") => {
  if (order === "stop") {
    stop();
    return;
  }
  if (orders.length === 0) setImmediate(carryOutOrders);
  orders.push(order);
});

interface Task {
  readonly order: FileOrder;
  failure?: string;
}

function carryOutOrders(): void {
  const tasks = takeOrders().map((order): Task => ({ order }));
  if (tasks.length === 0) return; // stop() has carried them out
  if (orders.length > 0) setImmediate(carryOutOrders);
  const durable = tasks.filter(({ order }) => order.sync);
  if (durable.length > 0) {
    attempt(durable, () => {
      writeAhead ??= new WriteAhead(directory);
      writeAhead.append(durable.map(({ order }) => order));
    });
  }
  for (const task of tasks) attempt([task], () => finish(task.order));
  // A failed write must not come back after a crash.
  if (tasks.some(({ failure }) => failure !== undefined)) {
    attempt([], () => writeAhead?.checkpoint());
  }
  for (const { order } of tasks) order.bytes?.fill(0);
  parentPort!.postMessage(
    tasks.map(({ order, failure }): FileReport => ({
      id: order.id,
      ...(failure === undefined ? {} : { failure }),
    })),
  );
  // After the answer. What fails here is tried again, and reported, with the next order.
  attempt([], () => files.prepare());
}

/** Takes the orders to carry out together next. */
function takeOrders(): FileOrder[] {
  let count = 0;
  for (let bytes = 0; count < orders.length && bytes < BATCH_BYTES_MAX; count++) {
    bytes += orders[count]!.bytes?.length ?? 0;
  }
  return orders.splice(0, count);
}

/** Takes a step for all tasks, unless one of them has already failed; if it fails, all of them do. */
function attempt(tasks: readonly Task[], step: () => void): void {
  if (tasks.some(({ failure }) => failure !== undefined)) return;
  try {
    step();
  } catch (error) {
    for (const task of tasks) task.failure = systemText(error);
  }
}

/** Replaces a user's file, or removes it. */
function finish({ uid, bytes, sync }: FileOrder): void {
  if (bytes === undefined) files.remove(uid);
  else files.replace(uid, bytes, sync ? "journal" : "none");
}

function stop(): void {
  while (orders.length > 0) carryOutOrders();
  attempt([], () => files.close());
  attempt([], () => writeAhead?.close());
  parentPort!.postMessage("stopped");
}
