// Key rotation on five hosts, one of them with the reference, while credentials go from every host to every other: none is
// refused as long as the steps are done in order (docs/rotation.md).
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { suite } from "../suite.ts";
import { decode, encode, hasClusters, Host, Load } from "./cluster.ts";
import { hasReference, isRoot } from "../harness/programs.ts";
import { until } from "../harness/until.ts";

/** Seconds for which an old key decodes unless it is retired before: far longer than a rotation takes, even on a busy machine. */
const ROTATION_TIME = 100;
/** Seconds after which it is retired: longer than any credential of the load is in transit. */
const RETIRED_AFTER = 5;
const SKEW = 120;

suite("a cluster whose key is rotated", {
  root: isRoot,
  "network namespaces and faketime": isRoot && hasClusters(),
  "Debian's munge": hasReference,
}, () => {
  let hosts: Host[] = [];
  let directory: string;
  const ours = () => hosts.filter(({ make }) => make === "ours");
  const reference = () => hosts.find(({ make }) => make === "reference")!;

  before(async () => {
    directory = mkdtempSync("/tmp/munge-cluster-");
    const key = newKey();
    hosts = [1, 2, 3, 4, 5].map((number) =>
      new Host(number === 5 ? "reference" : "ours", number, key)
    );
    await Promise.all(hosts.map((host) => host.start(`--key-rotation-time=${ROTATION_TIME}`)));
  });
  after(async () => {
    for (const host of hosts) await host.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  const newKey = () => crypto.getRandomValues(new Uint8Array(128));

  function stage(host: Host, key: Uint8Array): void {
    const file = join(directory, "key");
    writeFileSync(file, key, { mode: 0o600 });
    host.mungekey("--stage", `--from=${file}`);
  }

  async function takenUp(pattern: RegExp, ...some: Host[]): Promise<void> {
    for (const host of some) {
      await until(`host ${host.number} notices`, () => pattern.test(host.log().slice(-400)));
    }
  }

  /**
   * The documented order: staged everywhere; then the hosts with the reference, which know one key at a
   * time, get the new one, and decode nothing until it is promoted everywhere; then promoted; then retired.
   */
  async function rotate(load: Load, inTheMiddle: () => Promise<void> = () => Promise.resolve()) {
    const key = newKey();
    for (const host of ours()) stage(host, key);
    await takenUp(/next \w+\n/, ...ours());
    await load.pass();
    await inTheMiddle();
    const late = await Promise.all(
      ours().filter(({ encodes }) => encodes).map((host) => encode(host, 300)),
    );

    await reference().stop();
    reference().installKey(key);
    await reference().start();
    reference().decodes = false;
    await load.pass();
    for (const host of ours()) {
      if (!host.encodes) continue;
      host.mungekey("--promote");
      await takenUp(/active \w+, old \w+ until \S+\n/, host);
      await load.pass();
    }
    reference().decodes = true;
    await load.pass();

    // Credentials made before the promotion are good after it.
    for (const [index, credential] of late.entries()) {
      const to = ours()[(index + 1) % ours().length]!;
      if (to.decodes) assert.equal(await decode(to, credential), 0);
    }
  }

  async function retire(): Promise<void> {
    await pause(RETIRED_AFTER * 1000);
    for (const host of ours()) host.mungekey("--retire", `--key-rotation-time=${RETIRED_AFTER}`);
    await takenUp(/Keys of the default realm: active \w+\n/, ...ours());
  }

  it("refuses nothing if done in order", async () => {
    const load = new Load(hosts, 6);
    await rotate(load);
    await retire();
    await load.pass();
    await load.stop();
    assert.deepEqual([...load.refused], []);
    assert(load.accepted > 500);
  });

  it("refuses nothing if a host is down in between and catches up", async () => {
    const load = new Load(hosts, 6);
    const absent = ours()[3]!;
    await rotate(load, () => absent.stop());
    absent.mungekey("--promote"); // before it encodes anything with the old key
    await absent.start(`--key-rotation-time=${ROTATION_TIME}`);
    await load.pass();
    await retire();
    await load.pass();
    await load.stop();
    assert.deepEqual([...load.refused], []);
  });

  it("refuses what a host encodes that promotes before another has staged, and --status says why", async () => {
    const [hasty, , lazy] = ours();
    const load = new Load(hosts, 6);
    const key = newKey();
    for (const host of ours()) if (host !== lazy) stage(host, key);
    await takenUp(/next \w+\n/, ...ours().filter((host) => host !== lazy));
    hasty!.mungekey("--promote");
    await takenUp(/active \w+, old/, hasty!);
    await load.pass();
    await load.stop();
    const expected = [`from 1 to 3: Invalid credential`, `from 1 to 5: Invalid credential`];
    assert.deepEqual([...load.refused.keys()].sort(), expected);
    const status = lazy!.status();
    assert(status.requests.decode["cred_invalid"]! > 0);
    assert(
      status.hints.some((hint) => /promotes a key before all others have staged it/.test(hint)),
    );
    const line = /Refused decode: cause=cred_invalid client_uid=0/;
    await until("a line about a refusal", () => line.test(lazy!.log()));

    // Staging the key late fixes it.
    stage(lazy!, key);
    await takenUp(/next \w+\n/, lazy!);
    assert.equal(await decode(lazy!, await encode(hasty!, 60)), 0);
    for (const host of ours()) if (host !== hasty) host.mungekey("--promote");
    await reference().stop();
    reference().installKey(key);
    await reference().start();
    await takenUp(/active \w+, old/, ...ours());
    await retire();
  });

  it("refuses nothing if a clock is off within the allowed drift", async () => {
    for (const host of ours()) {
      await host.stop();
      host.skew = host.number === 2 ? SKEW : 0;
      await host.start(`--key-rotation-time=${ROTATION_TIME}`, "--timestamp-drift-max=180");
    }
    const load = new Load(hosts, 6);
    await rotate(load);
    await retire();
    await load.pass();
    await load.stop();
    assert.deepEqual([...load.refused], []);
  });
});
