// auksd with a KDC's tickets: every request by every role, what is stored, what is refused and why, and CacheDir as
// other programs see it.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { frame } from "../../daemon/auksd/frames.ts";
import type { Reason } from "../../lib/auks/reasons.ts";
import { parseReply, type Reply } from "../../lib/auks/reply.ts";
import { formatRequest, type Request } from "../../lib/auks/request.ts";
import { Context } from "../../lib/krb5/context.ts";
import { makeKrbCred } from "../../lib/krb5/credential.ts";
import { CredentialCache } from "../../lib/krb5/credential_cache.ts";
import { until } from "../harness/until.ts";
import { suite } from "../suite.ts";
import { Auksd, type AuksdOptions, SANDBOX_NEEDS } from "./auksd.ts";
import { madeUpKrbCred, Speaker } from "./conversation.ts";
import { freePort, Kdc, KDC_NEEDS } from "./kdc.ts";
import { RawConnection } from "./wire.ts";

const ACL = `
rule { principal = ^host/compute[.]realm[.]a@REALM[.]A$ ; host = * ; role = admin ; }
rule { principal = ^bob@REALM[.]A$ ; host = localhost ; role = user ; }
rule { principal = ^ghost@REALM[.]A$ ; host = 127.0.0.1 ; role = guest ; }
rule { principal = ^alice@REALM[.]A$ ; host = 192.0.2.1 ; role = admin ; }
rule { principal = ^alice@REALM[.]A$ ; host = * ; role = user ; }
`;
const UID = { alice: 2001, bob: 2000, carol: 2002 } as const;
const ACCOUNTS = { root: 0, ...UID };

suite("auksd", { ...KDC_NEEDS, ...SANDBOX_NEEDS }, () => {
  let kdc: Kdc;
  let context: Context;
  let auksd: Auksd;
  const speakers: Record<string, Speaker> = {};

  function options(more: Partial<AuksdOptions> = {}): AuksdOptions {
    return {
      keytab: kdc.keytab("host/mngt.realm.a"),
      env: kdc.env,
      accounts: ACCOUNTS,
      acl: ACL,
      ...more,
    };
  }

  before(async () => {
    kdc = await Kdc.start();
    kdc.enter();
    for (const user of ["alice", "bob", "ghost"]) kdc.login(user, ["-r", "7d"]);
    kdc.loginService("host/compute.realm.a", "admin");
    kdc.loginService("host/login.realm.a", "login");
    context = Context.open();
    for (const name of ["alice", "bob", "ghost", "admin", "login"]) {
      speakers[name] = new Speaker(context, kdc.cache(name));
    }
    auksd = await Auksd.start(options());
  });

  after(async () => {
    await auksd.stop();
    context.close();
    await kdc.stop();
  });

  const ask = (who: string, request: Request, daemon = auksd) =>
    speakers[who]!.ask(daemon.port, request);

  /** The KRB-CRED of kinit's TGT. */
  function tgtOf(user: string): Uint8Array {
    using cache = CredentialCache.resolve(context, kdc.cache(user));
    const credentials = cache.credentials();
    const tgt = credentials.find(({ server }) => server === "krbtgt/REALM.A@REALM.A")!;
    const message = makeKrbCred(context, [tgt]);
    for (const credential of credentials) credential.free();
    return message;
  }

  async function refused(who: string, request: Request, reason: Reason, daemon = auksd) {
    const reply = await ask(who, request, daemon);
    assert.equal(reply.type, "error");
    assert.equal(reply.type === "error" && reply.reason, reason);
  }

  it("every client with a role may ping; one without is disconnected", async () => {
    for (const who of ["alice", "bob", "ghost", "admin"]) {
      assert.deepEqual(await ask(who, { type: "ping" }), { type: "ping" });
    }
    assert.deepEqual(await ask("bob", { type: "list" }), { type: "ping" });
    await assert.rejects(ask("login", { type: "ping" }), /auksd closed/);
    await auksd.logged(/access denied to host\/login\.realm\.a@REALM\.A, aborting/);
    await auksd.logged(/bob@REALM\.A from 127\.0\.0\.1 : ping request succeed/);
  });

  it("a user adds, gets and removes their own ticket, and gets a report", async () => {
    const krbCred = tgtOf("alice");
    const added = await ask("alice", { type: "add", krbCred });
    assert(added.type === "add");
    assert.equal(added.report!.outcome, "stored");
    assert.equal(added.report!.uid, UID.alice);
    const got = await ask("alice", { type: "get", uid: UID.alice });
    assert(got.type === "get");
    assert.equal(got.credential.principal, "alice@REALM.A");
    assert.equal(got.credential.endtime, added.report!.endtime);
    assert.deepEqual(got.credential.krbCred, krbCred);
    await refused("alice", { type: "get", uid: UID.bob }, "notFound");
    await refused("bob", { type: "get", uid: UID.alice }, "otherPrincipal");
    await refused("bob", { type: "remove", uid: UID.alice }, "otherPrincipal");
    await refused("alice", { type: "dump" }, "notAllowed");
    await refused("bob", { type: "add", krbCred }, "otherPrincipal");
    assert.deepEqual(await ask("alice", { type: "remove", uid: UID.alice }), { type: "remove" });
    await refused("alice", { type: "remove", uid: UID.alice }, "notFound");
    await auksd.logged(
      /audit: Accepted add: client="alice@REALM\.A" address=127\.0\.0\.1 principal="alice@REALM\.A" uid=2001 outcome=stored end=\d{4}-/,
    );
  });

  it("an admin does so for any user, and lists tickets in the original's order", async () => {
    for (const user of ["bob", "alice", "carol"]) {
      const reply = await ask("admin", { type: "add", krbCred: madeUpKrbCred(`${user}@REALM.A`) });
      assert.equal(reply.type, "add");
    }
    const dump = await ask("admin", { type: "dump" });
    assert(dump.type === "dump");
    assert.deepEqual(dump.credentials.map(({ uid }) => uid), [2000, 2001, 2002]);
    assert.equal(dump.dialect, "0.5");
    for (const uid of Object.values(UID)) {
      assert.equal((await ask("admin", { type: "get", uid })).type, "get");
      assert.equal((await ask("admin", { type: "remove", uid })).type, "remove");
    }
  });

  it("a guest may only add", async () => {
    await refused("ghost", { type: "add", krbCred: tgtOf("ghost") }, "noAccount");
    await ask("admin", { type: "add", krbCred: madeUpKrbCred("bob@REALM.A") });
    await refused("ghost", { type: "get", uid: UID.bob }, "notAllowed");
    await refused("ghost", { type: "remove", uid: UID.bob }, "notAllowed");
    await refused("ghost", { type: "dump" }, "notAllowed");
    await ask("admin", { type: "remove", uid: UID.bob });
  });

  it("a client that closes its side after its requests still gets the answers, and is then disconnected", async () => {
    const { connection, client } = await speakers["admin"]!.connect(auksd.port);
    const requests: Request[] = [
      { type: "add", krbCred: madeUpKrbCred("carol@REALM.A") },
      { type: "dump" },
      { type: "remove", uid: UID.carol },
    ];
    for (const request of requests) connection.send(frame(client.seal(formatRequest(request))));
    connection.socket.end();
    for (const { type } of requests) {
      assert.equal(parseReply(client.open(await connection.takeMessage())).type, type);
    }
    assert(await connection.closes());
    client.free();
  });

  it("an unsuitable ticket is refused with the reason", async () => {
    const add = (principal: string, more = {}): Request => ({
      type: "add",
      krbCred: madeUpKrbCred(principal, more),
    });
    const refusals: readonly (readonly [Request, Reason])[] = [
      [add("zoe@REALM.A"), "noAccount"],
      [add("host/bob.realm.a@REALM.A"), "noLocalName"],
      [add("bob@OTHER"), "notATgt"],
      [add("bob@REALM.A", { server: "host/x.realm.a@REALM.A" }), "notATgt"],
      [
        add("bob@REALM.A", { addresses: [{ type: 2, bytes: Uint8Array.of(127, 0, 0, 1) }] }),
        "addresses",
      ],
      [add("bob@REALM.A", { ticketLength: 32_500 }), "tooLarge"],
      [{ type: "add", krbCred: new Uint8Array(100) }, "notATicket"],
    ];
    for (const [request, reason] of refusals) await refused("admin", request, reason);
    assert.deepEqual(readdirSync(auksd.cacheDir).filter((name) => !name.startsWith(".")), []);
  });

  it("the better of two tickets stays, and an expired one never does", async () => {
    const now = Math.floor(Date.now() / 1000);
    const outcome = async (endtime: number, renewTill: number) => {
      const krbCred = madeUpKrbCred("bob@REALM.A", { endtime, renewTill });
      const reply = await ask("bob", { type: "add", krbCred });
      return reply.type === "add" ? reply.report!.outcome : reply.type;
    };
    assert.equal(await outcome(now + 2, now + 9000), "stored");
    assert.equal(await outcome(now + 1000, now + 8000), "kept");
    await until(
      "the first ticket has expired",
      async () => await outcome(now + 1000, 0) === "stored",
    );
    assert.equal(await outcome(now + 900, 0), "kept");
    assert.equal(await outcome(now + 1000, 0), "stored");
    await ask("bob", { type: "remove", uid: UID.bob });
  });

  it("CacheDir has files that klist can read, for the owner only, and a restart uses them again", async () => {
    const daemon = await Auksd.start(options());
    try {
      assert.equal(
        (await ask("alice", { type: "add", krbCred: tgtOf("alice") }, daemon)).type,
        "add",
      );
      const file = join(daemon.cacheDir, "aukscc_2001");
      assert.equal(statSync(file).mode & 0o777, 0o600);
      const listed = execFileSync("klist", ["-c", file], { env: kdc.env, encoding: "utf8" });
      assert.match(listed, /Default principal: alice@REALM\.A[^]*krbtgt\/REALM\.A@REALM\.A/);
      daemon.signal("SIGKILL");
      await daemon.ended();
      await daemon.start();
      const got = await ask("alice", { type: "get", uid: UID.alice }, daemon);
      assert.equal(got.type === "get" && got.credential.principal, "alice@REALM.A");
      assert.equal((await ask("alice", { type: "remove", uid: UID.alice }, daemon)).type, "remove");
      assert.deepEqual(readdirSync(daemon.cacheDir).filter((name) => !name.startsWith(".")), []);
    } finally {
      await daemon.stop();
    }
  });

  it("a ticket whose user the name service did not know at startup is loaded once it does", async () => {
    const daemon = await Auksd.start(options());
    await ask("alice", { type: "add", krbCred: tgtOf("alice") }, daemon);
    daemon.signal("SIGTERM");
    await daemon.ended();
    const late = await Auksd.start(options({
      cacheDir: daemon.cacheDir,
      accounts: { root: 0, bob: UID.bob },
      auksd: "CleanDelay = 1 ;",
    }));
    try {
      await refused("alice", { type: "get", uid: UID.alice }, "notFound", late);
      assert.match(late.log, /not loaded: aukscc_2001: .*alice/);
      appendFileSync(join(late.directory, "passwd"), `alice:x:${UID.alice}:0::/:/bin/sh\n`);
      let reply: Reply | undefined;
      for (let attempt = 0; attempt < 600 && reply?.type !== "get"; attempt++) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        reply = await ask("alice", { type: "get", uid: UID.alice }, late);
      }
      assert.equal(reply?.type, "get");
      assert.equal(late.log.match(/not loaded/g)?.length, 1);
    } finally {
      await late.stop();
      await daemon.stop();
    }
  });

  it("HUP with another CacheDir moves the tickets there, unless another auksd uses it", async () => {
    const daemon = await Auksd.start(options());
    const other = await Auksd.start(options());
    try {
      await ask("alice", { type: "add", krbCred: tgtOf("alice") }, daemon);
      const port = await freePort();
      const common = `PrimaryPort = ${port} ;`;
      let from = daemon.log.length;
      daemon.configure(options({ common, auksd: `CacheDir = ${other.cacheDir} ;` }));
      daemon.signal("SIGHUP");
      await daemon.logged(/SIGHUP changes nothing: .*uses/, from);
      await assert.rejects(RawConnection.open(port), /ECONNREFUSED/);
      await other.stop();

      from = daemon.log.length;
      mkdirSync(other.cacheDir, { mode: 0o700, recursive: true });
      daemon.configure(options({ auksd: `CacheDir = ${other.cacheDir} ;` }));
      daemon.signal("SIGHUP");
      await daemon.logged(/creds removed/, from);
      const file = join(other.cacheDir, "aukscc_2001");
      for (let attempt = 0; attempt < 3000 && !existsSync(file); attempt++) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const listed = execFileSync("klist", ["-c", file], { env: kdc.env, encoding: "utf8" });
      assert.match(listed, /Default principal: alice@REALM\.A/);
    } finally {
      await daemon.stop();
      rmSync(other.directory, { recursive: true, force: true });
    }
  });

  it("a real daemon's directory is taken over", async () => {
    const files = join(import.meta.dirname, "reference/files");
    const folders = readdirSync(files).filter((name) => name.startsWith("cachedir-"));
    assert.equal(folders.length, 2);
    for (const folder of folders) {
      const cacheDir = mkdtempSync(join(tmpdir(), "mungebox-cachedir-"));
      cpSync(join(files, folder), cacheDir, { recursive: true });
      const expected = readdirSync(cacheDir).filter((name) => name.startsWith("aukscc_"))
        .map((name) => Number(name.slice(7))).sort();
      const clock = 1_795_689_451;
      const accounts = { ...ACCOUNTS, dave: 2003, erin: 2004 };
      const daemon = await Auksd.start(
        options({ cacheDir, accounts, clock, auksd: "CleanDelay = 9999 ;" }),
      );
      try {
        await daemon.logged(/creds removed/);
        const left = readdirSync(cacheDir).filter((name) => name.startsWith("aukscc_"));
        assert.deepEqual(left.map((name) => Number(name.slice(7))).sort(), expected, daemon.log);
        assert.doesNotMatch(daemon.log, /not loaded/);
      } finally {
        await daemon.stop();
        rmSync(cacheDir, { recursive: true });
      }
    }
  });

  it("a directory that can't be written: ADD is refused, and GET finds nothing", async () => {
    const daemon = await Auksd.start(options());
    try {
      rmSync(daemon.cacheDir, { recursive: true });
      await refused(
        "bob",
        { type: "add", krbCred: madeUpKrbCred("bob@REALM.A") },
        "notSaved",
        daemon,
      );
      await refused("bob", { type: "get", uid: UID.bob }, "notFound", daemon);
    } finally {
      await daemon.stop();
    }
  });

  it("serves IPv6 as well as IPv4, with addresses in the messages", async () => {
    const daemon = await Auksd.start(options({ common: `PrimaryAddress = "" ;` }));
    try {
      for (const host of ["127.0.0.1", "::1"]) {
        assert.deepEqual(await speakers["alice"]!.ask(daemon.port, { type: "ping" }, host), {
          type: "ping",
        });
      }
      await daemon.logged(/alice@REALM\.A from ::1 : ping request succeed/);
    } finally {
      await daemon.stop();
    }
  });

  it("a new keytab is read automatically when a client's ticket needs it", async () => {
    const keytab = join(kdc.directory, "copy.keytab");
    cpSync(kdc.keytab("host/login.realm.a"), keytab);
    const daemon = await Auksd.start(options({ keytab }));
    try {
      await daemon.logged(/has no key for host\/mngt\.realm\.a@REALM\.A/);
      await assert.rejects(ask("alice", { type: "ping" }, daemon), /auksd refuses/);
      rmSync(keytab);
      cpSync(kdc.keytab("host/mngt.realm.a"), keytab);
      assert.deepEqual(await ask("alice", { type: "ping" }, daemon), { type: "ping" });
    } finally {
      await daemon.stop();
    }
  });

  it("a keytab that is overwritten in place is read again, even if it looks as old as before", async () => {
    const keytab = join(kdc.directory, "overwritten.keytab");
    const old = new Date("2026-01-01");
    cpSync(kdc.keytab("host/login.realm.a"), keytab);
    utimesSync(keytab, old, old);
    const daemon = await Auksd.start(options({ keytab }));
    try {
      await assert.rejects(ask("alice", { type: "ping" }, daemon), /auksd refuses/);
      writeFileSync(keytab, readFileSync(kdc.keytab("host/mngt.realm.a")));
      utimesSync(keytab, old, old);
      assert.deepEqual(await ask("alice", { type: "ping" }, daemon), { type: "ping" });
    } finally {
      await daemon.stop();
    }
  });

  it("a keytab that was damaged is reported, and refuses only clients that need another key", async () => {
    const keytab = join(kdc.directory, "damaged.keytab");
    cpSync(kdc.keytab("host/login.realm.a"), keytab);
    const daemon = await Auksd.start(options({ keytab }));
    try {
      writeFileSync(keytab, "damaged");
      for (let at = 0; at < 2; at++) {
        await assert.rejects(ask("alice", { type: "ping" }, daemon), /auksd refuses/);
      }
      await daemon.logged(/cause=45 .*the new keytab can't be read: Unsupported key table format/);
      assert.doesNotMatch(daemon.log, /failed to serve/);
      writeFileSync(keytab, readFileSync(kdc.keytab("host/mngt.realm.a")));
      assert.deepEqual(await ask("alice", { type: "ping" }, daemon), { type: "ping" });
    } finally {
      await daemon.stop();
    }
  });

  it("writes metrics for Prometheus", async () => {
    const metricsFile = join(kdc.directory, "auksd.prom");
    const daemon = await Auksd.start(options({ own: `MetricsFile = ${metricsFile} ;` }));
    try {
      await daemon.logged(/creds removed/);
      const text = readFileSync(metricsFile, "utf8");
      assert.match(text, /^auksd_credentials 0$/m);
      assert.match(text, /^# TYPE auksd_accepted_connections_total counter$/m);
    } finally {
      await daemon.stop();
    }
    assert.throws(() => statSync(metricsFile));
  });

  it("a hanging name service delays only the clients that need it", async () => {
    const daemon = await Auksd.start(options({ hangingAccounts: true }));
    try {
      let isAnswered = false;
      const added: Promise<Reply> = ask("alice", { type: "add", krbCred: tgtOf("alice") }, daemon);
      void added.then(() => isAnswered = true);
      for (let at = 0; at < 20; at++) {
        assert.deepEqual(await ask("alice", { type: "ping" }, daemon), { type: "ping" });
      }
      // Nor does it hold up a reload, which looks up the hosts of the ACL; and the reload does not end the wait.
      const from = daemon.log.length;
      daemon.signal("SIGHUP");
      await daemon.logged(/initialization succeed/, from);
      assert.deepEqual(await ask("bob", { type: "ping" }, daemon), { type: "ping" });
      assert(!isAnswered, "the others did not wait for the name service");
      const reply = await added;
      assert.equal(reply.type === "error" && reply.reason, "other");
      assert.match(reply.type === "error" ? reply.text : "", /name service does not answer/);
    } finally {
      await daemon.stop();
    }
  });
});
