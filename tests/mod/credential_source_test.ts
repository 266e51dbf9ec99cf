// CredentialSource against our munged and the C one, in Bun, Deno and Node.js: one credential for all callers, renewed in time,
// through outages and disposal.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";
import { CredentialSource, decode, MungeError } from "../../mod.ts";
import { assertRefused, text, times } from "./calls.ts";
import { suiteWithEach } from "./daemons.ts";

suiteWithEach("CredentialSource", ["--max-ttl=2"], (munged) => {
  const { socketPath } = munged;

  test("get() gives all callers the same credential, and fresh() gives each a new one", async () => {
    await using source = new CredentialSource({ payload: "p", socketPath });
    const all = await Promise.all(times(100, () => source.get()));
    assert.equal(new Set(all).size, 1);
    const fresh = await Promise.all(times(10, () => source.fresh()));
    assert.equal(new Set([...fresh, ...all]).size, 11);
    for (const credential of [all[0]!, ...fresh]) {
      const decoded = await decode(credential, { socketPath, ignoreTimeAndReplay: true });
      assert.equal(text(decoded.payload), "p");
    }
  });

  test("get() renews in the background by the granted TTL, and is never stale", async () => {
    await using source = new CredentialSource({ ttl: 3600, socketPath });
    /** Whether the credential is renewed in time: after one second, of which a busy machine may make more. */
    const isRenewed = async () => {
      const first = await source.get();
      await pause(1500);
      // The cached credential is returned without waiting for munged, so the other one comes first.
      const order: string[] = [];
      const fresh = source.fresh().then(() => order.push("asked for"));
      const second = await source.get();
      order.push("renewed before");
      await fresh;
      return order[0] === "renewed before" && second !== first;
    };
    for (let tries = 1; !await isRenewed(); tries++) {
      assert.ok(tries < 5, "a busy machine renews some too late, but not all");
    }
    for (let i = 0; i < 10; i++) {
      await pause(250);
      const credential = await source.get();
      const begun = performance.now();
      const { status } = await decode(credential, { socketPath, ignoreTimeAndReplay: true });
      if (performance.now() - begun > 100) continue; // it may have expired on the way
      assert.notEqual(status, "EMUNGE_CRED_EXPIRED");
    }
  });

  test("get() survives an outage of the daemon: the cached credential, then a wait, then a new one", async () => {
    await using source = new CredentialSource({ socketPath });
    const cached = await source.get();
    const begun = performance.now();
    await munged.end("SIGTERM");
    // On a busy machine, it may be too old by now.
    if (performance.now() - begun < 500) assert.equal(await source.get(), cached);
    await pause(1900);
    const error = await assertRefused("EMUNGE_SOCKET", /access/, source.get({ timeoutMs: 300 }));
    assert.equal(error.socketPath, socketPath);
    const reason = new Error("enough");
    const impatient = source.get({ signal: AbortSignal.abort(reason) });
    await assert.rejects(impatient, (error) => error === reason);
    const patient = Promise.all(times(20, () => source.get()));
    await munged.restart();
    assert.equal(new Set(await patient).size, 1);
    await decode((await patient)[0]!, { socketPath });
  });

  test("get() fails at once on what munged will always refuse", async () => {
    await using source = new CredentialSource({ cipher: 9, socketPath });
    await assertRefused("EMUNGE_BAD_CIPHER", "Invalid cipher type 9", source.get());
  });

  test("a disposed source refuses waiting and later callers", async () => {
    const source = new CredentialSource({ socketPath: `${socketPath}.missing` });
    const waiting = assertRefused(
      "ERR_SOURCE_DISPOSED",
      "Credential source has been disposed",
      source.get(),
    );
    await pause(20);
    await source[Symbol.asyncDispose]();
    await waiting;
    await assertRefused(
      "ERR_SOURCE_DISPOSED",
      "Credential source has been disposed",
      source.get(),
    );
    await assertRefused(
      "ERR_SOURCE_DISPOSED",
      "Credential source has been disposed",
      source.fresh(),
    );
    await source[Symbol.asyncDispose]();
  });

  test("a source disposed at any moment of its renewal leaves no caller waiting", async () => {
    const outcomes = new Set<string>();
    // Until munged has answered in time, which takes many turns on a busy machine.
    for (
      let turns = 0;
      turns < 40 || outcomes.size < 2 && turns < 1_000_000;
      turns += 1 + (turns >> 4)
    ) {
      const source = new CredentialSource({ socketPath });
      const outcome = source.get().then(
        () => "credential",
        (error) => (error as MungeError).code,
      );
      for (let turn = 0; turn < turns; turn++) await nextTurn();
      await source[Symbol.asyncDispose]();
      outcomes.add(await outcome);
      const disposed = "Credential source has been disposed";
      await assertRefused("ERR_SOURCE_DISPOSED", disposed, source.get());
    }
    assert.deepEqual([...outcomes].sort(), ["ERR_SOURCE_DISPOSED", "credential"]);
  });
});
