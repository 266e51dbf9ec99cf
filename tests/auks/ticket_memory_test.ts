// Tickets in auksd's memory: one copy of each that it keeps, and no trace of the others.
import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { parseKrbCred } from "../../lib/auks/krb_cred.ts";
import type { Request } from "../../lib/auks/request.ts";
import { Context } from "../../lib/krb5/context.ts";
import { findInMemory } from "../harness/memory_search.ts";
import { suite } from "../suite.ts";
import { Auksd, SANDBOX_NEEDS } from "./auksd.ts";
import { Speaker, syntheticKrbCred } from "./conversation.ts";
import { Kdc, KDC_NEEDS } from "./kdc.ts";

const USERS = Array.from({ length: 50 }, (_, at) => `user${at}`);
const FIRST_UID = 10_000;

suite("tickets in auksd's memory", { ...KDC_NEEDS, ...SANDBOX_NEEDS }, () => {
  let kdc: Kdc;
  let context: Context;
  let auksd: Auksd;
  let admin: Speaker;

  before(async () => {
    kdc = await Kdc.start();
    kdc.enter();
    kdc.loginService("host/compute.realm.a", "admin");
    context = Context.open();
    admin = new Speaker(context, kdc.cache("admin"));
    auksd = await Auksd.start({
      keytab: kdc.keytab("host/mngt.realm.a"),
      env: kdc.env,
      accounts: Object.fromEntries(USERS.map((name, at) => [name, FIRST_UID + at])),
      acl: "rule { principal = ^host/compute[.]realm[.]a@REALM[.]A$ ; host = * ; role = admin ; }",
    });
  });

  after(async () => {
    await auksd?.stop();
    context?.close();
    await kdc?.stop();
  });

  async function ask(request: Request): Promise<void> {
    assert.equal((await admin.ask(auksd.port, request)).type, request.type);
  }

  it("have one copy, whatever was done with them, and none once they are removed", async () => {
    const krbCreds = USERS.map((name) => syntheticKrbCred(`${name}@REALM.A`));
    const keys = krbCreds.map((krbCred) => parseKrbCred(krbCred).credentials[0]!.key.bytes);
    const copies = async () => {
      await ask({ type: "ping" }); // auksd has done what comes after its last answer
      return findInMemory(auksd.pid, keys).map(({ length }) => length);
    };
    for (const krbCred of krbCreds) await ask({ type: "add", krbCred });
    const once = USERS.map(() => 1);
    assert.deepEqual(await copies(), once);
    for (const at of USERS.keys()) await ask({ type: "get", uid: FIRST_UID + at });
    await ask({ type: "dump" });
    assert.deepEqual(await copies(), once);
    auksd.signal("SIGHUP"); // reads them again
    await auksd.logged(/repo cleaned[^]*repo cleaned/);
    assert.deepEqual(await copies(), once);
    for (const at of USERS.keys()) await ask({ type: "remove", uid: FIRST_UID + at });
    assert.deepEqual(await copies(), USERS.map(() => 0));
  });
});
