// auksd with a KDC's tickets: every request by every role, what is stored, and what is refused and why.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { frame } from "../../daemon/auksd/frames.ts";
import type { Reason } from "../../lib/auks/reasons.ts";
import { parseReply, type Reply } from "../../lib/auks/reply.ts";
import { formatRequest, type Request } from "../../lib/auks/request.ts";
import { until } from "../harness/until.ts";
import { suite } from "../suite.ts";
import { Auksd, SANDBOX_NEEDS } from "./auksd.ts";
import { AuksdSite, UID } from "./auksd_site.ts";
import { syntheticKrbCred } from "./conversation.ts";
import { type Kdc, KDC_NEEDS } from "./kdc.ts";

suite("auksd", { ...KDC_NEEDS, ...SANDBOX_NEEDS }, () => {
  let site: AuksdSite;
  let kdc: Kdc;
  let auksd: Auksd;

  before(async () => {
    site = await AuksdSite.start();
    kdc = site.kdc;
    auksd = await Auksd.start(site.options());
  });

  after(async () => {
    await auksd?.stop();
    await site?.stop();
  });

  const ask = (who: string, request: Request, daemon = auksd) => site.ask(who, request, daemon);
  const refused = (who: string, request: Request, reason: Reason) =>
    site.refused(who, request, reason, auksd);

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
    const krbCred = site.tgtOf("alice");
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
      const reply = await ask("admin", {
        type: "add",
        krbCred: syntheticKrbCred(`${user}@REALM.A`),
      });
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
    await refused("ghost", { type: "add", krbCred: site.tgtOf("ghost") }, "noAccount");
    await ask("admin", { type: "add", krbCred: syntheticKrbCred("bob@REALM.A") });
    await refused("ghost", { type: "get", uid: UID.bob }, "notAllowed");
    await refused("ghost", { type: "remove", uid: UID.bob }, "notAllowed");
    await refused("ghost", { type: "dump" }, "notAllowed");
    await ask("admin", { type: "remove", uid: UID.bob });
  });

  it("a client that closes its side after its requests still gets the answers, and is then disconnected", async () => {
    const { connection, client } = await site.speakers["admin"]!.connect(auksd.port);
    const requests: Request[] = [
      { type: "add", krbCred: syntheticKrbCred("carol@REALM.A") },
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
      krbCred: syntheticKrbCred(principal, more),
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
      const krbCred = syntheticKrbCred("bob@REALM.A", { endtime, renewTill });
      const reply = await ask("bob", { type: "add", krbCred });
      return reply.type === "add" ? reply.report!.outcome : reply.type;
    };
    assert.equal(await outcome(now + 8, now + 9000), "stored");
    assert.equal(await outcome(now + 1000, now + 8000), "kept");
    await until(
      "the first ticket has expired",
      async () => await outcome(now + 1000, 0) === "stored",
    );
    assert.equal(await outcome(now + 900, 0), "kept");
    assert.equal(await outcome(now + 1000, 0), "stored");
    await ask("bob", { type: "remove", uid: UID.bob });
  });

  it("serves IPv6 as well as IPv4, with addresses in the messages", async () => {
    const daemon = await Auksd.start(site.options({ common: `PrimaryAddress = "" ;` }));
    try {
      for (const host of ["127.0.0.1", "::1"]) {
        assert.deepEqual(await site.speakers["alice"]!.ask(daemon.port, { type: "ping" }, host), {
          type: "ping",
        });
      }
      await daemon.logged(/alice@REALM\.A from ::1 : ping request succeed/);
    } finally {
      await daemon.stop();
    }
  });

  it("writes metrics for Prometheus", async () => {
    const metricsFile = join(kdc.directory, "auksd.prom");
    const daemon = await Auksd.start(site.options({ own: `MetricsFile = ${metricsFile} ;` }));
    try {
      await until("the metrics are there", () => existsSync(metricsFile));
      const text = readFileSync(metricsFile, "utf8");
      assert.match(text, /^auksd_credentials 0$/m);
      assert.match(text, /^# TYPE auksd_accepted_connections_total counter$/m);
    } finally {
      await daemon.stop();
    }
    assert.throws(() => statSync(metricsFile));
  });

  it("a hanging name service delays only the clients that need it", async () => {
    const daemon = await Auksd.start(site.options({ hangingAccounts: true }));
    try {
      let isAnswered = false;
      const added: Promise<Reply> = ask(
        "alice",
        { type: "add", krbCred: site.tgtOf("alice") },
        daemon,
      );
      void added.then(() => isAnswered = true);
      for (let at = 0; at < 5; at++) {
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
