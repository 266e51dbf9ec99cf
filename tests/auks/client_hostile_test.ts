// Replies that no honest auksd sends: truncated, altered, of the wrong length. The client reports them at once, and never
// stores them in a cache.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { AuksError } from "../../lib/auks/errors.ts";
import { frame } from "../../daemon/auksd/frames.ts";
import { formatKrbError } from "../../daemon/auksd/krb_error.ts";
import { parsePrincipal } from "../../lib/auks/principal.ts";
import { formatGetReply } from "../../lib/auks/reply.ts";
import { type ClientSettings, withSession } from "../../lib/auks_client/client.ts";
import { Connection, ConnectionFailure } from "../../lib/auks_client/connection.ts";
import { prepareCredential } from "../../lib/auks_client/outgoing_credential.ts";
import { storeCredential } from "../../lib/auks_client/received_credential.ts";
import { dump, get } from "../../lib/auks_client/requests.ts";
import { Context } from "../../lib/krb5/context.ts";
import { suite } from "../suite.ts";
import { PROGRAM } from "./auksd.ts";
import { BOB_IS_DAEMON, Kdc, KDC_NEEDS } from "./kdc.ts";
import { ScriptedAuksd } from "./scripted_auksd.ts";

const SERVICE = "host/mngt.realm.a";

suite("a hostile auksd", KDC_NEEDS, () => {
  let kdc: Kdc;
  let context: Context;
  let auksd: ScriptedAuksd;
  let reply: Uint8Array = new Uint8Array(0);
  let good: Uint8Array;

  before(async () => {
    kdc = await Kdc.start({ realmLines: BOB_IS_DAEMON });
    kdc.enter();
    kdc.login("bob");
    context = Context.open();
    auksd = await ScriptedAuksd.start(() => reply, { keytab: kdc.keytab(SERVICE) });
    const source = { ccache: kdc.cache("bob"), crossRealm: "", warn: () => {} };
    const { krbCred, principal, uid } = prepareCredential(context, source);
    const times = { starttime: 1, endtime: 2, renewTill: 3 };
    const flags = { addressless: true, crossrealm: false };
    good = formatGetReply({ uid, principal, krbCred, ...times, ...flags }, {
      dialect: "head",
      compact: true,
    });
  });

  after(async () => {
    auksd?.stop();
    context?.close();
    await kdc?.stop();
  });

  const settings = (port: number = auksd.port): ClientSettings => ({
    servers: [{ host: "127.0.0.1", port, principal: `${SERVICE}@REALM.A` }],
    nat: true,
    retries: 1,
    timeoutMs: 60_000,
    delayMs: 0,
    ccache: kdc.cache("bob"),
  });
  const isAuksError = (error: unknown) => error instanceof AuksError;

  it("a GET reply that is cut off anywhere is refused", async () => {
    for (let length = 0; length < good.length; length += length < 200 ? 1 : 37) {
      reply = good.subarray(0, length);
      await assert.rejects(get(context, settings(), 1), isAuksError, `${length} bytes`);
    }
    reply = good;
    assert.equal((await get(context, settings(), 1)).principal, "bob@REALM.A");
  });

  it("another user's ticket is refused", async () => {
    reply = good;
    const own = await get(context, settings(), 1);
    assert.equal(own.principal, "bob@REALM.A");
    await assert.rejects(
      get(context, settings(), 2),
      /reply seems corrupted \(the daemon sent the ticket of uid 1 instead of that of uid 2\)/,
    );
  });

  it("a reply with one byte changed never fills a cache with something else", async () => {
    const path = join(kdc.directory, "hostile");
    for (let at = 0; at < good.length; at++) {
      reply = good.map((byte, index) => index === at ? byte ^ 0xff : byte);
      try {
        const { krbCred } = await get(context, settings(), 1);
        storeCredential(context, path, krbCred);
      } catch (error) {
        assert(error instanceof AuksError, String(error));
      }
    }
    assert(existsSync(path)); // a change that does not affect the ticket is harmless
    assert.equal(context.defaultRealm, "REALM.A"); // libkrb5 still works
  });

  it("a count of missing credentials allocates nothing", async () => {
    reply = Uint8Array.of(0, 0, 0, 26, 0xff, 0xff, 0xff, 0xff);
    await assert.rejects(dump(context, settings()), isAuksError);
  });

  /** A server that answers the first message of the handshake with these chunks. */
  async function babbler(...chunks: Uint8Array[]): Promise<Server> {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => {
        for (const chunk of chunks) socket.write(chunk);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  for (
    const [name, chunks, reason] of [
      [
        "announces 4 GB instead of a refusal",
        [[0], [0xff, 0xff, 0xff, 0xff]],
        /announced 4294967295/,
      ],
      ["sends no AP-REP", [[0], [0, 0, 0, 0], [0, 0, 0, 4, 1, 2, 3, 4]], /can't be trusted/],
      ["sends an invalid KRB-ERROR", [[0], [0, 0, 0, 2, 0x7e, 0x80]], /refused authentication/],
      ["answers with an unknown byte", [[7]], /not auksd/],
    ] as const
  ) {
    it(`one that ${name} is reported`, async () => {
      const server = await babbler(...chunks.map((bytes) => Uint8Array.from(bytes)));
      try {
        const { port } = server.address() as AddressInfo;
        await assert.rejects(
          withSession(context, settings(port), () => Promise.resolve()),
          (error: Error) => reason.test(error.message),
        );
      } finally {
        server.close();
      }
    });
  }

  it("one that sends a byte now and then does not hold up the client", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      const timer = setInterval(() => socket.write("x"), 50);
      socket.on("close", () => clearInterval(timer));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const connection = await Connection.open({ host: "127.0.0.1", port }, 1000, 500);
      const started = performance.now();
      await assert.rejects(connection.receive(5000), ConnectionFailure);
      assert(performance.now() - started < 60_000); // all 5000 bytes would take 250 s
    } finally {
      server.close();
    }
  });

  it("the text of its refusal can't control the terminal", async () => {
    const refusal = formatKrbError({
      code: 60,
      text: "\x1b[31mred\nline",
      server: parsePrincipal(`${SERVICE}@REALM.A`),
      now: Date.now(),
    });
    const server = await babbler(Uint8Array.of(0), frame(refusal));
    try {
      const { port } = server.address() as AddressInfo;
      const conf = join(kdc.directory, "terminal.conf");
      writeFileSync(
        conf,
        `common { PrimaryHost = localhost ; PrimaryPort = ${port} ; NAT = yes ; Retries = 1 ;
          PrimaryPrincipal = ${SERVICE}@REALM.A ; }\napi { }\n`,
      );
      const args = [...PROGRAM.slice(1), "auks", "-p", "-f", conf];
      const child = spawn(PROGRAM[0], args, { env: kdc.envOf("bob") });
      let said = "";
      child.stderr.on("data", (bytes) => said += bytes);
      await new Promise((resolve) => child.on("close", resolve));
      assert.match(said, /\\x1b\[31mred\\x0aline/);
      assert(!said.includes("\x1b"));
    } finally {
      server.close();
    }
  });
});
