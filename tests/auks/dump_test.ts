// Several DUMPs of many tickets at once: all succeed, and auksd's memory stays within its bound.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { frame } from "../../daemon/auksd/frames.ts";
import { formatCcache } from "../../lib/auks/ccache_writer.ts";
import { parseKrbCred } from "../../lib/auks/krb_cred.ts";
import { parseReply } from "../../lib/auks/reply.ts";
import { formatRequest } from "../../lib/auks/request.ts";
import { Context } from "../../lib/krb5/context.ts";
import { MUNGEBOX } from "../harness/programs.ts";
import { suite } from "../suite.ts";
import { Auksd, SANDBOX_NEEDS } from "./auksd.ts";
import { Speaker, syntheticKrbCred } from "./conversation.ts";
import { Kdc, KDC_NEEDS } from "./kdc.ts";

const TICKETS = 10_000;
const CONNECTIONS = 500;
const DUMPS = 8;
/** It takes 141 on an idle machine; on a loaded one, memory is returned later. */
const MEGABYTES_MAX = 165;
const FIRST_UID = 10_000;

const NEEDS = { ...KDC_NEEDS, ...SANDBOX_NEEDS, "dist/mungebox": existsSync(MUNGEBOX) };

suite("auksd with many tickets", NEEDS, () => {
  it(`${DUMPS} DUMPs of ${TICKETS} at once succeed within ${MEGABYTES_MAX} MB`, async () => {
    const kdc = await Kdc.start();
    kdc.enter();
    kdc.loginService("host/compute.realm.a", "admin");
    const context = Context.open();
    const admin = new Speaker(context, kdc.cache("admin"));
    const users = Array.from({ length: TICKETS }, (_, at) => [`user${at}`, FIRST_UID + at]);
    const cacheDir = mkdtempSync(join(tmpdir(), "mungebox-dump-"));
    for (const [name, uid] of users) {
      const { credentials } = parseKrbCred(syntheticKrbCred(`${name}@REALM.A`));
      const file = formatCcache(credentials[0]!.client, credentials);
      writeFileSync(join(cacheDir, `aukscc_${uid}`), file, { mode: 0o600 });
    }
    const auksd = await Auksd.start({
      program: [MUNGEBOX],
      cacheDir,
      keytab: kdc.keytab("host/mngt.realm.a"),
      env: kdc.env,
      accounts: { root: 0, ...Object.fromEntries(users) },
      common: "NAT = yes ;",
      auksd: "ReplayCache = no ; LogLevel = 0 ; QueueSize = 1000 ;",
      acl:
        "rule { principal = ^host/compute[.]realm[.]a@REALM[.]A$ ; host = * ; role = admin ; }\n",
    });
    try {
      const connect = () => admin.connect(auksd.port);
      const idle: Awaited<ReturnType<typeof connect>>[] = [];
      // Not all at once: each client has 10 s to authenticate, however slow the machine is.
      while (idle.length < CONNECTIONS) {
        idle.push(...await Promise.all(Array.from({ length: 50 }, connect)));
      }
      const dumping = await Promise.all(Array.from({ length: DUMPS }, connect));
      for (const { connection, client } of dumping) {
        connection.send(frame(client.seal(formatRequest({ type: "dump" }))));
      }
      await Promise.all(dumping.map(async ({ connection, client }) => {
        const reply = parseReply(client.open(await connection.takeMessage(120_000)));
        assert(reply.type === "dump");
        assert.equal(reply.credentials.length, TICKETS);
      }));
      const status = readFileSync(`/proc/${auksd.pid}/status`, "utf8");
      const peak = Number(/VmHWM:\s+(\d+)/.exec(status)![1]) / 1024;
      assert(peak <= MEGABYTES_MAX, `${peak} MB at most`);
      for (const { connection, client } of [...idle, ...dumping]) {
        connection.close();
        client.free();
      }
    } finally {
      await auksd.stop();
      context.close();
      await kdc.stop();
      rmSync(cacheDir, { recursive: true });
    }
  });
});
