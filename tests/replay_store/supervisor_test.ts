// The store's thread dies: another one takes its place, and is asked what the first one has not answered.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { parseArguments } from "../../cli/munged/munged.ts";
import { DEFAULTS } from "../../daemon/munged/config.ts";
import { VERDICT, type Verdict } from "../../daemon/munged/replay_store/messages.ts";
import { StoreQuestions } from "../../daemon/munged/replay_store/questions.ts";
import { StoreThread } from "../../daemon/munged/replay_store/supervisor.ts";
import { stderrLog } from "../../daemon/process/log_target.ts";
import { memoryLogger } from "../daemon/memory_logger.ts";
import { hasRedis, Redis } from "./redis.ts";

test("a question outlives the thread that it killed", { skip: !hasRedis }, async () => {
  const redis = await Redis.start();
  const config = parseArguments("munged", [`--replay-store=redis://127.0.0.1:${redis.port}`]);
  const log = memoryLogger();
  const thread = new StoreThread(
    { ...config, replayStore: config.replayStore! },
    stderrLog(DEFAULTS),
    log,
    new URL("mortal_thread.ts", import.meta.url),
  );
  try {
    const questions = new StoreQuestions(thread.endsFor(1));
    thread.onRestart = () => questions.resendTo(thread.endsFor(1).port);
    const encodeTime = Math.floor(Date.now() / 1000) + 60;
    const asked = questions.ask({ name: "munge:x:y", lifetime: 10_000, encodeTime });
    const dropped = questions.ask({ name: "munge:x:z", lifetime: 10_000, encodeTime });
    questions.drop(dropped);
    const answers: [number, Verdict][] = [];
    for (let i = 0; i < 500 && answers.length === 0; i++) {
      questions.flush();
      await pause(20);
      questions.take((number, verdict) => answers.push([number, verdict]));
    }
    assert.deepEqual(answers, [[asked, VERDICT.fresh]]);
    assert.deepEqual(log.lines, ["error: Thread of the replay store ended unexpectedly"]);
    assert.match(redis.command("GET", "munge:x:y"), /^[\w-]{12}$/);
    assert.match(redis.command("GET", "munge:x:z"), /^$/, "nobody waits for that one any more");
  } finally {
    await thread.stop();
    await redis.close();
  }
});
