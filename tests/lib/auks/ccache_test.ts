// Credential cache files: those of the real programs, generated ones, and invalid ones.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  type CachedCredential,
  type Ccache,
  MAX_CCACHE_LENGTH,
  parseCcache,
  tgtsOf,
} from "../../../lib/auks/ccache.ts";
import { formatCcache } from "../../../lib/auks/ccache_writer.ts";
import { AuksError } from "../../../lib/auks/errors.ts";
import { parseKrbCred } from "../../../lib/auks/krb_cred.ts";
import { formatPrincipal, parsePrincipal } from "../../../lib/auks/principal.ts";
import { parseSendFile } from "../../../lib/auks/send_file.ts";
import { credential, principal, record } from "./arbitraries.ts";
import {
  describeCredential,
  describedFiles,
  type RecordedCredential,
  referenceFile,
} from "./reference.ts";

const cached: fc.Arbitrary<CachedCredential> = record({
  authdata: fc.array(
    record({ type: fc.nat(0xffff), bytes: fc.uint8Array({ maxLength: 9 }) }),
    { maxLength: 2 },
  ),
  isSkey: fc.boolean(),
  secondTicket: fc.uint8Array({ maxLength: 9 }),
}).chain((rest) => credential.map((each) => ({ ...each, ...rest })));
const ccache: fc.Arbitrary<Ccache> = record({
  principal,
  credentials: fc.array(cached, { maxLength: 3 }),
});

function isRefused(bytes: Uint8Array, reason?: RegExp): void {
  assert.throws(() => parseCcache(bytes), (error) => {
    assert(error instanceof AuksError && error.error === "KRB5_CCACHE_READ", `${error}`);
    if (reason !== undefined) assert.match(error.message, reason);
    return true;
  });
}

describe("a cache of the real programs", () => {
  interface Described {
    readonly content?: {
      readonly header: string;
      readonly principal: string;
      readonly entries: readonly (RecordedCredential | { readonly value: string })[];
    };
  }
  const files = Object.entries(describedFiles<Described>());
  let count = 0;
  for (const [name, { content }] of files) {
    // The descriptions of the files of `auks --receive` are of another recording.
    if (content === undefined || /\.keytab$|received/.test(name)) continue;
    count++;
    test(`${name} is read as it was described, and written the same`, () => {
      const bytes = referenceFile(name);
      const read = parseCcache(bytes);
      assert.equal(formatPrincipal(read.principal), content.principal);
      const described = read.credentials.map((each) => ({
        ...describeCredential(each),
        second_ticket_length: each.secondTicket.length,
      }));
      const entries = content.entries.filter((entry) => !("value" in entry));
      assert.deepEqual(described, entries);
      if (content.header !== "") return;
      assert.deepEqual(formatCcache(read.principal, read.credentials), bytes, "written the same");
    });
  }
  assert(count > 8, `${count}`);

  for (const name of ["bob", "carol-two-tgts"]) {
    test(`is what we write of the tickets in send-${name}, as auks --receive does`, () => {
      const { krbCred } = parseSendFile(referenceFile(`send-${name}`));
      const { credentials } = parseKrbCred(krbCred);
      const made = formatCcache(credentials[0]!.client, credentials);
      assert.deepEqual(made, referenceFile(`ccache-received-${name}`));
    });
  }
});

describe("any cache", () => {
  test("survives formatting and parsing", () => {
    fc.assert(fc.property(ccache, (each) => {
      const bytes = formatCcache(each.principal, each.credentials);
      assert.deepEqual(parseCcache(bytes), each);
    }));
  });

  test("truncated is refused, or has fewer credentials", () => {
    fc.assert(
      fc.property(ccache, (each) => {
        const bytes = formatCcache(each.principal, each.credentials);
        let whole = 0;
        for (let length = 0; length < bytes.length; length++) {
          try {
            const read = parseCcache(bytes.subarray(0, length));
            assert.deepEqual(read.credentials, each.credentials.slice(0, whole++));
          } catch (error) {
            assert(error instanceof AuksError && error.error === "KRB5_CCACHE_READ", `${error}`);
          }
        }
        assert.equal(whole, each.credentials.length);
      }),
      { numRuns: 20 },
    );
  });

  test("with any byte changed is refused or parsed", () => {
    fc.assert(
      fc.property(ccache, fc.integer({ min: 1, max: 255 }), (each, change) => {
        const bytes = formatCcache(each.principal, each.credentials);
        for (let at = 0; at < bytes.length; at++) {
          const changed = bytes.slice();
          changed[at]! ^= change;
          try {
            parseCcache(changed);
          } catch (error) {
            assert(error instanceof AuksError && error.error === "KRB5_CCACHE_READ", `${error}`);
          }
        }
      }),
      { numRuns: 20 },
    );
  });

  test("random bytes are refused", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 99 }), (bytes) => isRefused(bytes)));
  });
});

describe("a file that is no version 4 cache", () => {
  for (
    const [bytes, reason] of [
      [[], /it is empty/],
      [[5], /cut off/],
      [[5, 3, 0, 0], /it begins with 0x503/],
      [[5, 4, 0, 9, 0], /cut off/],
      // Billions of missing components.
      [[5, 4, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 0, 0, 0, 1, 65], /cut off/],
      [[5, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 255, 255, 255, 255, 65], /cut off/],
      [[5, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 255], /not UTF-8/],
    ] as const
  ) {
    test(`of the bytes ${bytes.join(" ")} is refused with the reason`, () =>
      isRefused(Uint8Array.from(bytes), reason));
  }

  test("is not parsed at all if it is too long", () => {
    isRefused(new Uint8Array(MAX_CCACHE_LENGTH + 1), /it has 1048577 bytes/);
  });
});

describe("AUKS takes out of a cache", () => {
  const [template] = fc.sample(cached, { numRuns: 1, seed: 1 });
  const bob = parsePrincipal("bob@REALM.A");
  const taken = (...servers: string[]) => {
    const credentials = servers.map((server, i) => ({
      ...template!,
      client: bob,
      server: parsePrincipal(server),
      endtime: 100 + i,
    }));
    return tgtsOf({ principal: bob, credentials }).map(({ endtime }) => endtime - 100);
  };
  const own = "krbtgt/REALM.A@REALM.A";
  const other = "krbtgt/REALM.B@REALM.A";

  test("the first ticket for the client's realm, and the first one for another", () => {
    assert.deepEqual(taken("host/x@REALM.A", own, own), [1]);
    assert.deepEqual(taken(other, "host/x@REALM.A", own, "krbtgt/REALM.C@REALM.A"), [2, 0]);
  });

  test("nothing without a ticket of the client's realm", () => {
    assert.deepEqual(taken(other), []);
    assert.deepEqual(taken(), []);
    assert.deepEqual(taken("krbtgt/REALM.A@REALM.B"), []);
  });

  test("no ticket that was removed, which libkrb5 leaves with an end of 0", () => {
    const server = parsePrincipal(own);
    const credentials = [0, 7].map((endtime) => ({ ...template!, client: bob, server, endtime }));
    assert.deepEqual(tgtsOf({ principal: bob, credentials }), credentials.slice(1));
  });

  test("no ticket of another client", () => {
    const client = parsePrincipal("alice@REALM.A");
    const credentials = [{ ...template!, client, server: parsePrincipal(own), endtime: 7 }];
    assert.deepEqual(tgtsOf({ principal: bob, credentials }), []);
  });
});
