// The thread that writes CacheDir, so that a slow disk or file server delays only the clients whose tickets it stores.
// Orders that arrive while it is busy are written, and made durable, together.
import {
  closeSync,
  constants,
  fsyncSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { systemText } from "../../lib/os/system_text.ts";
import type { FileOrder, FileReport, FilesThreadData } from "./cache_directory.ts";
import { fileName, unfinishedName } from "./cache_directory.ts";

const MODE = 0o600;
const { directory, sync } = workerData as FilesThreadData;

let orders: FileOrder[] = [];

parentPort!.on("message", (order: FileOrder) => {
  if (orders.length === 0) setImmediate(carryOut);
  orders.push(order);
});

interface Task {
  readonly order: FileOrder;
  fd?: number;
  failure?: string;
}

function carryOut(): void {
  const tasks = orders.map((order): Task => ({ order }));
  orders = [];
  each(tasks, write);
  each(tasks, finish);
  if (sync) syncDirectory(tasks);
  parentPort!.postMessage(
    tasks.map(({ order, failure }): FileReport => ({
      id: order.id,
      ...(failure === undefined ? {} : { failure }),
    })),
  );
}

function each(tasks: readonly Task[], step: (task: Task) => void): void {
  for (const task of tasks) {
    if (task.failure !== undefined) continue;
    try {
      step(task);
    } catch (error) {
      task.failure = systemText(error);
      if (task.fd !== undefined) closeSync(task.fd);
    }
  }
}

/** Writes the new file beside the old one. */
function write(task: Task): void {
  const { order } = task;
  if (order.bytes === undefined) return;
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
  const path = join(directory, unfinishedName(order.uid));
  task.fd = openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, MODE);
  try {
    for (let at = 0; at < order.bytes.length;) at += writeSync(task.fd, order.bytes, at);
  } finally {
    order.bytes.fill(0);
  }
}

/** Renames it over the old one, or removes that. */
function finish(task: Task): void {
  const { order, fd } = task;
  const path = join(directory, fileName(order.uid));
  if (fd === undefined) {
    try {
      unlinkSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
    return;
  }
  if (sync) fsyncSync(fd);
  delete task.fd;
  closeSync(fd);
  renameSync(join(directory, unfinishedName(order.uid)), path);
}

/** Makes the names durable as well; nothing is acknowledged before. */
function syncDirectory(tasks: readonly Task[]): void {
  try {
    const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    for (const task of tasks) task.failure ??= systemText(error);
  }
}
