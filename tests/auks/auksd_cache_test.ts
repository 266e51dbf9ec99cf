// CacheDir as other programs see it, and what a daemon does with one that it finds, moves to or can't write to.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { until } from "../harness/until.ts";
import { suite } from "../suite.ts";
import { Auksd, SANDBOX_NEEDS } from "./auksd.ts";
import { ACCOUNTS, AuksdSite, UID } from "./auksd_site.ts";
import { syntheticKrbCred } from "./conversation.ts";
import { freePort, type Kdc, KDC_NEEDS } from "./kdc.ts";
import { RawConnection } from "./wire.ts";

suite("CacheDir", { ...KDC_NEEDS, ...SANDBOX_NEEDS }, () => {
  let site: AuksdSite;
  let kdc: Kdc;

  before(async () => {
    site = await AuksdSite.start();
    kdc = site.kdc;
  });

  after(() => site?.stop());

  it("has files that klist can read, for the owner only, and a restart uses them again", async () => {
    const daemon = await Auksd.start(site.options());
    try {
      assert.equal(
        (await site.ask("alice", { type: "add", krbCred: site.tgtOf("alice") }, daemon)).type,
        "add",
      );
      const file = join(daemon.cacheDir, "aukscc_2001");
      assert.equal(statSync(file).mode & 0o777, 0o600);
      const listed = execFileSync("klist", ["-c", file], { env: kdc.env, encoding: "utf8" });
      assert.match(listed, /Default principal: alice@REALM\.A[^]*krbtgt\/REALM\.A@REALM\.A/);
      daemon.signal("SIGKILL");
      await daemon.ended();
      await daemon.start();
      const got = await site.ask("alice", { type: "get", uid: UID.alice }, daemon);
      assert.equal(got.type === "get" && got.credential.principal, "alice@REALM.A");
      assert.equal(
        (await site.ask("alice", { type: "remove", uid: UID.alice }, daemon)).type,
        "remove",
      );
      assert.deepEqual(readdirSync(daemon.cacheDir).filter((name) => !name.startsWith(".")), []);
    } finally {
      await daemon.stop();
    }
  });

  it("a ticket whose user the name service did not know at startup is loaded once it does", async () => {
    const daemon = await Auksd.start(site.options());
    await site.ask("alice", { type: "add", krbCred: site.tgtOf("alice") }, daemon);
    daemon.signal("SIGTERM");
    await daemon.ended();
    const late = await Auksd.start(site.options({
      cacheDir: daemon.cacheDir,
      accounts: { root: 0, bob: UID.bob },
      auksd: "CleanDelay = 1 ;",
    }));
    try {
      await site.refused("alice", { type: "get", uid: UID.alice }, "notFound", late);
      await late.logged(/not loaded: aukscc_2001: .*alice/);
      appendFileSync(join(late.directory, "passwd"), `alice:x:${UID.alice}:0::/:/bin/sh\n`);
      await until("alice's ticket is loaded", async () => {
        const reply = await site.ask("alice", { type: "get", uid: UID.alice }, late);
        return reply.type === "get";
      });
      assert.equal(late.log.match(/not loaded/g)?.length, 1);
    } finally {
      await late.stop();
      await daemon.stop();
    }
  });

  it("a CleanDelay longer than any timer is not over at once", async () => {
    const daemon = await Auksd.start(site.options({ auksd: "CleanDelay = 9999999 ;" }));
    try {
      for (let i = 0; i < 5; i++) await site.ask("alice", { type: "ping" }, daemon);
      assert.equal(daemon.log.match(/creds removed/g)?.length, 1, "that of the start");
    } finally {
      await daemon.stop();
    }
  });

  it("HUP with another CacheDir moves the tickets there, unless another auksd uses it", async () => {
    const daemon = await Auksd.start(site.options());
    const other = await Auksd.start(site.options());
    try {
      await site.ask("alice", { type: "add", krbCred: site.tgtOf("alice") }, daemon);
      const port = await freePort();
      const common = `PrimaryPort = ${port} ;`;
      let from = daemon.log.length;
      daemon.configure(site.options({ common, auksd: `CacheDir = ${other.cacheDir} ;` }));
      daemon.signal("SIGHUP");
      await daemon.logged(/SIGHUP changes nothing: .*uses/, from);
      await assert.rejects(RawConnection.open(port), /ECONNREFUSED/);
      await other.stop();

      from = daemon.log.length;
      mkdirSync(other.cacheDir, { mode: 0o700, recursive: true });
      daemon.configure(site.options({ auksd: `CacheDir = ${other.cacheDir} ;` }));
      daemon.signal("SIGHUP");
      await daemon.logged(/creds removed/, from);
      const file = join(other.cacheDir, "aukscc_2001");
      await until("the ticket is there", () => existsSync(file));
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
        site.options({ cacheDir, accounts, clock, auksd: "CleanDelay = 9999 ;" }),
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
    const daemon = await Auksd.start(site.options());
    try {
      rmSync(daemon.cacheDir, { recursive: true });
      await site.refused(
        "bob",
        { type: "add", krbCred: syntheticKrbCred("bob@REALM.A") },
        "notSaved",
        daemon,
      );
      await site.refused("bob", { type: "get", uid: UID.bob }, "notFound", daemon);
    } finally {
      await daemon.stop();
    }
  });
});
