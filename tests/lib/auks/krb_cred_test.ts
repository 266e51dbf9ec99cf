// KRB-CREDs: those of real programs, generated ones, and invalid ones.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseCcache, tgtsOf } from "../../../lib/auks/ccache.ts";
import { DerError, DerReader, formatDer, integerNode, node, TAG } from "../../../lib/auks/der.ts";
import { AuksError } from "../../../lib/auks/errors.ts";
import type { Credential } from "../../../lib/auks/credential.ts";
import { formatKrbCred } from "../../../lib/auks/krb_cred_writer.ts";
import {
  type KrbCred,
  MAX_KRB_CRED_LENGTH,
  MAX_TICKETS,
  parseKrbCred,
} from "../../../lib/auks/krb_cred.ts";
import { nonTgtReason, summarizeKrbCred } from "../../../lib/auks/krb_cred_summary.ts";
import { parsePrincipal } from "../../../lib/auks/principal.ts";
import { parseSendFile } from "../../../lib/auks/send_file.ts";
import { krbCred } from "./arbitraries.ts";
import { describeCredential, plainBytes, referenceFile, transcripts } from "./reference.ts";

/** One with bob's TGT, partly changed. */
function bobs(...changes: Partial<Credential>[]): KrbCred {
  const cred = parseKrbCred(parseSendFile(referenceFile("send-bob")).krbCred);
  return {
    ...cred,
    credentials: changes.map((change) => ({ ...cred.credentials[0]!, ...change })),
  };
}

function isRefused(bytes: Uint8Array, reason?: RegExp): void {
  assert.throws(() => parseKrbCred(bytes), (error) => {
    assert(error instanceof AuksError, `${error}`);
    assert(error.error === "CRED_READ" || error.error === "CRED_TOO_LARGE", error.error);
    if (reason !== undefined) assert.match(error.message, reason);
    return true;
  });
}

describe("a KRB-CRED of a real client", () => {
  const recorded = transcripts().flatMap(({ name, priv }) =>
    priv.flatMap(({ plain, meaning }) =>
      meaning.name === "ADD" && meaning.credentials !== undefined
        ? [{ name, bytes: plainBytes(plain), meaning }]
        : []
    )
  );
  assert(recorded.length > 50);

  for (const { name, bytes, meaning } of recorded) {
    test(`in ${name} is read as it was described, and written the same`, () => {
      const krbCredBytes = bytes.subarray(8, 8 + (meaning["length"] as number));
      const cred = parseKrbCred(krbCredBytes);
      assert.deepEqual(cred.credentials.map(describeCredential), meaning.credentials);
      const made = meaning["made"] as { timestamp: number; usec: number };
      assert.deepEqual([cred.timestamp, cred.usec], [made.timestamp, made.usec]);
      assert.deepEqual(formatKrbCred(cred), krbCredBytes, "written as libkrb5 writes it");
    });
  }

  test("can be made from a file of CacheDir", () => {
    const ccache = parseCcache(referenceFile("cachedir-head/aukscc_2002"));
    const bytes = formatKrbCred({ credentials: tgtsOf(ccache), timestamp: 1_795_689_498, usec: 7 });
    const { credentials } = parseKrbCred(bytes);
    assert.deepEqual(
      credentials.map(describeCredential),
      tgtsOf(ccache).map(describeCredential),
    );
    assert.equal(summarizeKrbCred({ credentials, timestamp: 0, usec: 0 }).crossrealm, true);
  });
});

describe("any KRB-CRED", () => {
  test("survives formatting and parsing", () => {
    fc.assert(fc.property(krbCred, (cred) => {
      assert.deepEqual(parseKrbCred(formatKrbCred(cred)), cred);
    }));
  });

  test("without a time does not say when it was made", () => {
    const cred = { ...bobs({}), timestamp: 0, usec: 5 };
    assert.deepEqual(parseKrbCred(formatKrbCred(cred)), { ...cred, usec: 0 });
  });

  test("is refused when truncated anywhere", () => {
    fc.assert(
      fc.property(krbCred, (cred) => {
        const bytes = formatKrbCred(cred);
        for (let length = 0; length < bytes.length; length++) isRefused(bytes.subarray(0, length));
      }),
      { numRuns: 20 },
    );
  });

  test("with any byte changed is refused, or is another strictly encoded KRB-CRED", () => {
    fc.assert(
      fc.property(krbCred, fc.integer({ min: 1, max: 255 }), (cred, change) => {
        const bytes = formatKrbCred(cred);
        let refused = 0;
        for (let at = 0; at < bytes.length; at++) {
          const changed = bytes.slice();
          changed[at]! ^= change;
          let parsed;
          try {
            parsed = parseKrbCred(changed);
          } catch (error) {
            assert(error instanceof AuksError && error.error === "CRED_READ", `${error}`);
            refused++;
            continue;
          }
          assert.notDeepEqual(parsed, cred);
          // A time of 0 is omitted where possible.
          if (!hasZeroTime(parsed)) assert.deepEqual(formatKrbCred(parsed), changed);
        }
        assert(refused > 100, `${refused}`);
      }),
      { numRuns: 8 },
    );
  });

  test("random bytes are refused", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => isRefused(bytes)));
  });

  test("may have keys with a 32-bit version, as with read-only domain controllers", () => {
    const text = (value: string) => node(TAG.generalString, new TextEncoder().encode(value));
    const service = node(
      TAG.sequence,
      node(TAG.context(0), integerNode(2)),
      node(TAG.context(1), node(TAG.sequence, text("krbtgt"), text("REALM.A"))),
    );
    const encrypted = node(
      TAG.sequence,
      node(TAG.context(0), integerNode(18)),
      node(TAG.context(1), node(TAG.integer, Uint8Array.of(0, 0xab, 0xcd, 0, 1))),
      node(TAG.context(2), node(TAG.octetString, new Uint8Array(20))),
    );
    const fields = [integerNode(5), text("REALM.A"), service, encrypted]
      .map((field, i) => node(TAG.context(i), field));
    const ticket = formatDer(node(TAG.application(1), node(TAG.sequence, ...fields)));
    assert.deepEqual(parseKrbCred(formatKrbCred(bobs({ ticket }))).credentials[0]!.ticket, ticket);
  });

  test("is refused if anything follows it", () => {
    isRefused(Uint8Array.from([...formatKrbCred(bobs({})), 0]), /1 bytes too many/);
  });
});

function hasZeroTime({ credentials, timestamp }: KrbCred): boolean {
  return timestamp === 0 ||
    credentials.some(({ authtime, starttime, renewTill }) =>
      [authtime, starttime, renewTill].includes(0)
    );
}

describe("a KRB-CRED is refused for", () => {
  const bytes = formatKrbCred(bobs({}));
  /** Replaces the only occurrence of `from` in the hexadecimal text. */
  const replaced = (from: string, to: string) => {
    const parts = Buffer.from(bytes).toString("hex").split(from);
    assert.equal(parts.length, 2, `${from} is there ${parts.length - 1} times`);
    return Uint8Array.from(Buffer.from(parts.join(to), "hex"));
  };
  const hex = (text: string) => Buffer.from(text, "latin1").toString("hex");

  for (
    const [what, from, to, reason] of [
      [
        "another version",
        "a003020105a103020116",
        "a003020104a103020116",
        /version 4 instead of 5/,
      ],
      ["another message", "a103020116", "a103020115", /message type 21 instead of 22/],
      ["encryption", "a003020100a281f4", "a003020112a281f4", /encryption type 18 instead of 0/],
      [
        "another version of the ticket",
        "61820190308201" + "8ca003020105",
        "618201903082018ca003020106",
        /ticket version 6/,
      ],
      ["an indefinite length", "768202ac", "76800000", /a length of 0 bytes/],
      [
        "a longer length than needed",
        "768202ac308202a8",
        "76830002ac308202a8",
        /a length in more bytes than necessary/,
      ],
      ["a longer integer than needed", "a103020116", "a10302000116".replace("0302", "0402"), /./],
      [
        "a context tag too many",
        "a003020100a281f4",
        "a103020100a281f4",
        /tag 0xa1 instead of 0xa0/,
      ],
    ] as const
  ) test(what, () => isRefused(replaced(from, to), reason));

  test("a name that is not UTF-8, empty or with a NUL", () => {
    for (const [name, reason] of [["b\xffb", /UTF-8/], ["b\0b", /NUL/]] as const) {
      isRefused(replaced(`1b03${hex("bob")}`, `1b03${hex(name)}`), reason);
    }
  });

  test("times that do not exist", () => {
    const end = hex("20261127103818Z");
    for (
      const time of [
        "20261327103818Z",
        "20260231103818Z",
        "20261127243818Z",
        "20261127106018Z",
        "19691231235959Z",
        "21060207062816Z",
        "00261127103818Z",
        "20261127103818+",
        "2026112710381 Z",
      ]
    ) isRefused(replaced(end, hex(time)), /time/);
    assert.equal(
      parseKrbCred(replaced(end, hex("21060207062815Z"))).credentials[0]!.endtime,
      0xffff_ffff,
    );
    assert.equal(parseKrbCred(replaced(end, hex("19700101000000Z"))).credentials[0]!.endtime, 0);
  });

  test("flags that are not 32 bits", () => {
    isRefused(replaced("03050040c10000", "03050140c10000"), /flags/);
  });

  test("no ticket, or too many", () => {
    isRefused(formatKrbCred({ credentials: [], timestamp: 1, usec: 1 }), /no ticket/);
    const many = (count: number) => formatKrbCred(bobs(...new Array(count).fill({})));
    assert.equal(parseKrbCred(many(MAX_TICKETS)).credentials.length, MAX_TICKETS);
    isRefused(many(MAX_TICKETS + 1), /more than 16 tickets/);
  });

  test("one byte more than the maximum", () => {
    const key = (length: number) => ({ enctype: 18, bytes: new Uint8Array(length) });
    const rest = formatKrbCred(bobs({ key: key(20_000) })).length - 20_000;
    const largest = formatKrbCred(bobs({ key: key(MAX_KRB_CRED_LENGTH - rest) }));
    assert.equal(largest.length, MAX_KRB_CRED_LENGTH);
    parseKrbCred(largest);
    isRefused(formatKrbCred(bobs({ key: key(MAX_KRB_CRED_LENGTH - rest + 1) })), /32769 bytes/);
  });
});

describe("summarizeKrbCred()", () => {
  test("takes principal and address from the first ticket, and the times of all", () => {
    const address = { type: 2, bytes: Uint8Array.of(127, 0, 0, 1) };
    const { credentials } = bobs(
      { starttime: 20, endtime: 90, renewTill: 0, addresses: [address] },
      { client: parsePrincipal("eve@REALM.B"), starttime: 10, endtime: 100, renewTill: 300 },
    );
    const cred = { credentials, timestamp: 0, usec: 0 };
    assert.deepEqual(summarizeKrbCred(cred), {
      principal: "bob@REALM.A",
      starttime: 10,
      endtime: 90,
      renewTill: 300,
      addressless: false,
      crossrealm: true,
    });
    const reversed = { ...cred, credentials: credentials.toReversed() };
    assert.equal(summarizeKrbCred(reversed).addressless, true);
    assert.equal(summarizeKrbCred(bobs({})).crossrealm, false);
  });

  test("starts a ticket without a start time at its authentication", () => {
    assert.equal(summarizeKrbCred(bobs({ authtime: 5, starttime: 0 })).starttime, 5);
  });

  test("refuses a principal of more than 127 bytes", () => {
    const named = (length: number) =>
      bobs({ client: parsePrincipal(`${"\u00e9".repeat((length - 8) / 2)}x@REALM.A`) });
    assert.equal(summarizeKrbCred(named(126)).principal.length, 68);
    assert.throws(
      () => summarizeKrbCred(named(128)),
      (error) => error instanceof AuksError && error.error === "CRED_PRINCIPAL_TOO_LONG",
    );
  });
});

describe("nonTgtReason()", () => {
  const server = (name: string) => ({ server: parsePrincipal(name) });
  const own = server("krbtgt/REALM.A@REALM.A");
  const other = server("krbtgt/REALM.B@REALM.A");

  test("has nothing against the TGT of a client's own realm, alone or before others", () => {
    assert.equal(nonTgtReason(bobs(own)), undefined);
    assert.equal(nonTgtReason(bobs(own, other)), undefined);
  });

  for (
    const [why, cred] of [
      ["not a ticket-granting ticket", bobs(server("host/mngt.realm.a@REALM.A"))],
      ["not a ticket-granting ticket", bobs(own, server("host/mngt.realm.a@REALM.A"))],
      ["not a ticket-granting ticket", bobs(server("krbtgt@REALM.A"))],
      ["not a ticket-granting ticket", bobs(server("krbtgt/REALM.A/x@REALM.A"))],
      ["not a ticket-granting ticket", bobs(server("KRBTGT/REALM.A@REALM.A"))],
      ["is not of the realm of bob@REALM.A", bobs(server("krbtgt/REALM.A@REALM.B"))],
      ["the first ticket is for krbtgt/REALM.B@REALM.A", bobs(other)],
      ["two tickets for krbtgt/REALM.A@REALM.A", bobs(own, own)],
      [
        "tickets of bob@REALM.A and of alice@REALM.A",
        bobs(own, { ...other, client: parsePrincipal("alice@REALM.A") }),
      ],
    ] as const
  ) {
    test(`refuses ${cred.credentials.map(({ server }) => server.components.join("/"))}: ${why}`, () => {
      assert(nonTgtReason(cred)?.includes(why), nonTgtReason(cred));
    });
  }
});

test("wiping a KRB-CRED wipes the keys and tickets that were parsed from it", () => {
  const bytes = formatKrbCred(bobs({}));
  const { credentials } = parseKrbCred(bytes);
  const { key, ticket } = credentials[0]!;
  assert(key.bytes.some((byte) => byte !== 0) && ticket.some((byte) => byte !== 0));
  bytes.fill(0);
  assert(key.bytes.every((byte) => byte === 0) && ticket.every((byte) => byte === 0));
});

describe("DER", () => {
  test("integers have one encoding, from which they are read back", () => {
    const check = (value: number) => {
      const bytes = formatDer(integerNode(value));
      assert.equal(new DerReader(bytes).integer(), value);
    };
    fc.assert(fc.property(fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }), check));
    // Where a byte more begins.
    for (const power of [0, 7, 8, 15, 16, 23, 24, 31]) {
      for (const value of [2 ** power, 2 ** power - 1, 2 ** power + 1]) {
        if (value < 2 ** 31) check(value);
        if (value > 0 && value <= 2 ** 31) check(-value);
      }
    }
    for (const bytes of [[2, 0], [2, 2, 0, 127], [2, 2, 255, 128], [2, 5, 1, 0, 0, 0, 0], [2, 1]]) {
      assert.throws(() => new DerReader(Uint8Array.from(bytes)).integer(), DerError, `${bytes}`);
    }
  });

  test("lengths have one encoding, whatever their size", () => {
    for (const length of [0, 127, 128, 255, 256, 65_535, 65_536]) {
      const bytes = formatDer(node(TAG.octetString, new Uint8Array(length)));
      assert.equal(new DerReader(bytes).take(TAG.octetString).length, length);
    }
    for (
      const bytes of [
        [4, 0x80, 0, 0],
        [4, 0x81, 1, 0],
        [4, 0x82, 0, 128, ...new Uint8Array(128)],
        [4, 0x85, 0, 0, 0, 0, 1, 0],
        [4, 0x84, 255, 255, 255, 255],
        [4, 0x82, 1],
        [4],
        [],
      ]
    ) {
      const reader = new DerReader(Uint8Array.from(bytes));
      assert.throws(() => reader.take(TAG.octetString), DerError, `${bytes.slice(0, 8)}`);
    }
  });
});
