// lib/krb5 with libkrb5 and a KDC: calls every wrapper and compares the results with Kerberos's own programs.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import {
  ClientAuthentication,
  DUMMY_ADDRESS,
  ReplayCache,
  ServerAuthentication,
} from "../../lib/krb5/authentication.ts";
import { formatCcache } from "../../lib/auks/ccache_writer.ts";
import { Context, KerberosError, KRB5 } from "../../lib/krb5/context.ts";
import {
  type Credential,
  makeKrbCred,
  readKrbCred,
  TICKET_FLAGS,
} from "../../lib/krb5/credential.ts";
import { CredentialCache, supportsSwitch } from "../../lib/krb5/credential_cache.ts";
import { Keytab, type KeytabEntry } from "../../lib/krb5/keytab.ts";
import { openLibrary } from "../../lib/krb5/library.ts";
import { Principal } from "../../lib/krb5/principal.ts";
import {
  forwardedTicket,
  initialTicket,
  renewedTicket,
  serviceTicket,
} from "../../lib/krb5/tickets.ts";
import { KerberosUnavailable } from "../../lib/krb5/unavailable.ts";
import { suite } from "../suite.ts";
import { Kdc, KDC_NEEDS } from "./kdc.ts";

const LOOPBACK = { type: 2, bytes: Uint8Array.of(127, 0, 0, 1) };
const SERVICE = "host/mngt.realm.a@REALM.A";

suite("lib/krb5", KDC_NEEDS, () => {
  let kdc: Kdc;
  let context: Context;
  let principal: Principal;

  before(async () => {
    kdc = await Kdc.start({
      realmLines: ["auth_to_local = RULE:[1:m.$1](^m\\.bob$)", "auth_to_local = DEFAULT"],
    });
    kdc.enter();
    kdc.login("alice", ["-r", "7d", "-f"]);
    context = Context.open();
    principal = Principal.parse(context, "alice");
  });

  after(async () => {
    principal.free();
    context.close();
    await kdc.stop();
  });

  /** Whether a ticket is for so many seconds, less those that had passed when the KDC made it. */
  const isLifetime = ({ startTime, endTime }: Credential, seconds: number) =>
    endTime - startTime <= seconds && endTime - startTime > seconds - 60;

  it("a missing or outdated library gives one clear line", () => {
    assert.throws(
      () => openLibrary("libkrb5-of-nobody.so.3"),
      (error: Error) =>
        error instanceof KerberosUnavailable && !error.message.includes("\n") &&
        /^Failed to load the Kerberos library: libkrb5-of-nobody.so.3: .*; install MIT Kerberos 1\.18/
          .test(error.message),
    );
    assert.throws(
      () => openLibrary("libk5crypto.so.3"),
      {
        message: /^The Kerberos library libk5crypto.so.3 is too old: it lacks krb5_init_context; /,
      },
    );
  });

  it("no library in the current directory is ever loaded", () => {
    const file = kdc.cache("libkrb5-of-nobody.so.3");
    execFileSync("cp", ["/bin/true", file]);
    const script = `import { openLibrary } from ${
      JSON.stringify(join(import.meta.dirname, "../../lib/krb5/library.ts"))
    }; try { openLibrary("libkrb5-of-nobody.so.3"); } catch (error) { console.log(error.message); }`;
    const said = execFileSync(process.execPath, ["-e", script], {
      cwd: kdc.cache(""),
      encoding: "utf8",
    });
    assert.match(said, /cannot open shared object file/);
    assert.doesNotMatch(said, /caches/);
  });

  it("principals: text, parts and local names", () => {
    using host = Principal.parse(context, "host/node\\/1@OTHER");
    assert.equal(host.text, "host/node\\/1@OTHER");
    assert.equal(host.realm, "OTHER");
    assert.deepEqual(host.components, ["host", "node/1"]);
    assert.equal(host.localName(), null);
    assert.equal(principal.text, "alice@REALM.A");
    assert.equal(principal.localName(), "alice");
    using bob = Principal.parse(context, "bob");
    assert.equal(bob.localName(), "m.bob");
    assert.equal(context.defaultRealm, "REALM.A");
    assert.throws(() => Principal.parse(context, "a@b@c"), KerberosError);
  });

  it("principals that are not UTF-8 are refused: replaced bytes would make different ones equal", () => {
    const bob = { realm: "REALM.A", components: ["b0b"], nameType: 1 };
    const path = kdc.cache("not-utf8");
    for (const byte of [0xfe, 0xff]) {
      const file = formatCcache(bob, []);
      file[file.lastIndexOf("0".charCodeAt(0))] = byte;
      writeFileSync(path, file);
      using cache = CredentialCache.resolve(context, path);
      using found = cache.principal();
      for (const read of [() => found.text, () => found.components]) {
        assert.throws(
          read,
          (error) => error instanceof KerberosError && /UTF-8/.test(error.message),
        );
      }
      assert.equal(found.realm, "REALM.A");
    }
    // Names in UTF-8 stay unchanged, even with these characters.
    const name = "b\ufffdb\ufeff@REALM.A";
    using parsed = Principal.parse(context, name);
    assert.equal(parsed.text, name);
  });

  it("credential caches: what kinit stored, and what klist finds afterwards", () => {
    using cache = CredentialCache.resolve(context, kdc.cache("alice"));
    assert.equal(cache.type, "FILE");
    assert.equal(cache.name, `FILE:${kdc.cache("alice")}`);
    using owner = cache.principal();
    assert.equal(owner.text, "alice@REALM.A");
    const [tgt, ...others] = cache.credentials();
    assert.equal(others.length, 0);
    using credential = tgt!;
    assert.equal(credential.client, "alice@REALM.A");
    assert.equal(credential.server, "krbtgt/REALM.A@REALM.A");
    assert(isLifetime(credential, 86_400));
    assert(credential.renewTill > credential.endTime);
    assert(credential.flags & TICKET_FLAGS.forwardable && credential.flags & TICKET_FLAGS.initial);
    assert.deepEqual(credential.addresses, []);
    assert(credential.ticket.length > 100);

    const unique = CredentialCache.unique(context, "MEMORY");
    unique.initialize(owner);
    unique.store(credential);
    const target = CredentialCache.resolve(context, `FILE:${kdc.cache("moved")}`);
    unique.moveTo(target);
    const listed = execFileSync("klist", ["-c", kdc.cache("moved")], { encoding: "utf8" });
    assert.match(listed, /Default principal: alice@REALM\.A[^]*krbtgt\/REALM\.A@REALM\.A/);
    target.destroy();
    assert.throws(() => execFileSync("klist", ["-c", kdc.cache("moved")], { stdio: "ignore" }));
    assert.equal(supportsSwitch(context, "FILE"), false);
    assert.equal(supportsSwitch(context, "DIR"), true);
    using collection = CredentialCache.resolve(context, `DIR::${kdc.cache("tkt1")}`);
    collection.initialize(owner);
    collection.switchTo();
    assert.equal(readFileSync(kdc.cache("primary"), "utf8"), "tkt1\n");
  });

  it("unusable caches give the library's error codes", () => {
    const code = (wanted: number) => (error: unknown) =>
      error instanceof KerberosError && error.code === wanted && error.message !== "";
    assert.throws(() => CredentialCache.resolve(context, "FISH:x"), code(KRB5.CC_UNKNOWN_TYPE));
    using missing = CredentialCache.resolve(context, kdc.cache("missing"));
    assert.throws(() => missing.principal(), code(KRB5.FCC_NOFILE));
    assert.throws(() => missing.credentials(), code(KRB5.FCC_NOFILE));
  });

  it("keytabs: entries, and an in-memory copy that works without the file", () => {
    using keytab = Keytab.resolve(context, kdc.keytab("host/compute.realm.a"));
    assert.deepEqual(
      [...new Set(keytab.entries().map(({ principal, version }) => `${principal} ${version}`))],
      ["host/compute.realm.a@REALM.A 2"],
    );
    using copy = keytab.copyToMemory();
    const byEnctype = (one: KeytabEntry, other: KeytabEntry) => one.enctype - other.enctype;
    assert.deepEqual(copy.entries().sort(byEnctype), keytab.entries().sort(byEnctype));
    using missing = Keytab.resolve(context, kdc.keytab("nobody"));
    assert.throws(() => missing.entries(), KerberosError);
    assert.throws(() => missing.copyToMemory(), KerberosError);
  });

  it("initial tickets from a keytab, forwarded and renewed ones", () => {
    using service = Principal.parse(context, "host/compute.realm.a");
    using keytab = Keytab.resolve(context, kdc.keytab("host/compute.realm.a"));
    using first = initialTicket(context, service, keytab, { lifetime: 1000, renewLifetime: 5000 });
    assert.equal(first.client, "host/compute.realm.a@REALM.A");
    assert(isLifetime(first, 1000));
    using renewed = renewedTicket(context, first);
    assert.equal(renewed.renewTill, first.renewTill);
    assert(renewed.endTime >= first.endTime);
    using forwarded = forwardedTicket(context, first);
    assert(forwarded.flags & TICKET_FLAGS.forwarded);
    assert.equal(forwarded.server, "krbtgt/REALM.A@REALM.A");
  });

  it("KRB-CRED: round trips, truncated and altered", () => {
    using cache = CredentialCache.resolve(context, kdc.cache("alice"));
    using tgt = cache.credentials()[0]!;
    const message = makeKrbCred(context, [tgt, tgt]);
    const [one, two, ...rest] = readKrbCred(context, message);
    assert.equal(rest.length, 0);
    assert.deepEqual(one!.ticket, tgt.ticket);
    assert.equal(two!.renewTill, tgt.renewTill);
    assert.deepEqual(makeKrbCred(context, [one!]).length, makeKrbCred(context, [tgt]).length);
    one!.free();
    two!.free();
    for (let length = 0; length < message.length; length += 7) {
      assert.throws(() => readKrbCred(context, message.subarray(0, length)), KerberosError);
    }
  });

  function authenticate() {
    using cache = CredentialCache.resolve(context, kdc.cache("alice"));
    using server = Principal.parse(context, SERVICE);
    using keytab = Keytab.resolve(context, kdc.keytab("host/mngt.realm.a"));
    using keys = keytab.copyToMemory();
    using ticket = serviceTicket(context, cache, server);
    assert.equal(ticket.server, SERVICE);
    const client = new ClientAuthentication(context);
    const request = client.request(ticket);
    const accept = (name: "dfl:" | "none:") =>
      ServerAuthentication.accept(context, request, server, keys, new ReplayCache(context, name));
    const service = accept("dfl:");
    assert.throws(
      () => accept("dfl:"),
      (error) => error instanceof KerberosError && error.protocolCode === 34,
    );
    accept("none:").free();
    assert.equal(service.client, "alice@REALM.A");
    assert.equal(service.wantsReply, true);
    client.readReply(service.reply());
    return { client, service };
  }

  it("both halves of the exchange: messages both ways, in order, from the right address", () => {
    const { client, service } = authenticate();
    client.setAddresses(LOOPBACK, LOOPBACK);
    service.setAddresses(DUMMY_ADDRESS, DUMMY_ADDRESS);
    const first = client.seal(Uint8Array.of(1, 2, 3, 4));
    assert.equal(first.length, 109);
    assert.throws(
      () => service.open(first),
      (error) => error instanceof KerberosError && error.protocolCode === 38,
    );
    service.setAddresses(LOOPBACK, LOOPBACK);
    assert.deepEqual(service.open(first), Uint8Array.of(1, 2, 3, 4));
    assert.throws(
      () => service.open(first),
      (error) => error instanceof KerberosError && error.protocolCode === 42,
    );
    const long = new Uint8Array(100_000).fill(7);
    assert.deepEqual(client.open(service.seal(long)), long);
    const second = client.seal(new Uint8Array(0));
    second[50]! ^= 1;
    assert.throws(() => service.open(second), KerberosError);
    client.free();
    service.free();
  });

  it("memory does not grow with the number of exchanges", () => {
    const resident = () =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]);
    const turn = (times: number) => {
      for (let at = 0; at < times; at++) {
        const { client, service } = authenticate();
        client.free();
        service.free();
        if (at % 200 === 199) Bun.gc(true); // as auksd does
      }
    };
    turn(2000);
    // What other tests have left to the garbage collector comes and goes; what leaks does so in every round.
    const grown: number[] = [];
    do {
      assert(grown.length < 5, `${grown.join(", ")} KB`);
      const before = resident();
      turn(4000);
      grown.push(resident() - before);
    } while (grown.at(-1)! >= 4000);
  });
});
