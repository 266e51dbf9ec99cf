// auksd's keytab, when it changes while auksd is running.
import assert from "node:assert/strict";
import { cpSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { suite } from "../suite.ts";
import { Auksd, SANDBOX_NEEDS } from "./auksd.ts";
import { AuksdSite } from "./auksd_site.ts";
import { type Kdc, KDC_NEEDS } from "./kdc.ts";

suite("auksd's keytab", { ...KDC_NEEDS, ...SANDBOX_NEEDS }, () => {
  let site: AuksdSite;
  let kdc: Kdc;

  before(async () => {
    site = await AuksdSite.start();
    kdc = site.kdc;
  });

  after(() => site?.stop());

  it("a new keytab is read automatically when a client's ticket needs it", async () => {
    const keytab = join(kdc.directory, "copy.keytab");
    cpSync(kdc.keytab("host/login.realm.a"), keytab);
    const daemon = await Auksd.start(site.options({ keytab }));
    try {
      await daemon.logged(/has no key for host\/mngt\.realm\.a@REALM\.A/);
      await assert.rejects(site.ask("alice", { type: "ping" }, daemon), /auksd refuses/);
      rmSync(keytab);
      cpSync(kdc.keytab("host/mngt.realm.a"), keytab);
      assert.deepEqual(await site.ask("alice", { type: "ping" }, daemon), { type: "ping" });
    } finally {
      await daemon.stop();
    }
  });

  it("a keytab that is overwritten in place is read again, even if it looks as old as before", async () => {
    const keytab = join(kdc.directory, "overwritten.keytab");
    const old = new Date("2026-01-01");
    cpSync(kdc.keytab("host/login.realm.a"), keytab);
    utimesSync(keytab, old, old);
    const daemon = await Auksd.start(site.options({ keytab }));
    try {
      await assert.rejects(site.ask("alice", { type: "ping" }, daemon), /auksd refuses/);
      writeFileSync(keytab, readFileSync(kdc.keytab("host/mngt.realm.a")));
      utimesSync(keytab, old, old);
      assert.deepEqual(await site.ask("alice", { type: "ping" }, daemon), { type: "ping" });
    } finally {
      await daemon.stop();
    }
  });

  it("a keytab that was damaged is reported, and refuses only clients that need another key", async () => {
    const keytab = join(kdc.directory, "damaged.keytab");
    cpSync(kdc.keytab("host/login.realm.a"), keytab);
    const daemon = await Auksd.start(site.options({ keytab }));
    try {
      writeFileSync(keytab, "damaged");
      for (let at = 0; at < 2; at++) {
        await assert.rejects(site.ask("alice", { type: "ping" }, daemon), /auksd refuses/);
      }
      await daemon.logged(/cause=45 .*the new keytab can't be read: Unsupported key table format/);
      assert.doesNotMatch(daemon.log, /failed to serve/);
      writeFileSync(keytab, readFileSync(kdc.keytab("host/mngt.realm.a")));
      assert.deepEqual(await site.ask("alice", { type: "ping" }, daemon), { type: "ping" });
    } finally {
      await daemon.stop();
    }
  });
});
