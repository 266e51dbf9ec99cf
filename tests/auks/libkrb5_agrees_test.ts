// lib/auks against libkrb5: generated principals and KRB-CREDs mean the same to both, and libkrb5
// accepts every damaged one that ours accepts.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import fc from "fast-check";
import type { Credential } from "../../lib/auks/credential.ts";
import { AuksError } from "../../lib/auks/errors.ts";
import { parseKrbCred } from "../../lib/auks/krb_cred.ts";
import { formatKrbCred } from "../../lib/auks/krb_cred_writer.ts";
import { formatPrincipal, parsePrincipal } from "../../lib/auks/principal.ts";
import { parseSendFile } from "../../lib/auks/send_file.ts";
import { Context, KerberosError } from "../../lib/krb5/context.ts";
import { makeKrbCred, readKrbCred } from "../../lib/krb5/credential.ts";
import { Principal } from "../../lib/krb5/principal.ts";
import { cString, openLibc, ptr } from "../../lib/os/libc.ts";
import { mutate, Random } from "../fuzz/mutate.ts";
import { krbCred, principal } from "../lib/auks/arbitraries.ts";
import { referenceFile } from "../lib/auks/reference.ts";
import { suite } from "../suite.ts";

const RUNS = 2000;

suite("lib/auks and libkrb5", { "krb5-user": existsSync("/usr/bin/kinit") }, () => {
  let folder = "";
  let context: Context;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "auks-libkrb5-"));
    const file = join(folder, "krb5.conf");
    writeFileSync(file, "[libdefaults]\ndefault_realm = REALM.A\ndns_lookup_kdc = false\n");
    const { setenv } = openLibc({ setenv: { args: ["ptr", "ptr", "i32"], returns: "i32" } });
    setenv(ptr(cString("KRB5_CONFIG")), ptr(cString(file)), 1);
    context = Context.open();
  });
  after(() => {
    context.close();
    rmSync(folder, { recursive: true });
  });

  /** A name as parsed by libkrb5; undefined if it refuses it. */
  function theirs(name: string): { text: string; realm: string; components: string[] } | undefined {
    try {
      using parsed = Principal.parse(context, name);
      return { text: parsed.text, realm: parsed.realm, components: parsed.components };
    } catch (error) {
      if (error instanceof KerberosError) return undefined;
      throw error;
    }
  }

  test("principals are written and read the same", () => {
    fc.assert(
      fc.property(principal, (each) => {
        const text = formatPrincipal(each);
        const { realm, components } = each;
        assert.deepEqual(theirs(text), { text, realm, components });
      }),
      { numRuns: RUNS },
    );
  });

  test("names of any kind are accepted or refused the same", () => {
    const name = fc.array(fc.constantFrom(..."ab/@\\n0t", "REALM.A"), { maxLength: 8 })
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(name, (each) => {
        const found = theirs(each);
        let ours;
        try {
          const { realm, components } = parsePrincipal(each, "REALM.A");
          ours = { realm, components: [...components] };
        } catch (error) {
          assert(error instanceof AuksError, `${error}`);
        }
        // An empty realm counts as none.
        const isSame = found !== undefined && found.realm !== "";
        const { realm, components } = found ?? { realm: "", components: [] };
        assert.deepEqual(ours, isSame ? { realm, components } : undefined);
      }),
      { numRuns: RUNS },
    );
  });

  const describeOurs = (credential: Credential) => ({
    client: formatPrincipal(credential.client),
    server: formatPrincipal(credential.server),
    times: [credential.authtime, credential.starttime, credential.endtime, credential.renewTill],
    flags: credential.flags,
    enctype: credential.key.enctype,
    addresses: credential.addresses,
    ticket: credential.ticket,
  });

  /** The contents that libkrb5 reads from a KRB-CRED, and the KRB-CRED that it makes from them. */
  function reread(bytes: Uint8Array) {
    const credentials = readKrbCred(context, bytes);
    try {
      const described = credentials.map((each) => ({
        client: each.client,
        server: each.server,
        times: [each.authTime, each.startTime, each.endTime, each.renewTill],
        flags: each.flags,
        enctype: each.keyEnctype,
        addresses: each.addresses,
        ticket: each.ticket,
      }));
      return { described, made: makeKrbCred(context, credentials) };
    } finally {
      for (const each of credentials) each.free();
    }
  }

  test("KRB-CREDs mean the same, and survive a round trip", () => {
    // libkrb5 omits an end time of 0, and ours then refuses the KRB-CRED.
    const ending = krbCred.filter(({ credentials }) =>
      credentials.every(({ endtime }) => endtime > 0)
    );
    fc.assert(
      fc.property(ending, (cred) => {
        const { described, made } = reread(formatKrbCred(cred));
        assert.deepEqual(described, cred.credentials.map(describeOurs));
        assert.deepEqual(parseKrbCred(made).credentials, cred.credentials);
      }),
      { numRuns: 300 },
    );
  });

  test("libkrb5 accepts every damaged KRB-CRED that ours accepts", () => {
    const corpus = ["send-bob", "send-carol-two-tgts"]
      .map((name) => parseSendFile(referenceFile(name)).krbCred);
    const random = new Random(16);
    let accepted = 0;
    for (let i = 0; i < 10 * RUNS; i++) {
      const bytes = mutate(corpus, random);
      let ours;
      try {
        ours = parseKrbCred(bytes);
      } catch (error) {
        assert(error instanceof AuksError, `${error}`);
        continue;
      }
      const { described } = reread(bytes);
      assert.deepEqual(
        described.map(({ client }) => client),
        ours.credentials.map(({ client }) => formatPrincipal(client)),
      );
      accepted++;
    }
    assert(accepted > 100, `${accepted}`);
  });
});
