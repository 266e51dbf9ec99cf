// The thread that talks to the store. It has an event loop, which the workers don't; they ask it through channels.
import { parentPort } from "node:worker_threads";
import { signalPipe } from "../../../lib/os/socket.ts";
import { createLogger } from "../../process/log.ts";
import { StoreFigures } from "./figures.ts";
import type { Answered, Channel, Question, ToStoreThread } from "./messages.ts";
import { ReplayStore } from "./store.ts";

let store: ReplayStore | undefined;

parentPort!.on("message", (order: ToStoreThread) => {
  if (order.kind === "channel") listen(order.channel);
  else {
    const { config, token, log, figures } = order.settings;
    store = new ReplayStore(config, token, new StoreFigures(figures), createLogger(log));
  }
});

/** Answers a worker's questions; answers that arrive together go in one message. */
function listen({ port, wakeEnd }: Channel): void {
  let answers: Answered[] = [];
  const send = () => {
    port.postMessage(answers);
    signalPipe(wakeEnd);
    answers = [];
  };
  port.on("message", (questions: readonly Question[]) => {
    for (const question of questions) {
      store!.ask(question, (verdict) => {
        if (answers.push({ number: question.number, verdict }) === 1) setImmediate(send);
      });
    }
  });
}
