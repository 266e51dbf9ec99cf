// A store that is a cluster: three masters, each with a replica, of which one takes over in the middle of the load, and
// slots that move meanwhile.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { type Host, Hosts, outcome, Traffic, until } from "./hosts.ts";
import { freePort, hasRedis, Redis } from "./redis.ts";

const options = { skip: !hasRedis };
const MASTERS = 3;
const REPLAYED = "EMUNGE_CRED_REPLAYED";
const REFUSED = "EMUNGE_SNAFU";

const execute = promisify(execFile);

/** Runs redis-cli's cluster manager. @throws with its output, if it fails. */
async function manage(...args: readonly string[]): Promise<void> {
  await execute("redis-cli", ["--cluster", ...args], { timeout: 300_000 });
}

/** Starts a cluster whose first servers are the masters. */
async function startCluster(): Promise<Redis[]> {
  const servers: Redis[] = [];
  for (let i = 0; i < 2 * MASTERS; i++) {
    const args = ["--cluster-enabled", "yes", "--cluster-port", `${await freePort()}`];
    servers.push(await Redis.start({ args: [...args, "--cluster-node-timeout", "3000"] }));
  }
  const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
  await manage("create", ...addresses, "--cluster-replicas", "1", "--cluster-yes");
  await until(() =>
    servers.every((server) => /cluster_state:ok/.test(server.command("CLUSTER", "INFO"))) &&
    servers.slice(MASTERS).every((server) =>
      /master_link_status:up/.test(server.command("INFO", "replication"))
    )
  );
  return servers;
}

const size = (server: Redis) => Number(server.command("DBSIZE").replace(/\D/g, ""));

test(
  "a cluster: entries on all masters, slots that move, and a master that is replaced",
  options,
  async () => {
    const servers = await startCluster();
    const [first, second] = servers as [Redis, Redis];
    // One that is down at the start does not matter.
    const seeds = [await freePort(), first.port].map((port) => `redis+cluster://127.0.0.1:${port}`);
    const hosts = await Hosts.start([
      `--replay-store=${seeds.join(",")}`,
      "--replay-store-replicas=1",
      "--replay-store-timeout=1500",
      "--timestamp-drift-max=0",
    ]);
    try {
      await hosts.connected();
      const [a, b] = hosts.hosts as [Host, Host];
      const traffic = new Traffic(hosts, 8);
      await until(() => servers.slice(0, MASTERS).every((server) => size(server) > 20));
      // Slots move, with their entries, and nobody is refused.
      const id = (server: Redis) => server.command("CLUSTER", "MYID");
      const before = traffic.count("ok");
      await manage(
        ...["reshard", `127.0.0.1:${first.port}`, "--cluster-yes", "--cluster-slots", "200"],
        ...["--cluster-from", id(first), "--cluster-to", id(second)],
      );
      assert(traffic.count("ok") > before);
      const seen = JSON.stringify([...traffic.outcomes]);
      assert(traffic.count(REFUSED) <= traffic.count("ok") / 100, seen); // on a busy machine
      // A replica takes over, which has no replica to confirm anything; the other masters have.
      await second.kill();
      await until(() =>
        servers.slice(MASTERS).some((server) =>
          server.command("INFO", "replication").includes("role:master")
        )
      );
      const present = async () => {
        const credentials = await Promise.all(Array.from({ length: 30 }, () => a.munge.encode()));
        return new Set(await Promise.all(credentials.map((credential) => outcome(b, credential))));
      };
      /** Presents credentials until the results are these: the hosts may still have to learn some slots again. */
      const presentUntil = async (...expected: string[]) => {
        for (let tries = 0;; tries++) {
          try {
            return assert.deepEqual(await present(), new Set(expected));
          } catch (error) {
            if (tries === 20) throw new Error(hosts.hosts[1]!.munged.log(), { cause: error });
            await pause(500);
          }
        }
      };
      await presentUntil("ok", REFUSED);
      await second.restart();
      await until(() => /master_link_status:up/.test(second.command("INFO", "replication")));
      await until(() => hosts.hosts.every((_, host) => hosts.status(host).replay_store!.reachable));
      await presentUntil("ok");
      await traffic.stop();
      assert.equal(traffic.doubles, 0);
      assert.deepEqual(new Set(traffic.outcomes.keys()), new Set(["ok", REPLAYED, REFUSED]));
    } finally {
      await hosts.close();
      for (const server of servers) await server.close();
    }
  },
);
