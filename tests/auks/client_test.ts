// auks against a scripted auksd: dialects, refusals, silence, missing servers. The KDC and the credential caches are real.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { after, before, it } from "node:test";
import {
  formatAddReply,
  formatDumpReply,
  formatErrorReply,
  formatGetReply,
  formatPlainReply,
} from "../../lib/auks/reply.ts";
import { parseCcache, tgtsOf } from "../../lib/auks/ccache.ts";
import { parseRequest } from "../../lib/auks/request.ts";
import { type Dialect, DIALECTS, type PackedCredential } from "../../lib/auks/packed_credential.ts";
import { openLibc, ptr } from "../../lib/os/libc.ts";
import { until } from "../harness/until.ts";
import { suite } from "../suite.ts";
import { Kdc, KDC_NEEDS, PASSWORD } from "./kdc.ts";
import { ScriptedAuksd, type ScriptedOptions } from "./scripted_auksd.ts";

const MAIN = join(import.meta.dirname, "../../cli/main.ts");
const SERVICE = "host/mngt.realm.a";

interface Result {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
  readonly seconds: number;
}

/** Seconds between two rounds: a client that does not wait takes less, even on a busy machine. */
const DELAY_S = 12;

suite("auks", KDC_NEEDS, () => {
  let kdc: Kdc;
  const stored = new Map<number, PackedCredential>();
  const daemons: ScriptedAuksd[] = [];

  /** The UID to which bob's principal is mapped; an account that every system has. */
  const BOB = 1;

  before(async () => {
    kdc = await Kdc.start({
      realmLines: [
        "auth_to_local = RULE:[1:$1](^bob$)s/.*/daemon/",
        "auth_to_local = RULE:[1:$1](^alice$)s/.*/bin/",
        "auth_to_local = DEFAULT",
      ],
      users: ["krbtgt/OTHER.REALM"],
    });
    kdc.enter();
    kdc.login("bob");
    kdc.login("alice");
    chmodSync(kdc.directory, 0o755);
  });

  after(async () => {
    for (const daemon of daemons) daemon.stop();
    await kdc?.stop();
  });

  /** A daemon that stores credentials and packs them in a given dialect. */
  async function keeper(
    dialect: Dialect = "head",
    compact = false,
    options: Partial<ScriptedOptions> = {},
  ): Promise<ScriptedAuksd> {
    const packing = { dialect, compact };
    return await play((bytes, client) => {
      const request = parseRequest(bytes);
      switch (request.type) {
        case "add": {
          const report = { outcome: "stored", uid: BOB, endtime: 1, renewTill: 2 } as const;
          stored.set(BOB, credentialOf(request.krbCred.slice(), client));
          return formatAddReply(report);
        }
        case "get": {
          const found = stored.get(request.uid);
          return found === undefined
            ? formatErrorReply("notFound")
            : formatGetReply(found, packing);
        }
        case "remove":
          return stored.delete(request.uid)
            ? formatPlainReply("remove")
            : formatErrorReply("notFound");
        case "dump":
          return formatDumpReply([...stored.values()], packing);
        default:
          return formatPlainReply("ping");
      }
    }, options);
  }

  function credentialOf(krbCred: Uint8Array, principal: string): PackedCredential {
    const now = Math.floor(Date.now() / 1000);
    const times = { starttime: now, endtime: now + 86_400, renewTill: now + 604_800 };
    return { uid: BOB, principal, krbCred, addressless: true, crossrealm: false, ...times };
  }

  async function play(
    script: Parameters<typeof ScriptedAuksd.start>[0],
    options: Partial<ScriptedOptions> = {},
  ): Promise<ScriptedAuksd> {
    const daemon = await ScriptedAuksd.start(script, {
      keytab: kdc.keytab(SERVICE),
      ...options,
    });
    daemons.push(daemon);
    return daemon;
  }

  let files = 0;

  /** Writes an auks.conf. @param settings of the block common that differ from the default. */
  function configuration(port: number | string, settings: Record<string, string> = {}): string {
    const path = join(kdc.directory, `auks-${++files}.conf`);
    const common = {
      PrimaryHost: "localhost",
      PrimaryPort: `${port}`,
      PrimaryPrincipal: `${SERVICE}@REALM.A`,
      NAT: "yes",
      Retries: "3",
      Delay: `${DELAY_S}`,
      ...settings,
    };
    const lines = Object.entries(common).map(([key, value]) => `${key} = "${value}" ;`);
    writeFileSync(
      path,
      `common { ${lines.join(" ")} }\napi { }\n` +
        "renewer { MinLifeTime = 600 ; Delay = 1 ; LogLevel = 0 ; }\n",
    );
    return path;
  }

  async function auks(args: readonly string[], cache = "bob", input?: Uint8Array): Promise<Result> {
    const started = performance.now();
    const child = spawn(process.execPath, [MAIN, "auks", ...args], { env: kdc.envOf(cache) });
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    const collect = async (stream: NodeJS.ReadableStream) => {
      let text = "";
      for await (const chunk of stream) text += (chunk as Buffer).toString("latin1");
      return text;
    };
    const [out, err, status] = await Promise.all([
      collect(child.stdout),
      collect(child.stderr),
      new Promise<number | null>((resolve) => child.on("close", resolve)),
    ]);
    return { status, out, err, seconds: (performance.now() - started) / 1000 };
  }

  function klist(path: string): string {
    return execFileSync("/usr/bin/klist", ["-f", "-c", path], { env: kdc.env, encoding: "utf8" });
  }

  function klistAddresses(path: string): string {
    const args = ["-a", "-n", "-c", path];
    return execFileSync("/usr/bin/klist", args, { env: kdc.env, encoding: "utf8" });
  }

  const SUCCESS = "Auks API request succeed\n";
  const failed = (text: string) => `Auks API request failed : ${text}\n`;

  for (const dialect of Object.keys(DIALECTS) as Dialect[]) {
    for (const compact of [false, true]) {
      it(`reads ${compact ? "compact " : ""}replies of ${dialect}`, async () => {
        const { port } = await keeper(dialect, compact);
        const conf = configuration(port);
        assert.deepEqual({ ...await auks(["-f", conf, "-a"]), seconds: 0 }, {
          status: 0,
          out: SUCCESS,
          err: "",
          seconds: 0,
        });
        const got = join(kdc.directory, `got-${dialect}-${compact}`);
        assert.equal((await auks(["-f", conf, "-g", "-u", `${BOB}`, "-C", got])).out, SUCCESS);
        assert.match(klist(got), /Default principal: bob@REALM.A\n[^]*krbtgt\/REALM.A@REALM.A/);
        assert.equal(statSync(got).mode & 0o777, 0o600);
        const { out } = await auks(["-f", conf, "-D"]);
        assert.match(out, /\n1 {10}bob@REALM\.A {24}20\d\d-/);
        assert(out.endsWith(SUCCESS));
        assert.equal((await auks(["-f", conf, "--remove", "-u", "daemon"])).out, SUCCESS);
        const again = await auks(["-f", conf, "-r", `-u${BOB}`]);
        assert.equal(again.status, 147);
        assert.equal(
          again.err,
          failed("auks api : reply type is invalid (no ticket is stored for this user)"),
        );
      });
    }
  }

  it("works with addresses as well", async () => {
    const { port } = await keeper("0.5", false, { nat: false });
    assert.equal((await auks(["-f", configuration(port, { NAT: "no" }), "-p"])).out, SUCCESS);
  });

  it("-v -a reports what happened to the ticket", async () => {
    const { port } = await keeper();
    assert.equal(
      (await auks(["-f", configuration(port), "-v", "-a"])).out,
      `bob@REALM.A, uid 1: stored, good until 1970-01-01T00:00:01.000Z\n${SUCCESS}`,
    );
  });

  it("--send and --receive carry a ticket without a daemon at the other end", async () => {
    const { port } = await keeper();
    const conf = configuration(port);
    await auks(["-f", conf, "-a"]);
    const sent = await auks(["-f", conf, "--send", "-u", `${BOB}`]);
    assert.equal(sent.status, 0);
    assert.equal(sent.out.length, 32_949);
    const bytes = Buffer.from(sent.out, "latin1");
    const path = join(kdc.directory, "received");
    assert.equal((await auks(["-f", conf, "--receive", "-C", path], "none", bytes)).out, SUCCESS);
    assert.match(klist(path), /Default principal: bob@REALM.A/);
    const cut = await auks(
      ["-f", conf, "--receive", "-C", path],
      "none",
      bytes.subarray(0, 20_000),
    );
    assert.equal(cut.status, 146);
    const short = await auks(["-f", conf, "--receive", "-C", path], "none", bytes.subarray(0, 4));
    assert.equal(short.status, 255);
    assert.match(short.err, /^Auks API request failed : generic error \(/);
    const nowhere = await auks(["-f", conf, "--receive", "-C", "/nowhere/x"], "none", bytes);
    assert.equal(nowhere.status, 3);
    assert.match(nowhere.err, /krb5 cred : unable to init credential cache \(/);
  });

  it("-g fails with the original's message in every case, and leaves the cache unchanged", async () => {
    const { port } = await keeper();
    const conf = configuration(port);
    stored.clear();
    const path = join(kdc.directory, "kept");
    execFileSync("cp", [kdc.cache("alice"), path]);
    const missing = await auks(["-f", conf, "-g", "-u", "99999", "-C", path]);
    assert.equal(missing.status, 146);
    assert.match(missing.err, /: auks api : reply seems corrupted \(no ticket is stored/);
    assert.match(klist(path), /alice@REALM.A/);
    await auks(["-f", conf, "-a"]);
    const unwritable = await auks(["-f", conf, "-g", "-u1", "-C", "/nowhere/got"]);
    assert.equal(unwritable.status, 87);
    assert.match(unwritable.err, /: auks api : reply processing failed \(FILE:\/nowhere\/got: No /);
    const unknown = await auks(["-f", conf, "-g", "-u1", "-C", "FOO:bar"]);
    assert.equal(unknown.status, 87);
    const nobody = await auks(["-f", conf, "-g", "-u", "no such user"]);
    assert.equal(nobody.status, 89);
  });

  it("fills caches of the types DIR and MEMORY", async () => {
    const { port } = await keeper();
    const conf = configuration(port);
    await auks(["-f", conf, "-a"]);
    const directory = join(kdc.directory, "ccd");
    mkdirSync(directory, { mode: 0o700 });
    assert.equal((await auks(["-f", conf, "-g", "-u1", "-C", `DIR:${directory}`])).out, SUCCESS);
    assert.match(klist(`DIR:${directory}`), /Ticket cache: DIR::.*\/tkt\n.*bob@REALM.A/);
    assert.equal((await auks(["-f", conf, "-g", "-u1", "-C", "MEMORY:x"])).out, SUCCESS);
  });

  it("sends a ticket without addresses instead of one with addresses", async () => {
    const { port } = await keeper();
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
    const conf = configuration(port);
    assert.equal((await auks(["-f", conf, "-a", "-C", kdc.cache("addressed")])).err, "");
    const got = join(kdc.directory, "addressless");
    await auks(["-f", conf, "-g", "-u1", "-C", got]);
    assert.match(klistAddresses(got), /krbtgt\/REALM\.A@REALM\.A[^]*Addresses: \(none\)/);
  });

  it("adds a ticket for another realm, which it requests like one for any service", async () => {
    const { port } = await keeper();
    kdc.login("bob", [], "crossing");
    const conf = configuration(port, { CrossRealm: "OTHER.REALM" });
    assert.equal((await auks(["-f", conf, "-a", "-C", kdc.cache("crossing")])).err, "");
    const got = join(kdc.directory, "crossed");
    await auks(["-f", conf, "-g", "-u1", "-C", got]);
    assert.match(klist(got), /krbtgt\/REALM\.A@REALM\.A[^]*krbtgt\/OTHER\.REALM@REALM\.A/);
  });

  it("sends the local ticket when there is none for another realm, and says so with -v", async () => {
    const { port } = await keeper();
    kdc.login("bob", [], "local");
    const conf = configuration(port, { CrossRealm: "NO.SUCH.REALM" });
    const quiet = await auks(["-f", conf, "-a", "-C", kdc.cache("local")]);
    assert.deepEqual([quiet.status, quiet.err], [0, ""]);
    const { status, err } = await auks(["-f", conf, "-v", "-a", "-C", kdc.cache("local")]);
    assert.equal(status, 0);
    assert.match(err, /^Warning: no ticket for krbtgt\/NO\.SUCH\.REALM@REALM\.A: /);
  });

  it("fills a cache in the kernel's keyring", { skip: !hasKeyring() }, async () => {
    const { port } = await keeper();
    const conf = configuration(port);
    await auks(["-f", conf, "-a"]);
    // A keyring that disappears with the process, so that the test leaves none behind.
    assert.equal((await auks(["-f", conf, "-g", "-u1", "-C", "KEYRING:process:x"])).out, SUCCESS);
  });

  it("leaves no other files beside the cache", async () => {
    const { port } = await keeper();
    const conf = configuration(port);
    await auks(["-f", conf, "-a"]);
    const directory = join(kdc.directory, "alone");
    mkdirSync(directory);
    await auks(["-f", conf, "-g", "-u1", "-C", join(directory, "cache")]);
    assert.deepEqual(readdirSync(directory), ["cache"]);
  });

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
      err: /request processing failed \(the configuration names no principal of auksd\)$/,
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
      const daemon = await keeper();
      const conf = configuration(daemon.port, more);
      const result = await auks(["-f", conf, ...args], cache);
      assert.match(result.err.trimEnd(), err);
      assert.equal(result.out, "");
      assert.equal(result.status, status);
      assert(result.seconds < DELAY_S, `${result.seconds} s`);
      assert(daemon.connections <= 1);
    });
  }

  it("an expired ticket is reported at once, and never sent", async () => {
    const { port } = await keeper();
    const conf = configuration(port);
    kdc.login("bob", ["-l", "1"], "short");
    const [tgt] = tgtsOf(parseCcache(readFileSync(kdc.cache("short"))));
    const isOver = () => Date.now() / 1000 >= tgt!.endtime + 1; // libkrb5 uses it in that second, too
    await until("the ticket has expired", isOver);
    const ping = await auks(["-f", conf, "-p"], "short");
    assert.equal(ping.status, 90);
    assert.match(
      ping.err,
      /request processing failed \(the ticket in FILE:\S+\/short has expired\)/,
    );
    assert(ping.seconds < DELAY_S);
    const add = await auks(["-f", conf, "-a", "-C", kdc.cache("short")]);
    assert.equal(add.status, 250);
    assert.match(add.err, /krb5 cred : TGT has expired \(the ticket in .* ended at 20/);
  });

  it("a client without access gets a reason that names the settings to check", async () => {
    const { port } = await keeper("head", false, { closesAfterAuthentication: true });
    const conf = configuration(port);
    const ping = await auks(["-f", conf, "-p"]);
    assert.equal(ping.status, 90);
    assert.match(ping.err, /its ACL has no rule for bob@REALM\.A, or NAT is not the same on both/);
    const add = await auks(["-f", conf, "-a"]);
    assert.equal(add.status, 145);
    assert.match(add.err, /: krb5 stream : unable to read data \(/);
    assert(add.seconds < DELAY_S);
  });

  it("a mismatch of NAT is reported", async () => {
    const { port } = await keeper("head", false, { nat: true });
    const { status, err } = await auks(["-f", configuration(port, { NAT: "no" }), "-p"]);
    assert.equal(status, 90);
    assert.match(err, /NAT is not the same on both sides/);
  });

  it("a service that is not auksd is recognized", async () => {
    const { port } = await keeper("head", false, { greeting: new TextEncoder().encode("220 ") });
    const { status, err } = await auks(["-f", configuration(port), "-a"]);
    assert.equal(status, 153);
    assert.match(err, /the server there is not auksd/);
  });

  it("the original refuses without a reason, so a likely one is given", async () => {
    const { port } = await play(() => Uint8Array.of(0, 0, 0, 21));
    const { status, err } = await auks(["-f", configuration(port), "-g", "-u77"]);
    assert.equal(status, 146);
    assert.match(err, /nothing is stored for uid 77, or it is not ours to ask for/);
  });

  it("tries the servers that can't be reached in rounds, with pauses between them", async () => {
    const none = await freePort();
    const conf = configuration(none, { Retries: "2" });
    const { status, err, seconds } = await auks(["-f", conf, "-a"]);
    assert.equal(status, 247);
    assert.equal(
      err,
      failed(`auks api : connection failed (localhost:${none}: Connection refused)`),
    );
    assert(seconds > DELAY_S && seconds < 2 * DELAY_S, `${seconds} s`);
    const one = await auks(["-f", configuration(none, { Retries: "1" }), "-p"]);
    assert.equal(one.status, 90);
    assert(one.seconds < DELAY_S);
  });

  it("asks the secondary when the primary ends in the middle of a request", async () => {
    const primary = await play(() => "close");
    const secondary = await keeper();
    const conf = configuration(primary.port, {
      SecondaryHost: "localhost",
      SecondaryPort: `${secondary.port}`,
      SecondaryPrincipal: `${SERVICE}@REALM.A`,
    });
    const { out, seconds } = await auks(["-f", conf, "-a"]);
    assert.equal(out, SUCCESS);
    assert(seconds < DELAY_S);
    assert.deepEqual([primary.connections, secondary.connections], [1, 1]);
  });

  it("falls back to the secondary", async () => {
    const secondary = await keeper();
    const conf = configuration(await freePort(), {
      SecondaryHost: "localhost",
      SecondaryPort: `${secondary.port}`,
      SecondaryPrincipal: `${SERVICE}@REALM.A`,
    });
    const { out, seconds } = await auks(["-f", conf, "-p"]);
    assert.equal(out, SUCCESS);
    assert(seconds < DELAY_S);
    assert.equal(secondary.connections, 1);
  });

  it("an unknown host name is reported", async () => {
    const conf = configuration(1, { PrimaryHost: "nowhere.invalid", Retries: "1" });
    const { status, err } = await auks(["-f", conf, "-a"]);
    assert.equal(status, 247);
    assert.match(err, /connection failed \(nowhere\.invalid: /);
  });

  it("the HOWTO's notation of a principal is accepted, with a warning", async () => {
    const { port } = await keeper();
    const conf = configuration(port, { PrimaryPrincipal: "host/mngt.realm.a/REALM.A" });
    assert.deepEqual((await auks(["-f", conf, "-p"])).out, SUCCESS);
    const { out } = await auks(["-f", conf, "-v", "-p"]);
    assert.match(out, /PrimaryPrincipal .*is read as "host\/mngt\.realm\.a@REALM\.A"/);
  });

  it("a port may be the name of a service", async () => {
    const conf = configuration("nosuchservice");
    const { status, err } = await auks(["-f", conf, "-p"]);
    assert.equal(status, 63);
    assert.match(err, /^Auks API request failed : .*unknown port "nosuchservice"/);
    const known = await auks(["-f", configuration("domain", { Retries: "1" }), "-a"]);
    assert.match(known.err, /localhost:53: /);
  });

  it("a server that does not accept the connection costs no more than Timeout", async () => {
    const full = await fullListener();
    try {
      const conf = configuration(full.port, { Timeout: "1", Retries: "1" });
      const { status, err, seconds } = await auks(["-f", conf, "-a"]);
      assert.equal(status, 247);
      assert.match(err, /Connection timed out/);
      assert(seconds < 30, `${seconds} s`); // the system's own limit is two minutes
    } finally {
      full.close();
    }
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

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

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
