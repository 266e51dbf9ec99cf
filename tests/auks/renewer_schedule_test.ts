// The renewer's decisions under a simulated clock: ten thousand credentials, silent KDCs, two renewers.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PackedCredential } from "../../lib/auks/packed_credential.ts";
import type { KdcResult } from "../../daemon/auksdrenewer/kdc_task.ts";
import { METRICS } from "../../daemon/auksdrenewer/metrics.ts";
import { formatMetrics } from "../../daemon/process/prometheus.ts";
import { emptyTally, renewDue, type RoundTools } from "../../daemon/auksdrenewer/round.ts";
import { RealmBackOff, Spread } from "../../daemon/auksdrenewer/schedule.ts";
import { formatStatus } from "../../cli/auks/renewer_status.ts";
import { AuksError } from "../../lib/auks/errors.ts";

const START = 1_795_689_451;
const LIFE = 1200;
const RENEWABLE = 86_400;

/** An auksd, a KDC, and a clock that advances when someone sleeps. */
class World {
  now = START;
  readonly stored = new Map<number, PackedCredential>();
  /** The number of requests to the KDC, by second. */
  readonly requests = new Map<number, number>();
  readonly log: string[] = [];
  renewals = 0;
  /** Tickets that had expired when their renewal was requested. */
  late = 0;

  constructor(count: number, starttime = START) {
    for (let uid = 1; uid <= count; uid++) this.stored.set(uid, credential(uid, starttime));
  }

  /** The tools of a renewer in this world. */
  tools(minLifeTime: number, random: () => number): RoundTools {
    return {
      dump: () => Promise.resolve([...this.stored.values()]),
      claim: (uid) => Promise.resolve(this.stored.get(uid)!),
      add: (krbCred) => {
        const uid = new DataView(krbCred.buffer).getUint32(0);
        this.stored.set(uid, {
          ...this.stored.get(uid)!,
          endtime: this.now + LIFE,
          starttime: this.now,
        });
        return Promise.resolve();
      },
      renew: (krbCred): Promise<KdcResult> => {
        const second = Math.floor(this.now);
        this.requests.set(second, (this.requests.get(second) ?? 0) + 1);
        this.renewals++;
        const uid = new DataView(krbCred.buffer, krbCred.byteOffset).getUint32(0);
        if (this.stored.get(uid)!.endtime <= this.now) this.late++;
        return Promise.resolve({ id: 0, krbCred: krbCred.slice(), note: undefined });
      },
      now: () => this.now,
      sleep: (seconds) => {
        this.now += seconds;
        return Promise.resolve();
      },
      spread: new Spread({ minLifeTime, random }),
      backOff: new RealmBackOff(),
      log: {
        info: (level, text) => {
          if (level <= 2) this.log.push(text);
        },
        debug: () => {},
        reopen: () => {},
      },
      stopped: () => false,
    };
  }

  /** The most requests to the KDC in any span of so many seconds. */
  mostIn(span: number): number {
    const counts = [...this.requests.keys()].map((from) =>
      Array.from({ length: span }, (_, at) => this.requests.get(from + at) ?? 0)
        .reduce((sum, count) => sum + count)
    );
    return Math.max(...counts);
  }
}

function credential(uid: number, starttime: number): PackedCredential {
  const krbCred = new Uint8Array(4);
  new DataView(krbCred.buffer).setUint32(0, uid);
  return {
    uid,
    principal: `user${uid}@REALM.${uid % 2 === 0 ? "A" : "B"}`,
    starttime,
    endtime: starttime + LIFE,
    renewTill: starttime + RENEWABLE,
    addressless: true,
    crossrealm: false,
    krbCred,
  };
}

/** Numbers from 0 to 1, the same in each run. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}

const LIMITS = { delay: 60, parallel: 8, perSecond: 50 };

describe("renewDue()", () => {
  it("renews 10,000 credentials of the same age in 10 minutes, at a bounded rate, and none expires", async () => {
    const world = new World(10_000, START - 500);
    const tools = world.tools(300, randomNumbers(1));
    while (world.now < START + 600) {
      const begun = world.now;
      await renewDue(tools, LIMITS);
      for (const { endtime } of world.stored.values()) assert(endtime > world.now);
      world.now = Math.max(world.now, begun + LIMITS.delay);
    }
    assert.equal(world.late, 0);
    assert(world.renewals >= 10_000);
    // The fraction of a second at either end of a span.
    for (const span of [1, 10, 60]) {
      const most = world.mostIn(span);
      assert(most <= span * LIMITS.perSecond + 1, `${most} in ${span} s`);
    }
  });

  it("spreads the renewals of a day over the time before they are due", () => {
    const world = new World(0);
    const life = 86_400;
    for (let uid = 1; uid <= 2000; uid++) {
      world.stored.set(uid, { ...credential(uid, START), endtime: START + life });
    }
    const tools = world.tools(600, randomNumbers(2));
    const due: number[] = [];
    for (let now = START; now < START + life; now += 60) {
      due.push(tools.spread.due([...world.stored.values()], now).length);
    }
    const begun = due.map((count, at) => count - (due[at - 1] ?? 0));
    assert(Math.max(...begun) < 40, `${Math.max(...begun)} in a minute`);
    assert.equal(due.at(-1), 2000);
    assert.equal(due[1200], 0); // none before the last eighth
  });

  it("two renewers never renew a credential twice", async () => {
    const world = new World(500, START - 1000);
    await Promise.all([
      renewDue(world.tools(300, randomNumbers(3)), LIMITS),
      renewDue(world.tools(300, randomNumbers(4)), LIMITS),
    ]);
    // The one case that re-reading can't detect: both hold it at the same moment.
    assert(
      world.renewals >= 500 && world.renewals <= 500 + 2 * LIMITS.parallel,
      `${world.renewals}`,
    );
  });

  it("pauses ever longer in a realm with silent KDCs, and in no other", async () => {
    const world = new World(400, START - 500);
    const tools = world.tools(700, randomNumbers(5));
    let asked = 0;
    const renew = tools.renew;
    const silentB: RoundTools = {
      ...tools,
      renew: (krbCred) => {
        const uid = new DataView(krbCred.buffer).getUint32(0);
        if (uid % 2 === 0) return renew(krbCred);
        asked++;
        return Promise.resolve({ id: 0, failure: "Cannot contact any KDC", silent: true });
      },
    };
    const tally = await renewDue(silentB, LIMITS);
    assert.equal(tally.renewed, 200);
    assert.equal(tally.failed + tally.postponed, 200);
    assert(asked < 20, `${asked}`);
    assert.match(world.log.join("\n"), /no KDC of REALM\.B answers, next try in \d+ seconds/);
    // The KDC is back.
    world.now += 300;
    assert.equal((await renewDue(tools, LIMITS)).failed, 0);
    assert.deepEqual([...tools.backOff.silentRealms], []);
  });

  it("continues when a request fails, and names the user", async () => {
    const world = new World(3, START - 1000);
    const tools = world.tools(300, () => 0);
    const { claim } = tools;
    const tally = await renewDue({
      ...tools,
      claim: (uid) =>
        uid === 2 ? Promise.reject(new AuksError("API_REPLY_CORRUPTED", "no")) : claim(uid),
    }, LIMITS);
    assert.deepEqual(tally, { ...emptyTally(), dumped: 3, renewed: 2, failed: 1 });
    assert.match(world.log.join("\n"), /user2@REALM\.A's cred \(uid 2\): auks api : reply seems/);
  });

  it("never requests a renewal that would not extend the ticket", async () => {
    const world = new World(1, START - 1000);
    world.stored.set(1, { ...world.stored.get(1)!, renewTill: START + LIFE - 1000 });
    const tally = await renewDue(world.tools(300, () => 0), LIMITS);
    assert.deepEqual(tally, { ...emptyTally(), dumped: 1, ending: 1 });
    assert.equal(world.requests.size, 0);
  });
});

describe("RealmBackOff", () => {
  it("doubles its pauses up to 5 minutes, and sends one request to try for all", () => {
    const backOff = new RealmBackOff();
    const pauses: number[] = [];
    let now = 0;
    for (let i = 0; i < 8; i++) {
      assert(backOff.mayAsk("R", now));
      pauses.push(backOff.silent("R", now));
      assert(!backOff.mayAsk("R", now + pauses.at(-1)! - 1));
      now += pauses.at(-1)!;
    }
    assert.deepEqual(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
    assert(backOff.mayAsk("R", now));
    assert(!backOff.mayAsk("R", now), "one is asking already");
    backOff.cancelProbe("R");
    assert(backOff.mayAsk("R", now));
    backOff.answered("R");
    assert(backOff.mayAsk("R", now) && backOff.mayAsk("R", now));
  });

  it("counts simultaneous failures as one", () => {
    const backOff = new RealmBackOff();
    backOff.silent("R", 0);
    backOff.silent("R", 0);
    assert.deepEqual([...backOff.silentRealms], [["R", 1]]);
  });
});

describe("formatStatus()", () => {
  it("shows what will happen to each credential", () => {
    const of = (uid: number, life: number, renewTill = START + RENEWABLE) => ({
      ...credential(uid, START - 1000),
      endtime: START + life,
      renewTill,
    });
    const text = formatStatus(
      [of(1, 5000), of(2, 100), of(3, 5000, START + 5000), of(4, 100, START + 100), of(5, -1)],
      300,
      START,
    );
    const states = text.trimEnd().split("\n").map((line) => line.slice(121).trim());
    assert.deepEqual(states.slice(0, 6), [
      "STATE",
      "good",
      "due",
      "can't be renewed again",
      "expires soon and can't be renewed",
      "expired",
    ]);
    assert.match(text, /\n5 creds, 1 good, 1 due, 1 can't be renewed again, /);
  });
});

describe("formatMetrics()", () => {
  it("is Prometheus's text format", () => {
    const text = formatMetrics(METRICS, {
      totals: { ...emptyTally(), renewed: 7 },
      last: { ...emptyTally(), dumped: 3 },
      failedRounds: 1,
      roundEnd: START,
      roundSeconds: 0.5,
      silentRealms: new Map([["REALM.B", 2]]),
    });
    for (
      const line of [
        "auksdrenewer_credentials 3",
        "auksdrenewer_renewals_total 7",
        "auksdrenewer_failed_rounds_total 1",
        'auksdrenewer_silent_kdc_tries{realm="REALM.B"} 2',
      ]
    ) assert(text.split("\n").includes(line), line);
    assert.match(text, /^(# (HELP|TYPE) \S+ .+\n|[a-z_]+(\{realm=".*"\})? [\d.]+\n)+$/);
  });
});
