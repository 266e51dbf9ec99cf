// Two auksds that forward accepted requests to each other: after losing either one, or the connection, both agree again.
import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { Context } from "../../lib/krb5/context.ts";
import { until } from "../harness/until.ts";
import { suite } from "../suite.ts";
import { Auksd, type AuksdOptions, SANDBOX_NEEDS } from "./auksd.ts";
import { Speaker, syntheticKrbCred } from "./conversation.ts";
import { freePort, Kdc, KDC_NEEDS } from "./kdc.ts";

const USERS = Array.from({ length: 200 }, (_, at) => `user${at}`);
const UID = 10_000;
const BOBS_UID = 2000;
const PRINCIPALS = {
  mngt1: "host/mngt.realm.a@REALM.A",
  mngt2: "host/compute.realm.a@REALM.A",
} as const;
const ACL = `
rule { principal = ^host/(mngt|compute)[.]realm[.]a@REALM[.]A$ ; host = * ; role = admin ; }
rule { principal = ^alice@REALM[.]A$ ; host = * ; role = admin ; }
rule { principal = ^bob@REALM[.]A$ ; host = * ; role = user ; }
`;

suite("replication", { ...KDC_NEEDS, ...SANDBOX_NEEDS }, () => {
  let kdc: Kdc;
  let context: Context;
  let first: Auksd;
  let second: Auksd;
  const ports: number[] = [];

  function options(hostname: keyof typeof PRINCIPALS): AuksdOptions {
    const keytab = (name: keyof typeof PRINCIPALS) => kdc.keytab(PRINCIPALS[name].split("@")[0]!);
    return {
      hostname,
      port: ports[hostname === "mngt1" ? 0 : 1]!,
      keytab: keytab("mngt1"),
      env: kdc.env,
      acl: ACL,
      accounts: {
        root: 0,
        bob: BOBS_UID,
        ...Object.fromEntries(USERS.map((name, at) => [name, UID + at])),
      },
      common: `PrimaryHost = mngt1 ; PrimaryPort = ${ports[0]} ;
  SecondaryHost = mngt2 ; SecondaryAddress = 127.0.0.1 ; SecondaryPort = ${ports[1]} ;
  SecondaryPrincipal = ${PRINCIPALS.mngt2} ;
  PrimaryAddress = 127.0.0.1 ;`,
      auksd: `SecondaryKeytab = ${keytab("mngt2")} ;`,
      own: "Replicate = yes ; Sync = no ;",
    };
  }

  before(async () => {
    kdc = await Kdc.start();
    kdc.enter();
    for (const user of ["alice", "bob"]) kdc.login(user);
    context = Context.open();
    ports.push(await freePort(), await freePort());
    first = await Auksd.start(options("mngt1"));
    second = await Auksd.start(options("mngt2"));
    await bothConnected();
  });

  after(async () => {
    await first.stop();
    await second.stop();
    context.close();
    await kdc.stop();
  });

  async function bothConnected(): Promise<void> {
    await first.logged(new RegExp(`replication: 127.0.0.1:${ports[1]} is connected`));
    await second.logged(new RegExp(`replication: 127.0.0.1:${ports[0]} is connected`));
  }

  const speaker = (daemon: Auksd) =>
    new Speaker(context, kdc.cache("alice"), PRINCIPALS[daemon === first ? "mngt1" : "mngt2"]);
  const add = (daemon: Auksd, at: number) =>
    speaker(daemon).ask(daemon.port, {
      type: "add",
      krbCred: syntheticKrbCred(`${USERS[at]}@REALM.A`),
    });
  const remove = (daemon: Auksd, at: number) =>
    speaker(daemon).ask(daemon.port, { type: "remove", uid: UID + at });
  const has = async (daemon: Auksd, at: number) =>
    (await speaker(daemon).ask(daemon.port, { type: "get", uid: UID + at })).type === "get";

  async function eventually(question: () => Promise<boolean>): Promise<void> {
    for (let attempt = 0; attempt < 2000; attempt++) {
      if (await question()) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    assert.fail(`${question}\n${first.log}\n${second.log}`);
  }

  it("each has what the other accepted before the client gets the answer", async () => {
    assert.equal((await add(first, 0)).type, "add");
    assert(await has(second, 0));
    assert.equal((await add(second, 1)).type, "add");
    assert(await has(first, 1));
    assert.equal((await remove(second, 0)).type, "remove");
    assert(!await has(first, 0));
    assert.equal((await remove(first, 1)).type, "remove");
    assert(!await has(second, 1));
    await second.logged(/Accepted add: client="host\/mngt.*replicated=yes/);
  });

  it("a ticket that is removed and added again is on both", async () => {
    await add(first, 2);
    await remove(first, 2);
    await add(first, 2);
    assert(await has(first, 2) && await has(second, 2));
    await remove(second, 2);
  });

  it("a request that a user marks as replicated is forwarded all the same", async () => {
    const bob = new Speaker(context, kdc.cache("bob"), PRINCIPALS.mngt1);
    const replicated = true;
    const answers = async () => {
      const about = { type: "get", uid: BOBS_UID } as const;
      return (await speaker(second).ask(second.port, about)).type;
    };
    await bob.ask(first.port, {
      type: "add",
      krbCred: syntheticKrbCred("bob@REALM.A"),
      replicated,
    });
    assert.equal(await answers(), "get");
    const removed = { type: "remove", uid: BOBS_UID, replicated, removedAt: 1 } as const;
    await bob.ask(first.port, removed);
    assert.equal(await answers(), "error");
  });

  it("if one is killed, the other has everything acknowledged", async () => {
    const acknowledged: number[] = [];
    const clients = [0, 1, 2, 3].map(async (client) => {
      for (let at = 10 + client; at < 200; at += 4) {
        try {
          if ((await add(first, at)).type === "add") acknowledged.push(at);
        } catch {
          return; // it is gone
        }
      }
    });
    // The following tests look at these.
    await until(
      "some are acknowledged",
      () => [10, 11, 12].every((at) => acknowledged.includes(at)),
    );
    first.signal("SIGKILL");
    await Promise.all(clients);
    for (const at of acknowledged) assert(await has(second, at), `${USERS[at]} is lost`);
  });

  it("after a restart it gets what it missed, and removed tickets stay removed", async () => {
    // Both have it; then it is removed while the first is down.
    const kept = 10;
    assert(await has(second, kept));
    await remove(second, kept);
    await add(second, 3);
    await first.start();
    await bothConnected();
    await eventually(async () => await has(first, 3));
    await eventually(async () => !await has(first, kept));
    assert(!await has(second, kept));
  });

  it("a restart does not forget what was removed while the other was down", async () => {
    assert(await has(first, 11) && await has(first, 12));
    const from = first.log.length;
    second.signal("SIGKILL");
    await second.ended();
    await first.logged(/is not used: /, from);
    await remove(first, 11);
    await remove(first, 12);
    await add(first, 12);
    first.signal("SIGKILL");
    await first.ended();
    await first.start();
    await second.start();
    await bothConnected();
    await eventually(async () => !await has(second, 11));
    assert(!await has(first, 11));
    assert(await has(first, 12));
    await eventually(async () => await has(second, 12)); // it was added again
  });

  it("no client waits for a lost peer", async () => {
    const from = first.log.length;
    second.signal("SIGKILL");
    await second.ended();
    await first.logged(/is not used: /, from);
    // A busy machine delays some requests; one that waits for the peer takes two seconds each time.
    let took = Infinity;
    for (let tries = 0; took >= 1000 && tries < 5; tries++) {
      const begin = performance.now();
      assert.equal((await add(first, 4)).type, "add");
      took = performance.now() - begin;
    }
    assert(took < 1000, `${took} ms`);
    await second.start();
    await eventually(async () => await has(second, 4));
  });
});
