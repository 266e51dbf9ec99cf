// Payloads beyond the protocol's 1 MiB (--max-payload): between our programs, from a client that speaks the protocol itself,
// and beside the C programs, for which nothing changes.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { hasReference, MAKES } from "../harness/programs.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { until } from "../harness/until.ts";
import { encodeRequest } from "../requests.ts";
import { rawDecode, rawEncode } from "./raw.ts";
import { suite } from "../suite.ts";

const MIB = 2 ** 20;
const MOST = 8 * MIB;

describe("a munged with --max-payload=8M", () => {
  let realm: Realm;
  let large: Munged;
  let usual: Munged;
  const path = (name: string) => join(realm.directory, name);
  const file = (name: string, bytes: Uint8Array) => {
    writeFileSync(path(name), bytes);
    return path(name);
  };
  const random = new Uint8Array(MOST);
  for (let at = 0; at < MOST; at += 65_536) {
    crypto.getRandomValues(random.subarray(at, at + 65_536));
  }

  before(async () => {
    realm = new Realm();
    large = await realm.start("ours", ["--max-payload=8M"]);
    usual = await realm.start("ours");
  });
  after(() => realm.close());

  const munge = (
    make: "ours" | "reference",
    { socket }: Munged,
    input: string,
    ...more: string[]
  ) => realm.run(make, "munge", ["-S", socket, "-i", input, "-o", path("credential"), ...more]);
  const unmunge = (make: "ours" | "reference", { socket }: Munged) =>
    realm.run(make, "unmunge", ["-S", socket, "-i", path("credential"), "-n", "-o", path("out")]);

  it("makes and opens credentials of up to 8 MiB for our programs, in every compression", () => {
    for (const zip of ["none", "bzlib", "zlib"]) {
      for (const length of [MIB + 1, MOST]) {
        // What does not compress takes bzip2 long: munged's clients wait for two seconds, even on a busy machine.
        const payload = random.slice(0, length).fill(7, Math.min(length / 2, MIB));
        const input = file("in", payload);
        for (let tries = 1;; tries++) {
          const made = munge("ours", large, input, `--zip=${zip}`);
          const { status, err } = made.status === 0 ? unmunge("ours", large) : made;
          if (tries < 5 && err.includes("Timed-out")) continue;
          assert.equal(status, 0, err);
          break;
        }
        assert(readFileSync(path("out")).equals(payload), `${zip}, ${length} bytes`);
      }
    }
  });

  it("refuses one byte more, and so does another munged one byte more than 1 MiB", () => {
    for (const [munged, most] of [[large, MOST], [usual, MIB]] as const) {
      const made = munge("ours", munged, file("in", new Uint8Array(most + 1)));
      assert.equal(made.status, 1);
      assert.equal(made.err, `munge: Error: Input size exceeded maximum of ${most}\n`);
      const bench = realm.run("ours", "remunge", [
        ...["-S", munged.socket, "-N", "1", "-l", `${most + 1}`],
      ]);
      const text = `Payload size ${most + 1} exceeded maximum of ${most} (err=3)`;
      assert(bench.out.includes(text), bench.out);
    }
  });

  it("is asked by unmunge only for a credential that needs it", () => {
    file("credential", new Uint8Array(2 * MOST + 1).fill(0x41));
    for (const [munged, most] of [[large, 2 * MOST], [usual, 2 * MIB]] as const) {
      const { status, err } = unmunge("ours", munged);
      assert.equal(status, 1);
      assert.equal(err, `unmunge: Error: Input size exceeded maximum of ${most}\n`);
    }
  });

  it("serves clients that do not ask, such as libmunge built for longer messages", async () => {
    const payload = random;
    const { errno, credential } = await rawEncode(large.socket, encodeRequest({ payload }));
    assert.equal(errno, 0);
    assert(credential.length > 11 * 1e6);
    const opened = await rawDecode(large.socket, { credential });
    assert.equal(opened.errno, 0);
    assert(Buffer.from(payload).equals(opened.payload));
  });

  it("opens a long credential with white space in its base64, and none that was altered", async () => {
    const client = new BlockingClient(large.socket);
    const { credential } = client.encode(encodeRequest({ payload: random.subarray(0, 3 * MIB) }));
    const text = Buffer.from(credential).toString("latin1");
    const altered = Buffer.from(text.replace(/.{9}:$/, "AAAAAAAA="), "latin1");
    assert.notEqual((await rawDecode(large.socket, { credential: altered })).errno, 0);
    const spaced = Buffer.from(`\n ${text.slice(0, 50)}\n${text.slice(50)}`, "latin1");
    assert.equal((await rawDecode(large.socket, { credential: spaced })).errno, 0);
  });

  it("logs the size of a message that is too long", async () => {
    const payload = new Uint8Array(2 * MOST);
    await rawEncode(large.socket, encodeRequest({ payload })).catch(() => {});
    const size = 3 + 1 + 12 + 4 + payload.length;
    const line = `Size ${size} exceeded maximum of ${2 * MOST}`;
    await until(line, () => large.log().includes(line));
  });

  it("says what its limit is", () => {
    const status = realm.run("ours", "munged", ["--status", "--json", `--socket=${large.socket}`]);
    assert.equal(JSON.parse(status.out).max_payload_bytes, MOST);
    assert.equal(new BlockingClient(large.socket).maxPayload(), MOST);
    assert.equal(new BlockingClient(usual.socket).maxPayload(), MIB);
  });

  suite("beside the C programs", !hasReference && "MUNGE is not installed", () => {
    it("exchanges all that they accept", () => {
      for (const [maker, opener] of MAKES.flatMap((a) => MAKES.map((b) => [a, b] as const))) {
        const payload = random.subarray(0, 700_000);
        assert.equal(munge(maker, large, file("in", payload)).status, 0);
        const { status, err } = unmunge(opener, large);
        assert.equal(status, 0, err);
        assert(readFileSync(path("out")).equals(payload), `${maker} to ${opener}`);
      }
    });

    it("leaves it to them to refuse longer ones, without consuming the credential", () => {
      assert.equal(munge("reference", large, file("in", random)).status, 1);
      assert.equal(munge("ours", large, file("in", random)).status, 0);
      const long = unmunge("reference", large);
      assert.notEqual(long.status, 0);
      assert.equal(long.err, "unmunge: Error: Exceeded maximum memory allocation\n");
      assert.equal(unmunge("ours", large).status, 0);
    });

    it("gives them a long payload that came in a short credential: they limit only what they send", () => {
      const payload = new Uint8Array(MOST);
      assert.equal(munge("ours", large, file("in", payload), "--zip=zlib").status, 0);
      assert.equal(unmunge("reference", large).status, 0);
      assert(readFileSync(path("out")).equals(payload));
    });

    it("learns from the C munged, which hangs up, that its limit is 1 MiB", async () => {
      const reference = await realm.start("reference");
      assert.equal(new BlockingClient(reference.socket).maxPayload(), MIB);
      const made = munge("ours", reference, file("in", random));
      assert.equal(made.err, `munge: Error: Input size exceeded maximum of ${MIB}\n`);
      assert.equal(munge("ours", reference, file("in", random.subarray(0, 700_000))).status, 0);
      assert.equal(unmunge("reference", reference).status, 0);
    });
  });
});
