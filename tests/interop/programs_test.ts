// Our programs and the C ones against both daemons: what a user types, and what C programs get through libmunge.
import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { armor } from "../../lib/credential/armor.ts";
import { sealBytes } from "../../lib/credential/seal.ts";
import { primitives } from "../../lib/primitives/library.ts";
import { deriveSubkeys } from "../../lib/credential/subkeys.ts";
import { ANY_ID } from "../../lib/protocol/message.ts";
import { type Munged, Realm } from "../harness/realm.ts";
import { hasReference, type Make, MAKES } from "../harness/programs.ts";
import { compileProbe, probeDecode, probeEncode } from "./libmunge_probe.ts";
import { rawDecode, rawEncode } from "./raw.ts";
import { encodeRequest } from "../requests.ts";
import { suite } from "../suite.ts";

const PLAIN = { cipher: 1, mac: 1, zip: 0, ttl: 0, uid: ANY_ID, gid: ANY_ID, length: 5 };
const REQUEST = encodeRequest();

suite("our programs and the C ones with both daemons", { "the reference": hasReference }, () => {
  let realm: Realm;
  let probe: string;
  let daemons: Readonly<Record<Make, Munged>>;

  before(async () => {
    realm = new Realm();
    probe = compileProbe(realm);
    daemons = await realm.startBoth();
  });
  after(() => realm?.close());

  function munge(make: Make, daemon: Make, ...args: string[]): string {
    const made = realm.run(make, "munge", ["--socket", daemons[daemon].socket, ...args]);
    assert.deepEqual({ status: made.status, err: made.err }, { status: 0, err: "" });
    return made.out;
  }

  function unmunge(make: Make, daemon: Make, input: string, ...args: string[]) {
    return realm.run(make, "unmunge", ["--socket", daemons[daemon].socket, ...args], {
      input: Buffer.from(input),
    });
  }

  /** Every program against every daemon. */
  const pairs = MAKES.flatMap((make) => MAKES.map((daemon) => [make, daemon] as const));

  for (const [make, daemon] of pairs) {
    const title = `${make} munge and unmunge, ${daemon} munged`;

    it(`${title}: payload and metadata survive`, () => {
      const args = ["-s", "hello", "-c", "blowfish", "-m", "ripemd160", "-z", "none", "-t", "1234"];
      const credential = munge(make, daemon, ...args);
      const opened = unmunge(make, daemon, credential, "--numeric");
      assert.equal(opened.status, 0);
      const times = opened.out.match(/^(?:EN|DE)CODE_TIME: +\d{10}$/gm);
      assert.equal(times?.length, 2);
      assert.equal(
        opened.out.replace(/^..CODE_TIME: .*\n/gm, ""),
        `STATUS:          0\nENCODE_HOST:     127.0.0.1\nTTL:             1234\n` +
          `CIPHER:          2\nMAC:             4\nZIP:             0\n` +
          `UID:             ${process.geteuid!()}\nGID:             ${process.getegid!()}\n` +
          `LENGTH:          5\n\nhello`,
      );
    });

    it(`${title}: a credential can be opened once`, () => {
      const credential = munge(make, daemon, "--no-input");
      assert.equal(unmunge(make, daemon, credential).status, 0);
      const again = unmunge(make, daemon, credential, "-k", "STATUS");
      assert.deepEqual(again, {
        status: 17,
        out: "STATUS:          Replayed credential (17)\n\n",
        err: "",
      });
    });

    it(`${title}: restrictions hold, even for root`, () => {
      const uid = process.geteuid!();
      const gid = process.getegid!();
      const mine = munge(make, daemon, "-n", "-u", `${uid}`, "-g", `${gid}`);
      const opened = unmunge(make, daemon, mine, "-N", "-k", "UID_RESTRICTION,GID_RESTRICTION");
      assert.equal(opened.status, 0);
      assert.equal(opened.out, `UID_RESTRICTION: ${uid}\nGID_RESTRICTION: ${gid}\n\n`);
      for (const option of [`--restrict-uid=${uid + 1}`, `--restrict-gid=${gid + 54_321}`]) {
        assert.deepEqual(unmunge(make, daemon, munge(make, daemon, "-n", option)), {
          status: 18,
          out: "",
          err: `unmunge: Error: Unauthorized credential for client UID=${uid} GID=${gid}\n`,
        });
      }
    });

    it(`${title}: TTL 0 and -1 mean the default and the maximum, 1 and 3600 themselves`, () => {
      for (
        const [asked, granted] of [["0", 300], ["-1", 3600], ["1", 1], ["3600", 3600]] as const
      ) {
        const opened = unmunge(make, daemon, munge(make, daemon, "-n", "-t", asked), "-k", "TTL");
        assert.equal(opened.out, `TTL:             ${granted}\n\n`, asked);
      }
    });

    it(`${make} remunge drives ${daemon} munged with several threads`, () => {
      const args = ["-S", daemons[daemon].socket, "-d", "-N", "200", "-T", "3", "-l", "32"];
      const { status, out } = realm.run(make, "remunge", args);
      assert.equal(status, 0);
      assert.match(out, /Spawning 3 threads for encoding\/decoding\n/);
      assert.match(out, /Processed 200 credentials in \d+\.\d{3}s \(\d+ creds\/sec\)\n/);
      assert.doesNotMatch(out, /error/i);
    });
  }

  for (const daemon of MAKES) {
    it(`libmunge gets what it asks for from ${daemon} munged`, () => {
      const uid = process.geteuid!();
      const gid = process.getegid!();
      const { socket } = daemons[daemon];
      const made = probeEncode(probe, socket, [
        { ...PLAIN, ttl: 60 },
        { ...PLAIN, ttl: ANY_ID },
        { ...PLAIN, uid, gid },
        { ...PLAIN, uid: uid + 1 },
      ]);
      assert.deepEqual(made.map(({ errno }) => errno), [0, 0, 0, 0]);
      const opened = probeDecode(probe, socket, [...made.map(({ text }) => text), made[2]!.text]);
      assert.deepEqual(
        opened.map(({ errno, ttl, uidRestriction, gidRestriction, length, text }) => ({
          errno,
          ttl,
          uidRestriction,
          gidRestriction,
          length,
          text,
        })),
        [
          {
            errno: 0,
            ttl: 60,
            uidRestriction: ANY_ID,
            gidRestriction: ANY_ID,
            length: 5,
            text: "",
          },
          {
            errno: 0,
            ttl: 3600,
            uidRestriction: ANY_ID,
            gidRestriction: ANY_ID,
            length: 5,
            text: "",
          },
          { errno: 0, ttl: 300, uidRestriction: uid, gidRestriction: gid, length: 5, text: "" },
          {
            errno: 18,
            ttl: 0,
            uidRestriction: ANY_ID,
            gidRestriction: ANY_ID,
            length: 0,
            text: `Unauthorized credential for client UID=${uid} GID=${gid}`,
          },
          {
            errno: 17,
            ttl: 300,
            uidRestriction: uid,
            gidRestriction: gid,
            length: 5,
            text: "Replayed credential",
          },
        ],
      );
    });
  }

  it("both daemons give the same answer to a retried request", async () => {
    const answers = await Promise.all(MAKES.map(async (make) => {
      const { socket } = daemons[make];
      const { credential } = await rawEncode(socket, REQUEST);
      const decoded = [];
      // Not a replay for a client that indicates it lost the first answer.
      for (const retry of [0, 1, 5, 0, 6, 255]) {
        const { errno, errorText, uid } = await rawDecode(socket, { credential }, retry);
        decoded.push({ retry, errno, errorText, uid });
      }
      const encoded = [];
      for (const retry of [1, 5, 6]) {
        const { errno, errorText, credential } = await rawEncode(socket, REQUEST, retry);
        encoded.push({ retry, errno, errorText, length: credential.length });
      }
      return { decoded, encoded };
    }));
    assert.deepEqual(answers[0], answers[1]);
    assert.deepEqual(answers[0]!.decoded.map(({ errno }) => errno), [0, 0, 0, 17, 6, 6]);
    assert.equal(answers[0]!.decoded[4]!.errorText, "Exceeded maximum number of decode attempts");
    assert.deepEqual(answers[0]!.encoded.map(({ errno }) => errno), [0, 0, 6]);
    assert.equal(answers[0]!.encoded[2]!.errorText, "Exceeded maximum number of encode attempts");
  });

  it("a credential with TTL 1 expires in both daemons, whichever made it", async () => {
    const made = MAKES.map((make) => munge(make, make, "-n", "-t", "1"));
    await pause(2_100);
    for (const [make, daemon] of pairs) {
      for (const credential of made) {
        const { status, out, err } = unmunge(make, daemon, credential, "-k", "STATUS,TTL");
        assert.equal(status, 15);
        assert.equal(out, "STATUS:          Expired credential (15)\nTTL:             1\n\n");
        assert.equal(err, "");
      }
    }
  });

  it("expired and rewound credentials are returned whole by both daemons", async () => {
    const subkeys = deriveSubkeys(realm.key, primitives);
    const now = Math.floor(Date.now() / 1000);
    for (
      const [offset, ttl, errno] of [[-400, 300, 15], [400, 300, 16], [-3700, 5000, 15]] as const
    ) {
      const credential = new TextEncoder().encode(armor(sealBytes(
        {
          cipher: 4,
          mac: 5,
          zip: 0,
          realm: "",
          originAddress: new Uint8Array([192, 0, 2, 7]),
          encodeTime: now + offset,
          ttl,
          uid: 77,
          gid: 78,
          uidRestriction: ANY_ID,
          gidRestriction: ANY_ID,
          payload: new TextEncoder().encode("late"),
        },
        subkeys,
        { salt: new Uint8Array(8), iv: new Uint8Array(16) },
        primitives,
      )));
      const answers = await Promise.all(
        MAKES.map((make) => rawDecode(daemons[make].socket, { credential })),
      );
      const [ours, reference] = answers.map(({ decodeTime: _, ...rest }) => rest);
      assert.deepEqual(ours, reference);
      assert.equal(ours!.errno, errno);
      assert.deepEqual([ours!.uid, ours!.gid, ours!.ttl], [77, 78, Math.min(ttl, 3600)]);
      assert.equal(Buffer.from(ours!.payload).toString(), "late");
    }
  });
});
