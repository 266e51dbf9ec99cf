// The time limits of AUKS: auksd disconnects clients that stall, and auks leaves an auksd that says nothing.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { after, before, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { frame } from "../../daemon/auksd/frames.ts";
import { formatRequest } from "../../lib/auks/request.ts";
import { ping } from "../../lib/auks_client/requests.ts";
import { Auksd, SANDBOX_NEEDS } from "../auks/auksd.ts";
import { AuksdSite } from "../auks/auksd_site.ts";
import { type Speaker, syntheticKrbCred, VERSIONS } from "../auks/conversation.ts";
import { KDC_NEEDS } from "../auks/kdc.ts";
import { RawConnection } from "../auks/wire.ts";
import { until } from "../harness/until.ts";
import { suite } from "../suite.ts";

const SERVICE = "host/mngt.realm.a";

suite("time limits of AUKS", { ...KDC_NEEDS, ...SANDBOX_NEEDS }, () => {
  let site: AuksdSite;
  let auksd: Auksd;
  let alice: Speaker;

  before(async () => {
    site = await AuksdSite.start();
    alice = site.speakers["alice"]!;
    auksd = await Auksd.start(site.options({
      common: "NAT = yes ;",
      auksd: "ReplayCache = no ; LogLevel = 2 ;",
    }));
  });

  after(async () => {
    await auksd?.stop();
    await site?.stop();
  });

  async function isWell(): Promise<void> {
    assert.deepEqual(await alice.ask(auksd.port, { type: "ping" }), { type: "ping" });
  }

  /** Whether auksd has not hung up on the client at this port, who may not have noticed yet. */
  function isConnected(client: number): boolean {
    const [local, remote] = [auksd.port, client].map((port) =>
      port.toString(16).toUpperCase().padStart(4, "0")
    );
    const established = new RegExp(`:${local} \\w+:${remote} 01 `);
    return ["tcp", "tcp6"].some((name) =>
      established.test(readFileSync(`/proc/net/${name}`, "latin1"))
    );
  }

  /** Sends messages without waiting for answers. */
  async function say(...parts: readonly Uint8Array[]): Promise<RawConnection> {
    const connection = await RawConnection.open(auksd.port);
    for (const part of parts) connection.send(part);
    return connection;
  }

  it("a client that has sent CLOSE does not count as stalled", async () => {
    await isWell();
    await pause(11_000);
    assert.doesNotMatch(auksd.log, /sent no complete message/);
  });

  it("a client that stalls at any point is disconnected after 10 s, and holds up no other", async () => {
    const talk = alice.write({ type: "ping" });
    const begin = performance.now();
    const authenticated = await alice.connect(auksd.port);
    authenticated.connection.send(talk.request.subarray(0, 20));
    const stalled = [
      await say(),
      await say(VERSIONS.subarray(0, 10)),
      await say(VERSIONS, talk.apReq.subarray(0, 100)),
      authenticated.connection,
    ];
    const idle = await alice.connect(auksd.port);
    const asked = performance.now();
    await isWell();
    assert(performance.now() - asked < 5_000, "it did not wait for those that stall");
    for (const connection of stalled) assert(await connection.drained(30_000));
    const took = performance.now() - begin;
    assert(took > 8_000 && took < 30_000, `${took} ms`);
    assert.match(auksd.log, /sent no complete message/);
    // A client between two messages has no time limit.
    idle.connection.send(frame(idle.client.seal(formatRequest({ type: "ping" }))));
    assert.equal(idle.client.open(await idle.connection.takeMessage())[3], 20);
    idle.connection.close();
  });

  it("a client that sends requests without reading replies costs little memory, and is disconnected", async () => {
    const krbCred = syntheticKrbCred("alice@REALM.A", { ticketLength: 3000 });
    assert.equal((await alice.ask(auksd.port, { type: "add", krbCred })).type, "add");
    const { connection, client } = await alice.connect(auksd.port);
    connection.socket.pause();
    const port = connection.socket.localPort!;
    assert(isConnected(port));
    const get = formatRequest({ type: "get", uid: 2001 });
    const before = auksd.residentKb;
    const requests = Array.from({ length: 20_000 }, () => frame(client.seal(get)));
    connection.socket.write(Buffer.concat(requests));
    await pause(2_000);
    const grown = auksd.residentKb - before;
    await isWell();
    assert(grown < 20_000, `${grown} KB more`);
    const closed = new Promise<void>((resolve) => connection.socket.once("close", () => resolve()));
    await until("auksd hangs up", () => !isConnected(port));
    connection.socket.resume();
    await closed;
    client.free();
  });

  it("an auksd that is silent after the connection costs a client its time limit, once", async () => {
    const server = createServer((socket) => socket.on("error", () => {}));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const started = performance.now();
    await assert.rejects(
      ping(site.context, {
        servers: [{ host: "127.0.0.1", port, principal: `${SERVICE}@REALM.A` }],
        nat: true,
        retries: 1,
        timeoutMs: 1000,
        delayMs: 0,
        ccache: site.kdc.cache("alice"),
      }),
      /did not answer for 30 s/,
    );
    assert(performance.now() - started < 55_000, "only once");
    server.close();
  });
});
