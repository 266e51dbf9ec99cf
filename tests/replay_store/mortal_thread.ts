// The store's thread for supervisor_test.ts, which dies of its first question unless another thread already has.
import { parentPort } from "node:worker_threads";
import type { ToStoreThread } from "../../daemon/munged/replay_store/messages.ts";
import "../../daemon/munged/replay_store/thread.ts";

let isSecond = false;

parentPort!.on("message", (order: ToStoreThread) => {
  if (order.kind === "start") {
    // A cell that the real thread does not use while it has answered nothing.
    const cells = new Float64Array(order.settings.figures);
    isSecond = cells.at(-1) === 1;
    cells[cells.length - 1] = 1;
  } else if (!isSecond) order.channel.port.on("message", () => process.exit(1));
});
