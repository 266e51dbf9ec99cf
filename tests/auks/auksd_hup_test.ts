// SIGHUP while auksd starts, and while it stops.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { until } from "../harness/until.ts";
import { suite } from "../suite.ts";
import { Auksd, SANDBOX_NEEDS } from "./auksd.ts";
import { AuksdSite } from "./auksd_site.ts";
import { freePort, KDC_NEEDS } from "./kdc.ts";

suite("SIGHUP at a bad time", { ...KDC_NEEDS, ...SANDBOX_NEEDS }, () => {
  let site: AuksdSite;

  before(async () => {
    site = await AuksdSite.start();
  });

  after(() => site?.stop());

  it("while the tickets are loaded, it takes effect once auksd serves", async () => {
    const daemon = await Auksd.start(site.options());
    await site.ask("alice", { type: "add", krbCred: site.tgtOf("alice") }, daemon);
    daemon.signal("SIGTERM");
    await daemon.ended();
    const slow = await Auksd.prepare(
      site.options({ cacheDir: daemon.cacheDir, hangingAccounts: true }),
    );
    try {
      slow.start().catch(() => {}); // it waits for the port that is given up
      await slow.logged(/stream created/);
      const port = await freePort();
      slow.configure(site.options({ common: `PrimaryPort = ${port} ;` }));
      slow.signal("SIGHUP");
      await until(
        "the new port is served",
        () => site.speakers["alice"]!.ask(port, { type: "ping" }).then(() => true, () => false),
      );
      await slow.logged(/cleaned[^]*cleaned/);
      assert.deepEqual(await site.speakers["alice"]!.ask(port, { type: "ping" }), { type: "ping" });
      await assert.rejects(site.ask("alice", { type: "ping" }, slow), /ECONNREFUSED/);
    } finally {
      await slow.stop();
      await daemon.stop();
    }
  });

  it("while auksd stops, it changes nothing and leaves no file behind", async () => {
    const daemon = await Auksd.prepare(site.options({ hangingAccounts: true }));
    const metricsFile = join(daemon.directory, "metrics");
    const own = `MetricsFile = ${metricsFile} ;`;
    daemon.configure(site.options({ own }));
    const other = join(daemon.directory, "other");
    mkdirSync(other, { mode: 0o700 });
    try {
      await daemon.start();
      // A client whose answer takes long, which auksd waits for.
      site.ask("alice", { type: "add", krbCred: site.tgtOf("alice") }, daemon).catch(() => {});
      await daemon.logged(/alice@REALM\.A role is user/);
      const from = daemon.log.length;
      daemon.signal("SIGTERM");
      await daemon.logged(/1 connections pending/, from);
      daemon.configure(site.options({ own, auksd: `CacheDir = ${other} ;` }));
      daemon.signal("SIGHUP");
      await daemon.logged(/SIGHUP changes nothing: auksd is stopping/, from);
      assert.equal(await daemon.ended(), 0);
      assert(!existsSync(metricsFile));
      assert.deepEqual([...readdirSync(daemon.cacheDir), ...readdirSync(other)], []);
    } finally {
      await daemon.stop();
    }
  });
});
