// auksdrenewer, two of them, with a real KDC and our auksd: forty tickets of forty seconds stay good through a
// restart of auksd and an outage of the KDC, and none is renewed twice.
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { type ForwardedTicket, list } from "../../lib/auks_client/auks.ts";
import { clientSettings, readConfiguration } from "../../lib/auks_client/configuration.ts";
import { readTickets } from "../../lib/auks_client/credential_cache.ts";
import { add } from "../../lib/auks_client/requests.ts";
import { Context } from "../../lib/krb5/context.ts";
import { makeKrbCred } from "../../lib/krb5/credential.ts";
import { suite } from "../suite.ts";
import { Auksd, PROGRAM, SANDBOX_NEEDS } from "../auks/auksd.ts";
import { Kdc, KDC_NEEDS } from "../auks/kdc.ts";
import { until } from "../harness/until.ts";

const COUNT = 40;
const LIFE = 40;
const MIN_LIFE_TIME = 20;
/** The earliest age at which a ticket with this life is renewed: an eighth of its life before it is due. */
const earliest = (life: number) => life - MIN_LIFE_TIME - life / 8;
const USERS = Array.from({ length: COUNT }, (_, at) => `user${at + 10}`);

suite("auksdrenewer", { ...KDC_NEEDS, ...SANDBOX_NEEDS }, () => {
  let kdc: Kdc;
  let auksd: Auksd;
  /** Of each user's ticket: on a busy machine, the KDC begins it some seconds after kinit has decided when it ends. */
  const lives = new Map<string, number>();
  const renewers: (ChildProcess & { log?: string })[] = [];

  before(async () => {
    kdc = await Kdc.start({ users: USERS });
    kdc.enter();
    kdc.loginService("host/mngt.realm.a", "mngt");
    auksd = await Auksd.start({
      keytab: kdc.keytab("host/mngt.realm.a"),
      acl: "rule { principal = ^host/mngt[.]realm[.]a@REALM[.]A$ ; host = * ; role = admin ; }\n",
      accounts: Object.fromEntries(USERS.map((name, at) => [name, 3000 + at])),
      own: `} renewer { Delay = 1 ; MinLifeTime = ${MIN_LIFE_TIME} ; LogLevel = 2 ;`,
      env: kdc.env,
    });
    using context = Context.open();
    for (const user of USERS) {
      kdc.login(user, ["-l", `${LIFE}`, "-r", "1h"]);
      const tickets = readTickets(context, kdc.cache(user));
      const { startTime, authTime, endTime } = tickets.tgt;
      lives.set(user, endTime - (startTime || authTime));
      await add(context, settings(), makeKrbCred(context, [tickets.tgt]));
      tickets.free();
    }
  });

  after(async () => {
    for (const child of renewers) child.kill("SIGKILL");
    await auksd?.stop();
    await kdc?.stop();
  });

  const settings = () => clientSettings(readConfiguration(auksd.config), kdc.cache("mngt"));
  const tickets = () => list({ config: auksd.config, ccache: kdc.cache("mngt") });

  function start(...options: string[]): ChildProcess & { log?: string } {
    const [program, ...args] = [...PROGRAM, "auksdrenewer", "-F", "-f", auksd.config, ...options];
    const child: ChildProcess & { log?: string } = spawn(program!, args, {
      env: kdc.envOf("mngt"),
      stdio: ["ignore", "ignore", "pipe"],
    });
    child.log = "";
    child.stderr!.on("data", (text) => child.log += text);
    renewers.push(child);
    return child;
  }

  /** Requires that all tickets are good, for so many seconds and until `holds`. */
  async function allGood(seconds: number, holds = () => true): Promise<void> {
    for (let second = 0; second < seconds || !holds(); second++) {
      assert(second < 120, "in vain");
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const found: ForwardedTicket[] = await tickets();
      assert.equal(found.length, COUNT);
      for (const { principal, endTime } of found) assert(+endTime > Date.now(), principal);
    }
  }

  /** When each user's ticket was renewed, by the KDC's log, in seconds since midnight. */
  function renewals(): Map<string, number[]> {
    const log = readFileSync(join(kdc.directory, "kdc.log"), "latin1");
    const found = new Map<string, number[]>();
    for (
      const [, hours, minutes, seconds, user] of log.matchAll(
        / (\d\d):(\d\d):(\d\d) .*TGS_REQ .*ISSUE: .* (user\d+)@REALM\.A for krbtgt\/REALM\.A@REALM\.A/g,
      )
    ) {
      const time = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
      found.set(user!, [...found.get(user!) ?? [], time]);
    }
    return found;
  }

  it("keeps all tickets valid beside another renewer, and renews none twice", async () => {
    const metrics = join(kdc.directory, "renewer.prom");
    const first = start("--metrics-file", metrics, "--parallel", "4");
    const second = start();
    await allGood(20);
    // auksd restarts, and the KDC is away for a while.
    auksd.signal("SIGTERM");
    await auksd.ended();
    await kdc.down();
    await new Promise((resolve) => setTimeout(resolve, 3000));
    await auksd.start();
    await new Promise((resolve) => setTimeout(resolve, 2000));
    await kdc.up();
    // Long enough for every ticket to be renewed a second time.
    await allGood(20, () => {
      const counts = [...renewals().values()].map(({ length }) => length);
      return counts.length === COUNT && Math.min(...counts) > 1;
    });
    const byUser = renewals();
    for (const [user, times] of byUser) {
      for (const [at, time] of times.slice(1).entries()) {
        const least = earliest(lives.get(user)!) - 1;
        assert(time - times[at]! >= least, `${user} was renewed twice: ${times}`);
      }
    }
    assert.match(readFileSync(metrics, "utf8"), /^auksdrenewer_credentials \d+$/m);
    for (const child of [first, second]) {
      child.kill("SIGTERM");
      assert.equal(await new Promise((resolve) => child.once("close", resolve)), 0, child.log);
      assert.match(child.log!, /ending main loop\n.*exiting\n$/);
    }
    assert.match(
      first.log! + second.log!,
      /unable to dump auksd creds : auks api : request processing/,
    );
    assert(!existsSync(metrics), "outdated numbers");
  });

  it("--status lists what auksd keeps, and what will become of it", () => {
    const [program, ...args] = [...PROGRAM, "auksdrenewer", "--status", "-f", auksd.config];
    const { status, stdout } = spawnSync(program!, args, {
      env: kdc.envOf("mngt"),
      encoding: "utf8",
    });
    assert.equal(status, 0);
    assert.match(stdout, /^UID +PRINCIPAL .* STATE\n3000 +user10@REALM\.A .* (good|due)\n/);
    assert.match(stdout, new RegExp(`\n${COUNT} creds, `));
  });

  it("goes into the background, and leaves nothing there", async () => {
    const log = join(kdc.directory, "background.log");
    const [program, ...args] = [...PROGRAM, "auksdrenewer", "-f", auksd.config, "-l", log];
    execFileSync(program!, args, { env: kdc.envOf("mngt") });
    let pid = 0;
    await until("its process ID in the log", () => {
      pid = existsSync(log) ? Number(/pid=(\d+)\b/.exec(readFileSync(log, "utf8"))?.[1]) : 0;
      return pid > 0;
    });
    process.kill(pid, "SIGTERM");
    await until("its end", () => !existsSync(`/proc/${pid}`));
    assert.match(readFileSync(log, "utf8"), /exiting\n$/);
  });
});
