// Replays in a whole realm with a stand-alone store: two munged with one key, a real redis-server, and what can happen to
// either.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ERRNO } from "../../lib/errors.ts";
import {
  type DecodeResponse,
  formatDecodeRequest,
  HEADER_LENGTH,
  parseDecodeResponse,
} from "../../lib/protocol/message.ts";
import { MungeClient } from "../../lib/client/protocol.ts";
import { encodeRequest } from "../requests.ts";
import { type Host, Hosts, nextSecond, outcome, Traffic, until } from "./hosts.ts";
import { hasRedis, Network, Redis } from "./redis.ts";

/** No drift, because all hosts have this machine's clock. */
const STRICT = ["--timestamp-drift-max=0"];
const REPLAYED = "EMUNGE_CRED_REPLAYED";
const REFUSED = "EMUNGE_SNAFU";
/** munged's own, unless a test sets another. */
const STORE_TIMEOUT_MS = 1_000;
/** By then, a client has its answer, even on a busy machine; if each of several waited for the store, it would take longer. */
const SOON_MS = 4_000;
const options = { skip: !hasRedis };

interface Site {
  readonly hosts: Hosts;
  readonly a: Host;
  readonly b: Host;
  readonly redis: Redis;
  readonly network: Network;
}

/** Runs a test with a store, a network to it, and two hosts. */
async function withSite(
  args: readonly string[],
  body: (site: Site) => Promise<void>,
  redisArgs: readonly string[] = [],
) {
  const redis = await Redis.start({ args: redisArgs });
  const network = await Network.to(redis.port);
  const store = `--replay-store=redis://127.0.0.1:${network.port}`;
  const hosts = await Hosts.start([store, ...STRICT, ...args]);
  try {
    await hosts.connected();
    const [a, b] = hosts.hosts as [Host, Host];
    await body({ hosts, a, b, redis, network });
  } finally {
    await hosts.close();
    await network.close();
    await redis.close();
  }
}

/**
 * Milliseconds of the fastest of some tries: at least five, and more while none is fast enough. A busy machine slows down
 * some of them; what makes them wait, all.
 */
async function fastest(fast: number, act: () => Promise<void>): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < 5 || (i < 40 && least >= fast); i++) {
    const begun = performance.now();
    await act();
    least = Math.min(least, performance.now() - begun);
  }
  return least;
}

/** The lines of a host's log about the store being away, once there is one: the log arrives a moment later. */
async function complaints({ munged }: Host): Promise<string[]> {
  let lines: string[] = [];
  await until(() => {
    lines = munged.log().split("\n").filter((line) => line.includes("Replay store is unavailable"));
    return lines.length > 0;
  });
  return lines;
}

test(
  "requests over a kept connection wait for the store in order",
  options,
  () =>
    withSite([], async ({ hosts, a, b }) => {
      const first = new MungeClient(a.munged.socket);
      const second = new MungeClient(b.munged.socket);
      const many = <T>(count: number, make: (i: number) => Promise<T>) =>
        Promise.all(Array.from({ length: count }, (_, i) => make(i)));
      await many(2, () => first.encode(encodeRequest()));
      await many(2, () => second.encode(encodeRequest()));
      await pause(200); // both connections are kept from now on
      const credentials = await many(100, async (i) => {
        const payload = Uint8Array.of(i);
        return (await first.encode(encodeRequest({ payload }))).credential;
      });
      // Each of these is between requests that need no store.
      const decoded = await many(100, async (i) => {
        const other = second.encode(encodeRequest());
        const { errno, payload } = await answered(second, credentials[i]!);
        assert.equal((await other).errno, 0);
        return { errno, payload: [...payload] };
      });
      assert.deepEqual(decoded, credentials.map((_, i) => ({ errno: 0, payload: [i] })));
      const again = await many(100, (i) => answered(first, credentials[i]!));
      assert.deepEqual(new Set(again.map(({ errno }) => errno)), new Set([17]));
      assert.ok(hosts.status(1).kept_connections.requests >= 200);
    }),
);

test(
  "a credential is accepted once in the whole realm",
  options,
  () =>
    withSite([], async ({ hosts, a, b, redis }) => {
      const credential = await a.munge.encode();
      assert.equal(await outcome(b, credential), "ok");
      assert.equal(await outcome(a, credential), REPLAYED);
      assert.equal(await outcome(a, credential), REPLAYED);
      assert.equal(await outcome(b, credential), REPLAYED);
      // One question each: what a host has decoded itself, or knows to be a replay, costs no round trip.
      const { answers } = hosts.status(0).replay_store!;
      assert.deepEqual(answers, { new: 0, replayed: 1, unavailable: 0, older: 0 });
      assert.deepEqual(hosts.status(1).replay_store!.answers, { ...answers, new: 1, replayed: 0 });
      // Its name reveals which key made it and nothing else, and it is forgotten some time after the credential expires.
      const names = redis.command("KEYS", "munge:*").split("\n")
        .filter((name) => !name.includes(":since:"));
      assert.equal(names.length, 1);
      const { fingerprint } = hosts.status(0).realms[0]!.keys[0]!;
      assert.match(names[0]!, new RegExp(`^munge:${fingerprint}:[\\w-]{22}$`));
      const lifetime = Number(redis.command("PTTL", names[0]!));
      assert(lifetime > 300_000 && lifetime <= 420_000, `${lifetime}`);
    }),
);

test(
  "a retry is served by the host that accepted the credential, and by no other",
  options,
  () =>
    withSite([], async ({ a, b, redis }) => {
      const credential = await a.munge.encode();
      assert.equal(await decodeRaw(a, credential, 0), 0);
      redis.signal("SIGSTOP"); // the retry needs no store
      assert.equal(await decodeRaw(a, credential, 1), 0);
      redis.signal("SIGCONT");
      assert.equal(await decodeRaw(b, credential, 1), 17);
      // What the store refused is refused again, even for a retry, which asks nobody.
      assert.equal(await decodeRaw(b, credential, 2), 17);
    }),
);

test("realms whose replays are refused per host do without the store", options, async () => {
  const redis = await Redis.start();
  const hosts = await Hosts.start([]);
  try {
    const key = join(hosts.realm.directory, "local.key");
    writeFileSync(key, crypto.getRandomValues(new Uint8Array(64)), { mode: 0o600 });
    const host = await hosts.add([
      `--replay-store=redis://127.0.0.1:${redis.port}`,
      `--realm=local=${key}`,
      "--replay-scope=local=host",
      ...STRICT,
    ]);
    await until(() => hosts.status(2).replay_store!.reachable);
    await redis.kill();
    const traffic = new Traffic(hosts, 1);
    let slow = 0;
    for (let i = 0; i < 50; i++) {
      const begun = performance.now();
      const credential = await host.munge.encode("", { realm: "local" });
      assert.equal(await outcome(host, credential), "ok");
      assert.equal(await outcome(host, credential), REPLAYED);
      if (performance.now() - begun > STORE_TIMEOUT_MS * 0.9) slow++;
      if (i % 10 === 0) void outcome(host, await host.munge.encode()); // one that waits for the store
    }
    assert(slow <= 2, `${slow} of 50 were slow, where five come after one that waits`);
    await traffic.stop();
    assert.equal(await outcome(host, await host.munge.encode()), REFUSED);
  } finally {
    await hosts.close();
    await redis.close();
  }
});

test("a scope that can't be kept is refused at the start", async () => {
  const hosts = new Hosts();
  try {
    await assert.rejects(
      hosts.add(["--replay-scope=realm"]),
      /Error: replay-scope=realm needs a replay-store/,
    );
    await assert.rejects(
      hosts.add(["--replay-store=redis://127.0.0.1:1", "--replay-scope=typo=realm"]),
      /Error: Failed to limit realm "typo": no such realm/,
    );
  } finally {
    await hosts.close();
  }
});

test(
  "refuse: a store that is killed and comes back empty",
  options,
  () =>
    withSite([], async ({ hosts, a, b, redis }) => {
      const traffic = new Traffic(hosts, 8);
      for (let round = 0; round < 3; round++) {
        await traffic.more("ok", 70);
        const early = await a.munge.encode();
        await redis.kill();
        await traffic.more(REFUSED, 16);
        const begun = performance.now();
        assert.equal(await outcome(b, await a.munge.encode()), REFUSED);
        assert(performance.now() - begun < SOON_MS);
        await redis.restart();
        await until(() => hosts.status(0).replay_store!.reachable);
        // It was made before the store's memory begins.
        assert.notEqual(await outcome(b, early), "ok");
      }
      await traffic.more("ok", 70);
      await traffic.stop();
      assert.equal(traffic.doubles, 0);
      assert.deepEqual(
        [...traffic.outcomes.keys()].filter((name) => !["ok", REPLAYED, REFUSED].includes(name)),
        [],
      );
      const complained = await complaints(a);
      assert.equal(complained.length, 1, complained.join("\n"));
      assert.match(complained[0]!, /Error: .*: decodes are refused/);
      assert(hosts.status(0).replay_store!.answers.unavailable > 0);
      assert.equal(await outcome(b, await a.munge.encode()), "ok");
    }),
);

test(
  "refuse: a store that is stopped, and a network that drops one way or both",
  options,
  () =>
    withSite([], async ({ hosts, a, b, redis, network }) => {
      const traffic = new Traffic(hosts, 8);
      for (const fault of ["stop", "requests", "answers", "both"] as const) {
        await traffic.more("ok", 50);
        if (fault === "stop") redis.signal("SIGSTOP");
        else network.drops = fault;
        const begun = performance.now();
        assert.equal(await outcome(b, await a.munge.encode()), REFUSED, fault);
        assert(performance.now() - begun < SOON_MS, fault);
        await traffic.more(REFUSED, 16);
        if (fault === "stop") redis.signal("SIGCONT");
        else {
          network.drops = "none";
          network.reset();
        }
        await until(() =>
          hosts.hosts.every((_, host) => hosts.status(host).replay_store!.reachable)
        );
      }
      await traffic.more("ok", 50);
      await traffic.stop();
      assert.equal(traffic.doubles, 0);
      assert.equal(await outcome(b, await a.munge.encode()), "ok");
    }),
);

test(
  "an answer that is lost does not make an honest credential a replay",
  options,
  () =>
    withSite(["--replay-store-timeout=1500"], async ({ a, b, redis, network }) => {
      // Both the runtime's client sending a command again and munged doing so by itself would do that.
      const entries = () => redis.command("KEYS", "munge:*").split("\n").length;
      let credential = "";
      let result = "";
      for (let tries = 0; tries < 20 && result !== "ok"; tries++) {
        const before = entries();
        credential = await a.munge.encode();
        result = "";
        network.drops = "answers";
        const decoded = outcome(b, credential).then((found) => result = found);
        await until(() => entries() > before || result !== "");
        network.drops = "none";
        network.reset();
        await decoded;
        // On a busy machine, there may be no connection in time.
        assert(["ok", REFUSED].includes(result), result);
      }
      assert.equal(result, "ok");
      assert.equal(await outcome(a, credential), REPLAYED);
      // Nor does one that comes after the client was refused.
      network.drops = "answers";
      const other = await a.munge.encode();
      assert.equal(await outcome(b, other), REFUSED);
      network.drops = "none";
      network.reset();
      do result = await outcome(b, other); while (result === REFUSED); // until there is a connection
      assert.equal(result, "ok");
      assert.equal(await outcome(b, other), REPLAYED);
      assert.equal(await outcome(a, other), REPLAYED);
    }),
);

test(
  "a slow store delays those who ask it, and nobody else",
  options,
  () =>
    withSite([
      "--num-threads=1",
      "--replay-store-timeout=1500",
    ], async ({ hosts, a, b, network }) => {
      network.delay = 100;
      const begun = performance.now();
      const credentials = await Promise.all(Array.from({ length: 64 }, () => a.munge.encode()));
      const encoded = performance.now();
      const results = await Promise.all(credentials.map((credential) => outcome(b, credential)));
      const decoded = performance.now();
      assert.deepEqual(new Set(results), new Set(["ok"]));
      assert(encoded - begun < SOON_MS);
      assert(decoded - encoded < SOON_MS, "they wait together, not one after the other");
      const waiting: Promise<string>[] = [];
      const own = await fastest(150, async () => {
        waiting.push(outcome(b, await a.munge.encode()));
        await b.munge.encode();
        assert.equal(await outcome(b, credentials[0]!), REPLAYED);
      });
      assert(own < 150, `needs no store, and took ${own} ms`);
      assert.deepEqual(new Set(await Promise.all(waiting)), new Set(["ok"]));
      assert.equal(hosts.status(1).replay_store!.answers.new, 64 + waiting.length);
    }),
);

test(
  "a client that hangs up while the store is asked does not consume its credential",
  options,
  () =>
    withSite([], async ({ hosts, a, b, network }) => {
      network.delay = 150;
      const credential = await a.munge.encode();
      const socket = connect(b.munged.socket);
      socket.write(formatDecodeRequest({ credential: Buffer.from(credential) }, 0));
      await pause(60);
      socket.destroy();
      await pause(300); // the network is in this process
      await until(() => hosts.status(1).replay_store!.answers.new === 1);
      assert.equal(await outcome(b, credential), "ok");
      assert.equal(await outcome(b, credential), REPLAYED);
    }),
);

test("refuse: a full store", options, () =>
  withSite([], async ({ a, b, redis }) => {
    redis.command("CONFIG", "SET", "maxmemory", "1");
    const credential = await a.munge.encode();
    assert.equal(await outcome(b, credential), REFUSED);
    assert.match((await complaints(b))[0]!, /OOM command not allowed/);
    redis.command("CONFIG", "SET", "maxmemory", "0");
    assert.equal(await outcome(b, credential), "ok");
    assert.equal(await outcome(a, credential), REPLAYED);
  }));

test("a store that evicts entries is warned about", options, () =>
  withSite([], ({ a }) => {
    assert.match(
      a.munged.log(),
      /Warning: Replay store .* may forget credentials .*maxmemory-policy allkeys-lru/,
    );
    return Promise.resolve();
  }, ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]));

test(
  "host: without the store each host refuses its own replays, and nothing else",
  options,
  () =>
    withSite(["--replay-store-policy=host"], async ({ hosts, a, b, redis, network }) => {
      const traffic = new Traffic(hosts, 8, false);
      for (const fault of ["kill", "stop", "drop", "full"] as const) {
        await traffic.more("ok", 50);
        if (fault === "kill") await redis.kill();
        else if (fault === "stop") redis.signal("SIGSTOP");
        else if (fault === "drop") network.drops = "both";
        else redis.command("CONFIG", "SET", "maxmemory", "1");
        // The first one may have to wait until munged knows.
        assert.equal(await outcome(b, await a.munge.encode()), "ok", fault);
        let credential = "";
        const took = await fastest(STORE_TIMEOUT_MS / 2, async () => {
          credential = await a.munge.encode();
          assert.equal(await outcome(b, credential), "ok", fault);
        });
        assert(took < STORE_TIMEOUT_MS / 2, `${fault}: waits for a store that is away: ${took} ms`);
        assert.equal(await outcome(b, credential), REPLAYED, fault);
        if (fault === "kill") await redis.restart();
        else if (fault === "stop") redis.signal("SIGCONT");
        else if (fault === "drop") {
          network.drops = "none";
          network.reset();
        } else redis.command("CONFIG", "SET", "maxmemory", "0");
        await until(() =>
          hosts.hosts.every((_, host) => hosts.status(host).replay_store!.reachable)
        );
      }
      const before = new Map(traffic.outcomes);
      await traffic.stop();
      assert.deepEqual([...before.keys()], ["ok"], "0 refusals");
      // Which asked during every fault.
      assert.match((await complaints(b))[0]!, /replays are refused on each host only/);
      await nextSecond();
      const credential = await a.munge.encode();
      assert.equal(await outcome(b, credential), "ok");
      assert.equal(await outcome(a, credential), REPLAYED);
    }),
);

/** Decodes a credential, again while a busy machine keeps the store from answering in time. */
async function answered(client: MungeClient, credential: Uint8Array): Promise<DecodeResponse> {
  for (let tries = 1;; tries++) {
    const response = await client.decode({ credential });
    if (response.errno !== ERRNO.EMUNGE_SNAFU || tries === 20) return response;
  }
}

/** Sends one decode request, and returns the error number of its answer. */
async function decodeRaw({ munged }: Host, credential: string, retry: number): Promise<number> {
  const answer = await new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect(munged.socket);
    socket.on("data", (bytes) => chunks.push(bytes));
    socket.once("error", reject);
    socket.once("close", () => resolve(Buffer.concat(chunks)));
    socket.write(formatDecodeRequest({ credential: Buffer.from(credential) }, retry));
  });
  return parseDecodeResponse(answer.subarray(HEADER_LENGTH)).errno;
}
