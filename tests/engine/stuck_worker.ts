// A worker of the engine that says it is ready, and then does nothing that it is told any more.
import { parentPort } from "node:worker_threads";

parentPort!.once("message", () => {
  parentPort!.postMessage({ kind: "ready" });
  for (;;);
});
