// mungebox/auks with a KDC and our auksd in Bun, and its error in other runtimes.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { add, AuksError, get, list, remove } from "../../lib/auks_client/auks.ts";
import { suite } from "../suite.ts";
import { Auksd } from "./auksd.ts";
import { BOB_IS_DAEMON, Kdc, KDC_NEEDS } from "./kdc.ts";

suite("mungebox/auks", { ...KDC_NEEDS, Bun: "Bun" in globalThis }, () => {
  let kdc: Kdc;
  let auksd: Auksd;

  before(async () => {
    kdc = await Kdc.start({ realmLines: BOB_IS_DAEMON });
    kdc.enter();
    kdc.login("bob");
    kdc.loginService("host/compute.realm.a", "compute");
    const rule = (principal: string, role: string) =>
      `rule { principal = ${principal} ; host = * ; role = ${role} ; }\n`;
    auksd = await Auksd.start({
      keytab: kdc.keytab("host/mngt.realm.a"),
      acl: rule("^host/compute[.]realm[.]a@REALM[.]A$", "admin") +
        rule("^[a-z]+@REALM[.]A$", "user"),
      env: kdc.env,
    });
  });

  after(async () => {
    await auksd?.stop();
    await kdc?.stop();
  });

  const bob = () => ({ config: auksd.config, ccache: kdc.cache("bob") });
  const admin = () => ({ config: auksd.config, ccache: kdc.cache("compute") });

  it("adds, lists, fetches and removes a ticket", async () => {
    const added = await add({ ...bob(), from: kdc.cache("bob") });
    assert.equal(added.principal, "bob@REALM.A");
    assert.deepEqual([added.uid, added.outcome], [1, "stored"]);
    const [ticket, ...others] = await list(admin());
    assert.deepEqual(others, []);
    assert.deepEqual([ticket!.uid, ticket!.principal], [1, "bob@REALM.A"]);
    assert.deepEqual(ticket!.endTime, added.endTime);
    assert(ticket!.renewUntil! > ticket!.endTime);
    const into = join(kdc.directory, "fetched");
    assert.deepEqual(await get(1, { ...admin(), into }), ticket);
    const listed = execFileSync("/usr/bin/klist", ["-c", into], { env: kdc.env, encoding: "utf8" });
    assert.match(listed, /Default principal: bob@REALM\.A/);
    await remove(1, bob());
    assert.deepEqual(await list(admin()), []);
  });

  it("reports the reason for a failure", async () => {
    for (
      const [call, error, reason] of [
        [() => get(1, bob()), "API_REPLY_CORRUPTED", /no ticket is stored/],
        [() => list(bob()), "API_REPLY_TYPE", /role does not allow/],
        [() => add({ ...bob(), from: "/nowhere/none" }), "KRB5_CCACHE_READ", /does not exist/],
        [() => get(1, { config: "/nowhere/auks.conf" }), "CONFIG_PARSE", /No such file/],
      ] as const
    ) {
      await assert.rejects(call, (cause) => {
        assert(cause instanceof AuksError);
        assert.equal(cause.error, error);
        assert.match(cause.reason ?? "", reason);
        return true;
      });
    }
  });

  it("works only in Bun, and says so elsewhere", () => {
    const file = join(import.meta.dirname, "../../lib/auks_client/auks.ts");
    const script = `import { list } from ${
      JSON.stringify(file)
    }; list().catch((e) => console.log(e.message))`;
    const deno = join(import.meta.dirname, "../../node_modules/.bin/deno");
    const { stdout } = spawnSync(deno, ["eval", script], { encoding: "utf8" });
    assert.match(
      stdout,
      /^auks library : unable to init library structure \(mungebox\/auks works in/,
    );
  });
});
