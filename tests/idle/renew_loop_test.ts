// auks -R: where it takes a ticket from, that nothing ends the loop before the ticket has finally expired, and what
// stays in the cache.
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, chownSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, it } from "node:test";
import { formatErrorReply, formatGetReply } from "../../lib/auks/reply.ts";
import { parseRequest } from "../../lib/auks/request.ts";
import { parseKrbCred } from "../../lib/auks/krb_cred.ts";
import { summarizeKrbCred } from "../../lib/auks/krb_cred_summary.ts";
import type { PackedCredential } from "../../lib/auks/packed_credential.ts";
import { prepareCredential } from "../../lib/auks_client/outgoing_credential.ts";
import { Context } from "../../lib/krb5/context.ts";
import { MAIN } from "../harness/programs.ts";
import { suite } from "../suite.ts";
import { BOB_IS_DAEMON, Kdc, KDC_NEEDS } from "../auks/kdc.ts";
import { until } from "../harness/until.ts";
import { ScriptedAuksd } from "../auks/scripted_auksd.ts";

const SERVICE = "host/mngt.realm.a";
const BOB = 1;
/** The life of a ticket, and how much of it is left when it is due; some seconds less, as the KDC may begin it later than kinit. */
const LIFE = 60;
const DUE = 56;

suite("auks -R", KDC_NEEDS, () => {
  let kdc: Kdc;
  let auksd: ScriptedAuksd;
  let stored: PackedCredential | undefined;
  let gets = 0;
  const running = new Set<ChildProcess>();

  before(async () => {
    kdc = await Kdc.start({ realmLines: BOB_IS_DAEMON });
    kdc.enter();
    auksd = await ScriptedAuksd.start((bytes) => {
      const request = parseRequest(bytes);
      assert(request.type === "get" && request.uid === BOB, request.type);
      gets++;
      return stored === undefined
        ? formatErrorReply("notFound")
        : formatGetReply(stored, { dialect: "0.5", compact: true });
    }, { keytab: kdc.keytab(SERVICE) });
  });

  after(async () => {
    for (const child of running) child.kill("SIGKILL");
    auksd?.stop();
    await kdc?.stop();
  });

  /** Stores the ticket of a cache in the daemon. */
  function keep(cache: string): void {
    using context = Context.open();
    const source = { ccache: kdc.cache(cache), crossRealm: "", warn: () => {} };
    const { uid, krbCred } = prepareCredential(context, source);
    stored = { uid, krbCred, ...summarizeKrbCred(parseKrbCred(krbCred)) };
  }

  let files = 0;

  function configuration(minLifeTime: number, helper = "", port = auksd.port): string {
    const path = join(kdc.directory, `auks-${++files}.conf`);
    writeFileSync(
      path,
      `common { PrimaryHost = localhost ; PrimaryPort = ${port} ; NAT = yes ; Retries = 1 ; ` +
        `PrimaryPrincipal = "${SERVICE}@REALM.A" ; }\napi { ${
          helper === "" ? "" : `HelperScript = ${helper} ;`
        } }\nrenewer { MinLifeTime = ${minLifeTime} ; Delay = 1 ; LogLevel = 1 ; ` +
        `LogFile = ${path}.log ; DebugFile = ${path}.log ; }\n`,
    );
    return path;
  }

  function start(mode: string, conf: string, cache: string): ChildProcess & { err: string } {
    const args = [MAIN, "auks", "-f", conf, "-R", mode, "-C", kdc.cache(cache)];
    const child = spawn(process.execPath, args, { env: kdc.envOf(cache) });
    running.add(child);
    const watched = Object.assign(child, { err: "" });
    child.stderr.setEncoding("utf8").on("data", (text: string) => watched.err += text);
    return watched;
  }

  async function end(child: ChildProcess): Promise<number | string | null> {
    if (child.exitCode === null && child.signalCode === null) {
      await new Promise((resolve) => child.once("exit", resolve));
    }
    running.delete(child);
    return child.signalCode ?? child.exitCode;
  }

  async function once(conf: string, cache: string): Promise<{ status: unknown; err: string }> {
    const child = start("once", conf, cache);
    const status = await end(child);
    return { status, err: child.err };
  }

  const klist = (cache: string) =>
    execFileSync("/usr/bin/klist", ["-c", kdc.cache(cache)], { env: kdc.env, encoding: "utf8" });

  /** Whether the cache holds an unexpired ticket. */
  function isGood(cache: string): boolean {
    try {
      execFileSync("/usr/bin/klist", ["-s", "-c", kdc.cache(cache)], { env: kdc.env });
      return true;
    } catch {
      return false;
    }
  }

  /** Logs bob in for {@linkcode LIFE} seconds, and waits until his ticket is due. */
  async function loginUntilDue(cache: string, renewable = "1h"): Promise<void> {
    kdc.login("bob", ["-l", `${LIFE}`, "-r", renewable], cache);
    await wait(LIFE - DUE);
  }

  const wait = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

  it("leaves alone a ticket that is not due, and one whose lifetime is too short", async () => {
    kdc.login("bob");
    assert.deepEqual(await once(configuration(600), "bob"), {
      status: 39,
      err: "Auks API request failed : auks cred : credential is still valid\n",
    });
    kdc.login("bob", ["-l", "500"], "short");
    assert.equal((await once(configuration(600), "short")).status, 41);
    assert.equal((await once(configuration(600), "nowhere")).status, 4);
  });

  it("takes a ticket from auksd only if it is fresher", async () => {
    kdc.login("bob", ["-l", "50", "-r", "1h"], "older");
    kdc.login("bob", ["-l", "1h", "-r", "2h"], "fresher");
    keep("fresher");
    const conf = configuration(DUE);
    await loginUntilDue("due");
    assert.equal((await once(conf, "due")).status, 0);
    const seconds = (cache: string) => {
      const times = [...klist(cache).matchAll(/\d\d:\d\d:\d\d/g)].map(([time]) => {
        const [hours, minutes, seconds] = time.split(":").map(Number);
        return hours! * 3600 + minutes! * 60 + seconds!;
      });
      return (times[1]! - times[0]! + 86_400) % 86_400;
    };
    assert(seconds("due") > 3000, klist("due"));
    assert.match(readFileSync(`${conf}.log`, "utf8"), /auks -R: new ticket from auksd/);
    await loginUntilDue("due");
    keep("older");
    assert.equal((await once(conf, "due")).status, 0);
    assert.match(readFileSync(`${conf}.log`, "utf8"), /auks -R: new ticket from KDC/);
    assert(isGood("due"));
  });

  it("keeps service tickets", async () => {
    stored = undefined;
    await loginUntilDue("due");
    execFileSync("/usr/bin/kvno", ["host/login.realm.a"], {
      env: kdc.envOf("due"),
      stdio: "ignore",
    });
    assert.equal((await once(configuration(DUE), "due")).status, 0);
    assert.match(klist("due"), /host\/login\.realm\.a@REALM\.A/);
  });

  it("reports a refusal by the KDC", async () => {
    await loginUntilDue("final", `${LIFE}`);
    const { status, err } = await once(configuration(DUE), "final");
    assert.equal(status, 249);
    assert.match(err, /: krb5 cred : unable to renew credential \(it has reached the end of its/);
  });

  it("runs HelperScript, and fails with it", async () => {
    const script = join(kdc.directory, "helper");
    const output = join(kdc.directory, "helper.out");
    writeFileSync(
      script,
      `#!/bin/sh\necho "$# $AUKS_EVENT $KRB5CCNAME $(id -u)" >>${output}\nexit "$(cat ${output}.status)"\n`,
    );
    chmodSync(script, 0o755);
    for (const [status, expected] of [[0, 0], [3, 255]] as const) {
      writeFileSync(`${output}.status`, `${status}`);
      await loginUntilDue("due");
      assert.equal((await once(configuration(DUE, script), "due")).status, expected);
    }
    const line = `0 renewed ${kdc.cache("due")} ${process.getuid!()}\n`;
    assert.equal(readFileSync(output, "utf8"), line + line);
    assert.equal((await once(configuration(DUE, "/nowhere"), "bob")).status, 39);
    await loginUntilDue("due");
    const relative = await once(configuration(DUE, "helper"), "due");
    assert.equal(relative.status, 255);
    assert.match(relative.err, /HelperScript helper is not run: it is not an absolute path/);
    assert.equal(readFileSync(output, "utf8"), line + line);
  });

  it("the loop renews as long as the KDC does, and ends on TERM", async () => {
    stored = undefined;
    kdc.login("bob", ["-l", "12", "-r", "1h"], "loop");
    const child = start("loop", configuration(8), "loop");
    for (let second = 0; second < 15; second++) {
      assert(isGood("loop"), `second ${second}: ${child.err}`);
      await wait(1);
    }
    child.kill("SIGTERM");
    assert.equal(await end(child), "SIGTERM");
    assert.equal(child.err, "");
  });

  it("the loop takes a fresh ticket that the user gave auksd, although its own is still valid", async () => {
    kdc.login("bob", ["-l", "1h", "-r", "2h"], "loop");
    kdc.login("bob", ["-l", "5h", "-r", "6h"], "fresher");
    gets = 0;
    const child = start("loop", configuration(5), "loop");
    await until("the loop has asked auksd", () => gets > 0);
    const before = klist("loop");
    keep("fresher");
    await until("another ticket", () => klist("loop") !== before);
    assert(gets > 1);
    child.kill();
    await end(child);
  });

  it("the loop survives a simultaneous outage of auksd and KDC", async () => {
    stored = undefined;
    kdc.login("bob", ["-l", `${LIFE}`, "-r", "1h"], "loop");
    const conf = configuration(DUE, "", 1);
    const log = () => existsSync(`${conf}.log`) ? readFileSync(`${conf}.log`, "utf8") : "";
    const child = start("loop", conf, "loop");
    await wait(1);
    await kdc.down();
    await until("a failure", () => /unable to renew credential/.test(log()));
    await kdc.up();
    await until("a success", () => /unable to renew credential[^]*from KDC/.test(log()));
    assert.equal(child.exitCode, null);
    assert(isGood("loop"), log());
    child.kill();
    assert.equal(await end(child), "SIGTERM");
  });

  it("the loop reports that the ticket has expired for good, then ends", async () => {
    const output = join(kdc.directory, "expiring.out");
    const script = join(kdc.directory, "expiring");
    writeFileSync(script, `#!/bin/sh\necho "$AUKS_EVENT" >>${output}\n`);
    chmodSync(script, 0o755);
    kdc.login("bob", ["-l", "10", "-r", "10"], "final");
    const conf = configuration(2, script);
    const child = start("loop", conf, "final");
    assert.equal(await end(child), 40);
    assert.equal(child.err, "Auks API request failed : auks cred : credential expired\n");
    assert.equal(readFileSync(output, "utf8"), "expiring\n");
    assert.match(
      readFileSync(`${conf}.log`, "utf8"),
      /the ticket ends at \S+ and can't be renewed/,
    );
  });

  it("protects the tickets in its memory from other processes of the user", async () => {
    kdc.login("bob", ["-l", "1h", "-r", "2h"], "private");
    for (const path of [kdc.directory, dirname(kdc.cache("private"))]) chmodSync(path, 0o755);
    chownSync(kdc.cache("private"), BOB, BOB);
    const conf = configuration(600);
    const args = [MAIN, "auks", "-f", conf, "-R", "loop", "-C", kdc.cache("private")];
    const child = spawn(process.execPath, args, {
      env: kdc.envOf("private"),
      uid: BOB,
      gid: BOB,
      stdio: "ignore",
    });
    running.add(child);
    assert.match(readFileSync(`/proc/${child.pid}/status`, "utf8"), /^Uid:\t1\t/m);
    // The /proc files of a protected process belong to root.
    await until("protection", () => statSync(`/proc/${child.pid}/environ`).uid === 0);
    child.kill();
    await end(child);
  });

  it("the loop ends at once without a ticket", async () => {
    const child = start("loop", configuration(600), "nowhere");
    assert.equal(await end(child), 4);
    assert(!existsSync(kdc.cache("nowhere")));
  });
});
