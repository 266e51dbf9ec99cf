// Many calls at once against our munged and the C one, in Bun, Deno and Node.js: each gets its own answer, whatever happens to
// the others and to the daemon, and none leaves a descriptor open.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { CredentialSource, decode, encode, encodeMany, Munge } from "../../mod.ts";
import { withShortOutages } from "../harness/outage.ts";
import { assertRefused, text, times } from "./calls.ts";
import { openSockets, suiteWithEach } from "./daemons.ts";

suiteWithEach("calls", [], (munged) => {
  const { program, socketPath } = munged;

  test("1,000 concurrent encodes and decodes, each with its own payload", async () => {
    const credentials = await Promise.all(
      times(1000, (i) => encode(`payload ${i}`, { socketPath })),
    );
    assert.equal(new Set(credentials).size, 1000);
    const more = times(1000, (i) => encode(`more ${i}`, { socketPath }));
    const decoded = await Promise.all(credentials.map((one) => decode(one, { socketPath })));
    decoded.forEach(({ payload }, i) => assert.equal(text(payload), `payload ${i}`));
    assert.equal(new Set(await Promise.all(more)).size, 1000);
  });

  test("encodeMany() makes as many as asked for, or one for each payload, in order", async () => {
    const made = await encodeMany(2_000, { socketPath, ttl: 60 });
    assert.equal(new Set(made).size, 2_000);
    assert.equal((await decode(made[1_999]!, { socketPath })).ttl, 60);
    const payloads = times(300, (i) => i % 2 === 0 ? `number ${i}` : new Uint8Array([i % 256]));
    payloads.push("x".repeat(100_000)); // too long for a kept connection
    const each = await new Munge({ socketPath }).encodeMany(payloads, { timeoutMs: 20_000 });
    assert.equal(each.length, payloads.length);
    for (const [i, credential] of each.entries()) {
      const { payload } = await decode(credential, { socketPath });
      const wanted = payloads[i]!;
      assert.deepEqual(text(payload), typeof wanted === "string" ? wanted : text(wanted));
    }
    assert.deepEqual(await encodeMany(0, { socketPath }), []);
    for (const count of [-1, 1.5, NaN]) {
      await assertRefused(
        "EMUNGE_BAD_ARG",
        `Invalid number of credentials ${count}`,
        encodeMany(count, { socketPath }),
      );
    }
    if (program.name === "our munged") {
      const refused = encodeMany(100, { socketPath, realm: "unknown" });
      await assertRefused("EMUNGE_BAD_REALM", /realm/i, refused);
    }
    const signal = AbortSignal.timeout(1);
    await assert.rejects(encodeMany(100_000, { socketPath, signal }), { name: "TimeoutError" });
    await assertRefused(
      "EMUNGE_TIMEOUT",
      /./,
      encodeMany(100_000, { socketPath, timeoutMs: 1 }),
    );
  });

  test("encodeMany() and CredentialSource use payloads as they were at the call", async () => {
    const payloads = times(200, (i) => Buffer.from([i]));
    const making = encodeMany(payloads, { socketPath });
    await using source = new CredentialSource({ payload: payloads[7]!, socketPath });
    for (const payload of payloads) payload.fill(255);
    payloads.fill(Buffer.from("other"));
    for (const [i, credential] of (await making).entries()) {
      assert.deepEqual([...(await decode(credential, { socketPath })).payload], [i]);
    }
    assert.deepEqual([...(await decode(await source.get(), { socketPath })).payload], [7]);
  });

  test("an abort mid-flight ends only the call it belongs to", async () => {
    const reason = new Error("enough");
    const controller = new AbortController();
    const aborted = times(200, () => encode("", { socketPath, signal: controller.signal }));
    const others = times(50, () => encode("", { socketPath }));
    const outcomes = Promise.allSettled(aborted);
    await Promise.any(aborted);
    controller.abort(reason);
    for (const outcome of await outcomes) {
      if (outcome.status === "rejected") assert.equal(outcome.reason, reason);
    }
    assert.ok((await outcomes).some(({ status }) => status === "rejected"));
    await Promise.all(others);
    const late = encode("", { socketPath, signal: controller.signal });
    await assert.rejects(late, (error) => error === reason);
  });

  test("no call fails when the daemon is killed and restarted again and again", async () => {
    await withShortOutages(async (outage) => {
      let running = true;
      let finished = 0;
      let failed = 0;
      const callers = times(20, async (i) => {
        for (let call = 0; running; call++) {
          const payload = `${i} ${call}`;
          const credential = await encode(payload, { socketPath });
          const decoded = await decode(credential, { socketPath });
          assert.equal(text(decoded.payload), payload);
          finished++;
        }
      });
      const load = Promise.allSettled(callers);
      callers.forEach((caller) => caller.catch(() => failed++));
      try {
        await pause(200);
        for (let kill = 1; kill <= 3; kill++) {
          const before = await outage(async () => {
            await munged.end("SIGKILL");
            const before = finished;
            await munged.restart();
            return before;
          });
          while (finished < before + 1_000 && failed === 0) await pause(10);
        }
      } finally {
        running = false;
      }
      for (const outcome of await load) {
        if (outcome.status === "rejected") throw outcome.reason;
      }
    });
  });

  test("no call fails while the daemon is stopped and started, with no socket in between", async () => {
    for (const gapMs of [0, 100, 300]) {
      await withShortOutages(async (outage) => {
        const calls: Promise<string>[] = [];
        const timer = setInterval(() => {
          const call = encode("", { socketPath });
          call.catch(() => {}); // it is looked at below
          calls.push(call);
        }, 2);
        await pause(20);
        const within = await outage(async () => {
          await munged.end("SIGTERM");
          assert.equal(existsSync(socketPath), false, "the daemon has removed its socket");
          const before = calls.length;
          await pause(gapMs);
          const within = calls.length - before;
          await munged.restart();
          return within;
        });
        await pause(20);
        clearInterval(timer);
        for (const credential of await Promise.all(calls)) {
          assert.match(credential, /^MUNGE:.+:$/);
        }
        assert.ok(gapMs === 0 || within > 0, "there were calls while there was no socket");
      });
    }
  });

  test("no descriptor is left open", async (context) => {
    if (openSockets() === undefined) return context.skip("there is no /proc/self/fd");
    // Until a connection is kept, which can take a second after the munged of an earlier test could not be reached.
    for (const end = performance.now() + 1_500; performance.now() < end;) {
      await encode("", { socketPath });
      await pause(50);
    }
    const before = openSockets();
    await Promise.all(times(100, () => encode("", { socketPath })));
    await Promise.allSettled(times(100, () => decode("MUNGE:x:", { socketPath })));
    const controller = new AbortController();
    const { signal } = controller;
    const aborted = Promise.allSettled(times(100, () => encode("", { socketPath, signal })));
    controller.abort();
    await aborted;
    await Promise.allSettled(times(20, () => encode("", { socketPath, timeoutMs: 1 })));
    // A connection kept to the munged of an earlier test may have ended meanwhile.
    for (let i = 0; i < 100 && openSockets()! > before!; i++) await pause(20);
    const now = openSockets()!;
    assert.ok(now <= before!, `${now} sockets, ${before} before`);
  });
});
