// auks against a scripted auksd: the dialects of daemons, the types of caches, and tickets on their way from one to the other.
// What goes wrong is in client_failures_test.ts.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { type Dialect, DIALECTS } from "../../lib/auks/packed_credential.ts";
import { openLibc } from "../../lib/os/libc.ts";
import { suite } from "../suite.ts";
import { BOB, ClientSite, failed, SUCCESS } from "./client_site.ts";
import { type Kdc, KDC_NEEDS, PASSWORD } from "./kdc.ts";

suite("auks", KDC_NEEDS, () => {
  let site: ClientSite;
  let kdc: Kdc;

  before(async () => {
    site = await ClientSite.start();
    kdc = site.kdc;
  });

  after(() => site?.stop());

  function klist(path: string): string {
    return execFileSync("/usr/bin/klist", ["-f", "-c", path], { env: kdc.env, encoding: "utf8" });
  }

  function klistAddresses(path: string): string {
    const args = ["-a", "-n", "-c", path];
    return execFileSync("/usr/bin/klist", args, { env: kdc.env, encoding: "utf8" });
  }

  for (const dialect of Object.keys(DIALECTS) as Dialect[]) {
    for (const compact of [false, true]) {
      it(`reads ${compact ? "compact " : ""}replies of ${dialect}`, async () => {
        const { port } = await site.keeper(dialect, compact);
        const conf = site.configuration(port);
        assert.deepEqual({ ...await site.auks(["-f", conf, "-a"]), seconds: 0 }, {
          status: 0,
          out: SUCCESS,
          err: "",
          seconds: 0,
        });
        const got = join(kdc.directory, `got-${dialect}-${compact}`);
        assert.equal((await site.auks(["-f", conf, "-g", "-u", `${BOB}`, "-C", got])).out, SUCCESS);
        assert.match(klist(got), /Default principal: bob@REALM.A\n[^]*krbtgt\/REALM.A@REALM.A/);
        assert.equal(statSync(got).mode & 0o777, 0o600);
        const { out } = await site.auks(["-f", conf, "-D"]);
        assert.match(out, /\n1 {10}bob@REALM\.A {24}20\d\d-/);
        assert(out.endsWith(SUCCESS));
        assert.equal((await site.auks(["-f", conf, "--remove", "-u", "daemon"])).out, SUCCESS);
        const again = await site.auks(["-f", conf, "-r", `-u${BOB}`]);
        assert.equal(again.status, 147);
        assert.equal(
          again.err,
          failed("auks api : reply type is invalid (no ticket is stored for this user)"),
        );
      });
    }
  }

  it("works with addresses as well", async () => {
    const { port } = await site.keeper("0.5", false, { nat: false });
    assert.equal(
      (await site.auks(["-f", site.configuration(port, { NAT: "no" }), "-p"])).out,
      SUCCESS,
    );
  });

  it("-v -a reports what happened to the ticket", async () => {
    const { port } = await site.keeper();
    assert.equal(
      (await site.auks(["-f", site.configuration(port), "-v", "-a"])).out,
      `bob@REALM.A, uid 1: stored, good until 1970-01-01T00:00:01.000Z\n${SUCCESS}`,
    );
  });

  it("--send and --receive carry a ticket without a daemon at the other end", async () => {
    const { port } = await site.keeper();
    const conf = site.configuration(port);
    await site.auks(["-f", conf, "-a"]);
    const sent = await site.auks(["-f", conf, "--send", "-u", `${BOB}`]);
    assert.equal(sent.status, 0);
    assert.equal(sent.out.length, 32_949);
    const bytes = Buffer.from(sent.out, "latin1");
    const path = join(kdc.directory, "received");
    assert.equal(
      (await site.auks(["-f", conf, "--receive", "-C", path], "none", bytes)).out,
      SUCCESS,
    );
    assert.match(klist(path), /Default principal: bob@REALM.A/);
    const cut = await site.auks(
      ["-f", conf, "--receive", "-C", path],
      "none",
      bytes.subarray(0, 20_000),
    );
    assert.equal(cut.status, 146);
    const short = await site.auks(
      ["-f", conf, "--receive", "-C", path],
      "none",
      bytes.subarray(0, 4),
    );
    assert.equal(short.status, 255);
    assert.match(short.err, /^Auks API request failed : generic error \(/);
    const nowhere = await site.auks(["-f", conf, "--receive", "-C", "/nowhere/x"], "none", bytes);
    assert.equal(nowhere.status, 3);
    assert.match(nowhere.err, /krb5 cred : unable to init credential cache \(/);
  });

  it("-g fails with the original's message in every case, and leaves the cache unchanged", async () => {
    const { port } = await site.keeper();
    const conf = site.configuration(port);
    site.stored.clear();
    const path = join(kdc.directory, "kept");
    execFileSync("cp", [kdc.cache("alice"), path]);
    const missing = await site.auks(["-f", conf, "-g", "-u", "99999", "-C", path]);
    assert.equal(missing.status, 146);
    assert.match(missing.err, /: auks api : reply seems corrupted \(no ticket is stored/);
    assert.match(klist(path), /alice@REALM.A/);
    await site.auks(["-f", conf, "-a"]);
    const unwritable = await site.auks(["-f", conf, "-g", "-u1", "-C", "/nowhere/got"]);
    assert.equal(unwritable.status, 87);
    assert.match(unwritable.err, /: auks api : reply processing failed \(FILE:\/nowhere\/got: No /);
    const unknown = await site.auks(["-f", conf, "-g", "-u1", "-C", "FOO:bar"]);
    assert.equal(unknown.status, 87);
    const nobody = await site.auks(["-f", conf, "-g", "-u", "no such user"]);
    assert.equal(nobody.status, 89);
  });

  it("fills caches of the types DIR and MEMORY", async () => {
    const { port } = await site.keeper();
    const conf = site.configuration(port);
    await site.auks(["-f", conf, "-a"]);
    const directory = join(kdc.directory, "ccd");
    mkdirSync(directory, { mode: 0o700 });
    assert.equal(
      (await site.auks(["-f", conf, "-g", "-u1", "-C", `DIR:${directory}`])).out,
      SUCCESS,
    );
    assert.match(klist(`DIR:${directory}`), /Ticket cache: DIR::.*\/tkt\n.*bob@REALM.A/);
    assert.equal((await site.auks(["-f", conf, "-g", "-u1", "-C", "MEMORY:x"])).out, SUCCESS);
  });

  it("sends a ticket without addresses instead of one with addresses", async () => {
    const { port } = await site.keeper();
    // kinit lists the addresses of all interfaces but loopback, from which this KDC is asked.
    const krb5Conf = join(kdc.directory, "addresses.conf");
    const text = readFileSync(join(kdc.directory, "krb5.conf"), "utf8");
    writeFileSync(
      krb5Conf,
      text.replace("[libdefaults]", "[libdefaults]\n extra_addresses = 127.0.0.1"),
    );
    execFileSync("/usr/bin/kinit", ["-a", "bob"], {
      env: { ...kdc.envOf("addressed"), KRB5_CONFIG: krb5Conf },
      input: `${PASSWORD}\n`,
      stdio: ["pipe", "ignore", "pipe"],
    });
    assert.match(klistAddresses(kdc.cache("addressed")), /Addresses: .*\d/);
    const conf = site.configuration(port);
    assert.equal((await site.auks(["-f", conf, "-a", "-C", kdc.cache("addressed")])).err, "");
    const got = join(kdc.directory, "addressless");
    await site.auks(["-f", conf, "-g", "-u1", "-C", got]);
    assert.match(klistAddresses(got), /krbtgt\/REALM\.A@REALM\.A[^]*Addresses: \(none\)/);
  });

  it("adds a ticket for another realm, which it requests like one for any service", async () => {
    const { port } = await site.keeper();
    kdc.login("bob", [], "crossing");
    const conf = site.configuration(port, { CrossRealm: "OTHER.REALM" });
    assert.equal((await site.auks(["-f", conf, "-a", "-C", kdc.cache("crossing")])).err, "");
    const got = join(kdc.directory, "crossed");
    await site.auks(["-f", conf, "-g", "-u1", "-C", got]);
    assert.match(klist(got), /krbtgt\/REALM\.A@REALM\.A[^]*krbtgt\/OTHER\.REALM@REALM\.A/);
  });

  it("sends the local ticket when there is none for another realm, and says so with -v", async () => {
    const { port } = await site.keeper();
    kdc.login("bob", [], "local");
    const conf = site.configuration(port, { CrossRealm: "NO.SUCH.REALM" });
    const quiet = await site.auks(["-f", conf, "-a", "-C", kdc.cache("local")]);
    assert.deepEqual([quiet.status, quiet.err], [0, ""]);
    const { status, err } = await site.auks(["-f", conf, "-v", "-a", "-C", kdc.cache("local")]);
    assert.equal(status, 0);
    assert.match(err, /^Warning: no ticket for krbtgt\/NO\.SUCH\.REALM@REALM\.A: /);
  });

  it("fills a cache in the kernel's keyring", { skip: !hasKeyring() }, async () => {
    const { port } = await site.keeper();
    const conf = site.configuration(port);
    await site.auks(["-f", conf, "-a"]);
    // A keyring that disappears with the process, so that the test leaves none behind.
    assert.equal(
      (await site.auks(["-f", conf, "-g", "-u1", "-C", "KEYRING:process:x"])).out,
      SUCCESS,
    );
  });

  it("leaves no other files beside the cache", async () => {
    const { port } = await site.keeper();
    const conf = site.configuration(port);
    await site.auks(["-f", conf, "-a"]);
    const directory = join(kdc.directory, "alone");
    mkdirSync(directory);
    await site.auks(["-f", conf, "-g", "-u1", "-C", join(directory, "cache")]);
    assert.deepEqual(readdirSync(directory), ["cache"]);
  });
});

/** Whether the kernel has keyrings, and this process may use them. */
function hasKeyring(): boolean {
  const { syscall } = openLibc({
    syscall: { args: ["i64", "i64", "i64", "i64"], returns: "i64" },
  });
  const KEYCTL = process.arch === "arm64" ? 219n : 250n;
  const [GET_KEYRING_ID, PROCESS_KEYRING] = [0n, -2n];
  return Number(syscall(KEYCTL, GET_KEYRING_ID, PROCESS_KEYRING, 1n)) > 0;
}
