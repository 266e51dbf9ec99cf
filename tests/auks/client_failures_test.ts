// auks when something is wrong: tickets, configurations, daemons that refuse, and servers that can't be reached.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { after, before, it } from "node:test";
import { parseCcache, tgtsOf } from "../../lib/auks/ccache.ts";
import { openLibc, ptr } from "../../lib/os/libc.ts";
import { until } from "../harness/until.ts";
import { suite } from "../suite.ts";
import { ClientSite, DELAY_S, failed, SERVICE, SUCCESS } from "./client_site.ts";
import { freePort, type Kdc, KDC_NEEDS } from "./kdc.ts";

suite("failures of auks", KDC_NEEDS, () => {
  let site: ClientSite;
  let kdc: Kdc;

  before(async () => {
    site = await ClientSite.start();
    kdc = site.kdc;
  });

  after(() => site?.stop());

  /** Failures that waiting does not cure: reported at once, with the reason after the original's text. */
  const LASTING: readonly {
    readonly name: string;
    readonly cache?: string;
    readonly more?: Record<string, string>;
    readonly args: readonly string[];
    readonly status: number;
    readonly err: RegExp;
  }[] = [
    {
      name: "no credential cache",
      cache: "nowhere",
      args: ["-p"],
      status: 90,
      err:
        /: auks api : request processing failed \(no ticket: FILE:\S+\/nowhere does not exist\)$/,
    },
    {
      name: "no credential cache to add",
      cache: "nowhere",
      args: ["-a"],
      status: 4,
      err: /: krb5 cred : unable to read credential cache \(no ticket: FILE:\S+ does not exist\)$/,
    },
    {
      name: "an unknown type of cache",
      args: ["-a", "-C", "FOO:bar"],
      status: 5,
      err:
        /: krb5 cred : unable to open credential cache \(FOO:bar: Unknown credential cache type\)$/,
    },
    {
      name: "a principal that the KDC does not know",
      more: { PrimaryPrincipal: "host/nobody.realm.a@REALM.A" },
      args: ["-a"],
      status: 153,
      err: /: krb5 sendauth stage failed \(client side\) \(the KDC does not know host\/nobody/,
    },
    {
      name: "a principal that is not the daemon's",
      more: { PrimaryPrincipal: "host/login.realm.a@REALM.A" },
      args: ["-p"],
      status: 90,
      err: /: auks api : request processing failed \(.*host\/login\.realm\.a@REALM\.A/,
    },
    {
      name: "no principal",
      more: { PrimaryPrincipal: "" },
      args: ["-p"],
      status: 90,
      err: /request processing failed \(the configuration does not set auksd's principal\)$/,
    },
    {
      name: "no rounds",
      more: { Retries: "0" },
      args: ["-p"],
      status: 90,
      err: /request processing failed \(Retries is 0, so auksd is never asked\)$/,
    },
    {
      name: "no rounds for an add",
      more: { Retries: "0" },
      args: ["-a"],
      status: 255,
      err: /: generic error \(Retries is 0/,
    },
  ];

  for (const { name, cache, more, args, status, err } of LASTING) {
    it(`${name} is reported at once`, async () => {
      const daemon = await site.keeper();
      const conf = site.configuration(daemon.port, more);
      const result = await site.auks(["-f", conf, ...args], cache);
      assert.match(result.err.trimEnd(), err);
      assert.equal(result.out, "");
      assert.equal(result.status, status);
      assert(result.seconds < DELAY_S, `${result.seconds} s`);
      assert(daemon.connections <= 1);
    });
  }

  it("an expired ticket is reported at once, and never sent", async () => {
    const { port } = await site.keeper();
    const conf = site.configuration(port);
    kdc.login("bob", ["-l", "1"], "short");
    const [tgt] = tgtsOf(parseCcache(readFileSync(kdc.cache("short"))));
    const isOver = () => Date.now() / 1000 >= tgt!.endtime + 1; // libkrb5 uses it in that second, too
    await until("the ticket has expired", isOver);
    const ping = await site.auks(["-f", conf, "-p"], "short");
    assert.equal(ping.status, 90);
    assert.match(
      ping.err,
      /request processing failed \(the ticket in FILE:\S+\/short has expired\)/,
    );
    assert(ping.seconds < DELAY_S);
    const add = await site.auks(["-f", conf, "-a", "-C", kdc.cache("short")]);
    assert.equal(add.status, 250);
    assert.match(add.err, /krb5 cred : TGT has expired \(the ticket in .* ended at 20/);
  });

  it("a client without access gets a reason that names the settings to check", async () => {
    const { port } = await site.keeper("head", false, { closesAfterAuthentication: true });
    const conf = site.configuration(port);
    const ping = await site.auks(["-f", conf, "-p"]);
    assert.equal(ping.status, 90);
    assert.match(ping.err, /its ACL has no rule for bob@REALM\.A, or NAT is not the same on both/);
    const add = await site.auks(["-f", conf, "-a"]);
    assert.equal(add.status, 145);
    assert.match(add.err, /: krb5 stream : unable to read data \(/);
    assert(add.seconds < DELAY_S);
  });

  it("a mismatch of NAT is reported", async () => {
    const { port } = await site.keeper("head", false, { nat: true });
    const { status, err } = await site.auks(["-f", site.configuration(port, { NAT: "no" }), "-p"]);
    assert.equal(status, 90);
    assert.match(err, /NAT is not the same on both sides/);
  });

  it("a service that is not auksd is recognized", async () => {
    const { port } = await site.keeper("head", false, {
      greeting: new TextEncoder().encode("220 "),
    });
    const { status, err } = await site.auks(["-f", site.configuration(port), "-a"]);
    assert.equal(status, 153);
    assert.match(err, /the server there is not auksd/);
  });

  it("the original refuses without a reason, so a likely one is given", async () => {
    const { port } = await site.play(() => Uint8Array.of(0, 0, 0, 21));
    const { status, err } = await site.auks(["-f", site.configuration(port), "-g", "-u77"]);
    assert.equal(status, 146);
    assert.match(err, /nothing is stored for uid 77, or it is not ours to ask for/);
  });

  it("tries the servers that can't be reached in rounds, with pauses between them", async () => {
    const none = await freePort();
    const conf = site.configuration(none, { Retries: "2" });
    const { status, err, seconds } = await site.auks(["-f", conf, "-a"]);
    assert.equal(status, 247);
    assert.equal(
      err,
      failed(`auks api : connection failed (localhost:${none}: Connection refused)`),
    );
    assert(seconds > DELAY_S && seconds < 2 * DELAY_S, `${seconds} s`);
    const one = await site.auks(["-f", site.configuration(none, { Retries: "1" }), "-p"]);
    assert.equal(one.status, 90);
    assert(one.seconds < DELAY_S);
  });

  it("asks the secondary when the primary ends in the middle of a request", async () => {
    const primary = await site.play(() => "close");
    const secondary = await site.keeper();
    const conf = site.configuration(primary.port, {
      SecondaryHost: "localhost",
      SecondaryPort: `${secondary.port}`,
      SecondaryPrincipal: `${SERVICE}@REALM.A`,
    });
    const { out, seconds } = await site.auks(["-f", conf, "-a"]);
    assert.equal(out, SUCCESS);
    assert(seconds < DELAY_S);
    assert.deepEqual([primary.connections, secondary.connections], [1, 1]);
  });

  it("falls back to the secondary", async () => {
    const secondary = await site.keeper();
    const conf = site.configuration(await freePort(), {
      SecondaryHost: "localhost",
      SecondaryPort: `${secondary.port}`,
      SecondaryPrincipal: `${SERVICE}@REALM.A`,
    });
    const { out, seconds } = await site.auks(["-f", conf, "-p"]);
    assert.equal(out, SUCCESS);
    assert(seconds < DELAY_S);
    assert.equal(secondary.connections, 1);
  });

  it("an unknown host name is reported", async () => {
    const conf = site.configuration(1, { PrimaryHost: "nowhere.invalid", Retries: "1" });
    const { status, err } = await site.auks(["-f", conf, "-a"]);
    assert.equal(status, 247);
    assert.match(err, /connection failed \(nowhere\.invalid: /);
  });

  it("the HOWTO's notation of a principal is accepted, with a warning", async () => {
    const { port } = await site.keeper();
    const conf = site.configuration(port, { PrimaryPrincipal: "host/mngt.realm.a/REALM.A" });
    assert.deepEqual((await site.auks(["-f", conf, "-p"])).out, SUCCESS);
    const { out } = await site.auks(["-f", conf, "-v", "-p"]);
    assert.match(out, /PrimaryPrincipal .*is read as "host\/mngt\.realm\.a@REALM\.A"/);
  });

  it("a port may be the name of a service", async () => {
    const conf = site.configuration("nosuchservice");
    const { status, err } = await site.auks(["-f", conf, "-p"]);
    assert.equal(status, 63);
    assert.match(err, /^Auks API request failed : .*unknown port "nosuchservice"/);
    const known = await site.auks(["-f", site.configuration("domain", { Retries: "1" }), "-a"]);
    assert.match(known.err, /localhost:53: /);
  });

  it("a Timeout longer than any timer is not over at once", async () => {
    const daemon = await site.keeper();
    const conf = site.configuration(daemon.port, { Timeout: "9999999", Retries: "1" });
    const { status, err } = await site.auks(["-f", conf, "-p"]);
    assert.equal(status, 0, err);
  });

  it("a server that does not accept the connection costs no more than Timeout", async () => {
    const full = await fullListener();
    try {
      const conf = site.configuration(full.port, { Timeout: "1", Retries: "1" });
      const { status, err, seconds } = await site.auks(["-f", conf, "-a"]);
      assert.equal(status, 247);
      assert.match(err, /Connection timed out/);
      assert(seconds < 30, `${seconds} s`); // the system's own limit is two minutes
    } finally {
      full.close();
    }
  });
});

/** A listener with a full queue, so that the kernel drops further connections. */
async function fullListener(): Promise<{ port: number; close(): void }> {
  const { socket, bind, listen, close } = openLibc({
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
    listen: { args: ["i32", "i32"], returns: "i32" },
    close: { args: ["i32"], returns: "i32" },
  });
  const port = await freePort();
  const fd = socket(2, 1, 0);
  const address = Uint8Array.of(2, 0, port >> 8, port & 255, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);
  assert.equal(bind(fd, ptr(address), address.length), 0);
  assert.equal(listen(fd, 0), 0);
  const filler = connect(port, "127.0.0.1");
  await new Promise((resolve) => filler.once("connect", resolve));
  return {
    port,
    close() {
      filler.destroy();
      close(fd);
    },
  };
}
