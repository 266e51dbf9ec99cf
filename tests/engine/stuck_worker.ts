// A worker of the engine that reports that it is ready, and then obeys no orders.
import { parentPort } from "node:worker_threads";

parentPort!.once("message", () => {
  parentPort!.postMessage({ kind: "ready" });
  for (;;);
});
