// A store whose master is replaced by Sentinel: in the middle of the load, and while some hosts still reach the
// old one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Host, Hosts, nextSecond, outcome, Traffic, until } from "./hosts.ts";
import { hasRedis, Network, Redis } from "./redis.ts";

const options = { skip: !hasRedis };
const REPLAYED = "EMUNGE_CRED_REPLAYED";
const REFUSED = "EMUNGE_SNAFU";

/** A master, two replicas and three sentinels. */
class Group {
  readonly servers: Redis[] = [];
  readonly sentinels: Redis[] = [];
  /** Through which everyone but {@linkcode direct} reaches the first master. */
  readonly network: Network;

  private constructor(master: Redis, network: Network) {
    this.servers.push(master);
    this.network = network;
  }

  static async start(): Promise<Group> {
    const master = await Redis.start();
    const network = await Network.to(master.port);
    const group = new Group(master, network);
    const at = ["127.0.0.1", `${network.port}`] as const;
    master.command("CONFIG", "SET", "replica-announce-ip", at[0]);
    master.command("CONFIG", "SET", "replica-announce-port", at[1]);
    for (let i = 0; i < 2; i++) {
      group.servers.push(await Redis.start({ args: ["--replicaof", at.join(" ")] }));
    }
    for (const replica of group.servers.slice(1)) {
      await until(() => /master_link_status:up/.test(replica.command("INFO", "replication")));
    }
    for (let i = 0; i < 3; i++) {
      group.sentinels.push(
        await Redis.start({
          args: ["--sentinel"],
          configuration: [
            `sentinel monitor realm ${at.join(" ")} 2`,
            // On a busy machine, this process's network may be held up for more than a second.
            "sentinel down-after-milliseconds realm 3000",
            "sentinel failover-timeout realm 10000",
            "",
          ].join("\n"),
        }),
      );
    }
    await until(() =>
      group.sentinels.every((each) => {
        const text = each.command("SENTINEL", "MASTER", "realm");
        return /num-slaves\n2\n/.test(text) && /num-other-sentinels\n2\n/.test(text);
      })
    );
    return group;
  }

  /** The URLs of the sentinels. */
  get url(): string {
    return this.sentinels.map(({ port }) => `redis+sentinel://127.0.0.1:${port}/realm`).join(",");
  }

  async close(): Promise<void> {
    await this.network.close();
    for (const each of [...this.sentinels, ...this.servers]) await each.close();
  }
}

test("Sentinel replaces the master in the middle of the load", options, async () => {
  const group = await Group.start();
  const hosts = await Hosts.start([
    `--replay-store=${group.url}`,
    "--replay-store-replicas=1",
    "--timestamp-drift-max=0",
  ]);
  try {
    await hosts.connected();
    const [a, b] = hosts.hosts as [Host, Host];
    const traffic = new Traffic(hosts, 8);
    await traffic.more("ok", 100);
    const early = await a.munge.encode();
    await group.servers[0]!.kill();
    await until(() => hosts.status(0).replay_store!.connects > 1);
    await until(() => hosts.hosts.every((_, host) => hosts.status(host).replay_store!.reachable));
    assert.equal(await outcome(b, early), REFUSED, "made before the new master's time");
    await nextSecond();
    await traffic.more("ok", 100);
    await traffic.stop();
    assert.equal(traffic.doubles, 0);
    const names = new Set(traffic.outcomes.keys());
    assert.deepEqual(names, new Set(["ok", REPLAYED, REFUSED]));
  } finally {
    await hosts.close();
    await group.close();
  }
});

test(
  "a master without its replicas vouches for nothing, even after they have come",
  options,
  async () => {
    const master = await Redis.start();
    const replica = await Redis.start();
    const hosts = new Hosts();
    try {
      const host = await hosts.add([
        `--replay-store=redis://127.0.0.1:${master.port}`,
        "--replay-store-replicas=1",
        "--timestamp-drift-max=0",
      ]);
      await nextSecond();
      const early = await host.munge.encode();
      assert.equal(await outcome(host, early), REFUSED);
      assert.match(host.munged.log(), /NOREPLICAS 0 of 1 replicas have the entry/);
      await nextSecond();
      replica.command("REPLICAOF", "127.0.0.1", `${master.port}`);
      await until(() => hosts.status(0).replay_store!.reachable);
      assert.equal(await outcome(host, early), REFUSED, "another master may have accepted it");
      await nextSecond();
      assert.equal(await outcome(host, await host.munge.encode()), "ok");
    } finally {
      await hosts.close();
      await replica.close();
      await master.close();
    }
  },
);

for (const replicas of [1, 0]) {
  const what = replicas === 1
    ? "a host that still reaches a master that was replaced accepts nothing"
    : "without replicas that confirm, the same host accepts what others accept, too";
  test(`network cut in two: ${what}`, options, async () => {
    const group = await Group.start();
    const hosts = new Hosts();
    const common = [`--replay-store-replicas=${replicas}`, "--timestamp-drift-max=0"];
    try {
      const a = await hosts.add([
        `--replay-store=redis://127.0.0.1:${group.servers[0]!.port}`,
        ...common,
      ]);
      const b = await hosts.add([`--replay-store=${group.url}`, ...common]);
      await hosts.connected();
      const traffic = new Traffic(hosts, 4);
      await traffic.more("ok", 20);
      group.network.drops = "both";
      group.network.reset();
      await until(() => hosts.status(1).replay_store!.connects > 1);
      await nextSecond(); // credentials are younger than the new master's memory
      const credential = await a.munge.encode();
      assert.equal(await outcome(b, credential), "ok");
      assert.equal(await outcome(a, credential), replicas === 1 ? REFUSED : "ok");
      if (replicas === 0) await until(() => traffic.doubles > 0);
      await traffic.stop();
      assert.equal(traffic.doubles > 0, replicas === 0);
    } finally {
      await hosts.close();
      await group.close();
    }
  });
}
