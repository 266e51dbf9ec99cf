// Tests scripts/rotation_model.ts, which computes the probability of a refusal: simulated rotations of 10,000 hosts, with
// real key rings and credentials and a simulated clock, cause refusals as often.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { validityError } from "../../daemon/munged/serve/validity.ts";
import { openBytes } from "../../lib/credential/open.ts";
import { sealBytes } from "../../lib/credential/seal.ts";
import { deriveSubkeys, type Subkeys } from "../../lib/credential/subkeys.ts";
import { MungeError } from "../../lib/errors.ts";
import { composeRing, type FoundKey } from "../../lib/keys/ring.ts";
import { primitives } from "../../lib/primitives/executable.ts";
import {
  type Fleet,
  oldestCredential,
  plan,
  refusedAfterPromoting,
  refusedAfterStaging,
  unfinished,
  waitFor,
} from "../../scripts/rotation_model.ts";
import { plotRotation } from "../../scripts/rotation_plot.ts";

const FLEET: Fleet = { hosts: 10_000, delay: 60, failures: 0, ttl: 300, drift: 0, skew: 0 };
/** Long before the rotation, and the end of time. */
const EARLY = -1e6;
const START = 1_700_000_000;
const ANYONE = 0xffff_ffff;
/** Rotations for each probability, and the standard deviations by which the share may differ. */
const ROTATIONS = 150;
const DEVIATIONS = 4;

/** Repeatable random numbers (mulberry32). */
function randomness(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const OLD = new Uint8Array(128).fill(1);
const NEW = new Uint8Array(128).fill(2);

/** When a host stages, promotes, and by how much its clock is ahead. */
interface SimulatedHost {
  readonly staged: number;
  readonly promoted: number;
  readonly ahead: number;
}

/** One rotation. */
class Rotation {
  readonly hosts: SimulatedHost[] = [];
  readonly #rotationTime: number;

  constructor(fleet: Fleet, wait: number, rotationTime: number, random: () => number) {
    this.#rotationTime = rotationTime;
    const delay = () => -fleet.delay * Math.log1p(-random());
    for (let count = 0; count < fleet.hosts; count++) {
      const staged = random() < fleet.failures ? Infinity : delay();
      const promoted = staged === Infinity ? Infinity : wait + delay();
      const ahead = (2 * random() - 1) * fleet.skew;
      // One that stages late promotes then, at the earliest.
      this.hosts.push({ staged, promoted: Math.max(staged, promoted), ahead });
    }
  }

  /** The ring of a host at a time, composed by munged's own code from the files that it has then. */
  ring({ staged, promoted, ahead }: SimulatedHost, time: number): Subkeys[] {
    const found: FoundKey[] = [];
    const add = (role: FoundKey["role"], key: Uint8Array, since: number) =>
      found.push({ role, subkeys: deriveSubkeys(key, primitives), since: START + since + ahead });
    if (time >= promoted) {
      add("active", NEW, staged);
      add("old", OLD, promoted);
    } else {
      add("active", OLD, EARLY);
      if (time >= staged) add("next", NEW, staged);
    }
    return composeRing(found, START + time + ahead, this.#rotationTime).map(({ subkeys }) =>
      subkeys
    );
  }

  /** Sends a credential. Returns why it is refused, or null. */
  send(from: SimulatedHost, to: SimulatedHost, made: number, opened: number, fleet: Fleet) {
    const fields = {
      cipher: 4,
      mac: 5,
      zip: 0,
      realm: "",
      originAddress: new Uint8Array(4),
      encodeTime: START + made + from.ahead,
      ttl: fleet.ttl,
      uid: 0,
      gid: 0,
      uidRestriction: ANYONE,
      gidRestriction: ANYONE,
      payload: new Uint8Array(0),
    };
    const whole = { ...fields, encodeTime: Math.floor(fields.encodeTime) };
    const random = { salt: new Uint8Array(8), iv: new Uint8Array(16) };
    const credential = sealBytes(whole, this.ring(from, made)[0]!, random, primitives);
    try {
      const read = openBytes(credential, this.ring(to, opened), primitives);
      const now = Math.floor(START + opened + to.ahead);
      return validityError(read.encodeTime, read.ttl, now, fleet.drift || null);
    } catch (error) {
      if (error instanceof MungeError) return error.code;
      throw error;
    }
  }

  /** The hosts in the order of a time. */
  by(time: "staged" | "promoted"): SimulatedHost[] {
    return [...this.hosts].sort((a, b) => a[time] - b[time]);
  }
}

/** Whether a credential of the first host to promote is refused by the last to stage. */
function refusedBetweenStages(rotation: Rotation, fleet: Fleet): boolean {
  const first = rotation.by("promoted")[0]!;
  const last = rotation.by("staged").at(-1)!;
  return rotation.send(first, last, first.promoted, first.promoted, fleet) ===
    "EMUNGE_CRED_INVALID";
}

/** Whether a credential that the last host makes with the old key is refused by the first, as long as it is valid. */
function refusedBetweenPromotions(rotation: Rotation, fleet: Fleet): boolean {
  const order = rotation.by("promoted");
  const [first, last] = [order[0]!, order.at(-1)!];
  const made = last.promoted - 0.001;
  return rotation.send(last, first, made, made + fleet.ttl - 1, fleet) === "EMUNGE_CRED_INVALID";
}

function assertShare(count: number, expected: number, what: string): void {
  const deviation = Math.sqrt(expected * (1 - expected) / ROTATIONS);
  const share = count / ROTATIONS;
  assert(
    Math.abs(share - expected) <= DEVIATIONS * deviation + 1 / ROTATIONS,
    `${what}: ${share}, the model says ${expected}`,
  );
}

describe("the model of a rotation", () => {
  for (const [failures, risk] of [[0, 0.5], [0, 0.1], [0, 0.01], [2e-5, 0.4]] as const) {
    it(`is right about ${FLEET.hosts} hosts, ${failures} of which fail, at a risk of ${risk}`, () => {
      const fleet = { ...FLEET, failures };
      const wait = waitFor(fleet, risk);
      const rotationTime = wait + oldestCredential(fleet);
      const random = randomness(risk * 1000);
      let staging = 0;
      let promoting = 0;
      for (let count = 0; count < ROTATIONS; count++) {
        // A host that promotes as soon as promoting starts: the first of 10,000 hardly waits.
        if (refusedBetweenStages(new Rotation(fleet, wait, rotationTime, random), fleet)) staging++;
        if (failures > 0) continue; // a host that misses the promotion altogether needs no simulation
        const rotation = new Rotation(fleet, 1e4, rotationTime, random);
        if (refusedBetweenPromotions(rotation, fleet)) promoting++;
      }
      assertShare(staging, refusedAfterStaging(fleet, wait), "staging");
      if (failures === 0) {
        assertShare(promoting, refusedAfterPromoting(fleet, rotationTime), "promoting");
      }
    });
  }

  it("refuses nothing on any of 10,000 hosts whose clocks differ, with the waits of the plan", () => {
    const fleet = { ...FLEET, skew: 2, drift: 10 };
    const { wait, rotationTime } = plan(fleet, 1e-6);
    const random = randomness(7);
    const rotation = new Rotation(fleet, wait, rotationTime, random);
    const refused = new Map<string, number>();
    for (const to of rotation.hosts) {
      const from = rotation.hosts[Math.floor(random() * fleet.hosts)]!;
      const made = random() * (wait + rotationTime);
      const age = random() * fleet.ttl;
      const reason = rotation.send(from, to, made, made + age, fleet);
      if (reason !== null) refused.set(reason, (refused.get(reason) ?? 0) + 1);
    }
    assert.deepEqual([...refused], []);
  });

  it("asks for confirmation where no wait helps", () => {
    assert.equal(waitFor({ ...FLEET, failures: 1e-3 }, 1e-6), Infinity);
    const { status, stdout } = run("--failures=0.001");
    assert.equal(status, 0);
    assert.match(stdout, /^No wait helps: with probability 1\.00 a host misses the step\./);
  });

  it("has waits that match its probabilities", () => {
    for (const hosts of [2, 100, 1e6]) {
      for (const risk of [0.5, 1e-3, 1e-9]) {
        const fleet = { ...FLEET, hosts };
        const back = unfinished(fleet, waitFor(fleet, risk));
        assert(Math.abs(back / risk - 1) < 1e-4, `${hosts} ${risk}: ${back}`);
      }
    }
  });

  it("refuses invalid numbers", () => {
    const { status, stderr } = run("--hosts=many");
    assert.equal(status, 1);
    assert.match(stderr, /Option "--hosts" has invalid value "many"/);
  });

  it("agrees with its plot in docs/", () => {
    assert.equal(readFileSync("docs/rotation-waits.svg", "utf8"), plotRotation(FLEET));
  });
});

function run(...args: string[]) {
  return spawnSync(process.execPath, ["scripts/model_rotation.ts", ...args], { encoding: "utf8" });
}
