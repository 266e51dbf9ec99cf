// mungebox doctor --auks: a working set-up, and for each way to break it the cause and the remedy.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { MAIN } from "../harness/programs.ts";
import { suite } from "../suite.ts";
import { Auksd } from "./auksd.ts";
import { freePort, Kdc, KDC_NEEDS } from "./kdc.ts";

suite("mungebox doctor --auks", KDC_NEEDS, () => {
  let kdc: Kdc;
  let auksd: Auksd;

  before(async () => {
    kdc = await Kdc.start();
    kdc.login("alice");
    kdc.loginService("host/login.realm.a", "login");
    auksd = await Auksd.start({
      keytab: kdc.keytab("host/mngt.realm.a"),
      acl: "rule { principal = ^[a-z]+@REALM[.]A$ ; host = * ; role = user ; }\n",
      env: kdc.env,
    });
  });

  after(async () => {
    await auksd?.stop();
    await kdc?.stop();
  });

  function doctor(
    config: string,
    environment: NodeJS.ProcessEnv = kdc.envOf("alice"),
    ...more: string[]
  ) {
    return spawnSync(process.execPath, [MAIN, "doctor", "--auks", ...more], {
      env: { ...environment, AUKS_CONF: config },
      encoding: "utf8",
    });
  }

  let copies = 0;

  /** A changed copy of the daemon's configuration. */
  function changed(pattern: RegExp, replacement: string): string {
    const path = join(kdc.directory, `changed-${++copies}.conf`);
    const text = readFileSync(auksd.config, "utf8");
    assert.match(text, pattern);
    writeFileSync(path, text.replace(pattern, replacement));
    return path;
  }

  it("reports no problem in a working set-up", () => {
    const { status, stdout, stderr } = doctor(auksd.config);
    assert.equal(stderr, "");
    assert.equal(status, 0, stdout);
    assert.match(stdout, /^AUKS works here\.\n\nok +configuration/);
    assert.match(stdout, /ok +clock, keytab and ACL +auksd answers alice@REALM\.A/);
    const { checks } = JSON.parse(doctor(auksd.config, undefined, "--json").stdout);
    assert(checks.length >= 9);
  });

  it("names mistakes in the file, host names, principal and port", async () => {
    for (
      const [pattern, replacement, cause] of [
        [/^/, "} ", /Problem: .*'}' unexpected/],
        [
          /PrimaryAddress = .*;/,
          "PrimaryAddress = nowhere.invalid ;",
          /nowhere\.invalid has no address/,
        ],
        [
          /PrimaryPrincipal = .*;/,
          "PrimaryPrincipal = host/no.realm.a@REALM.A ;",
          /No ticket for host\/no\./,
        ],
        [/PrimaryPort = .*;/, `PrimaryPort = ${await freePort()} ;`, /Connection refused/],
        [/Retries = 1/, "Retries = 0", /Retries is 0/],
      ] as const
    ) {
      const { status, stdout } = doctor(changed(pattern, replacement));
      assert.equal(status, 2, stdout);
      assert.match(stdout, cause);
    }
  });

  it("reports a missing or an expired ticket", async () => {
    const none = doctor(auksd.config, kdc.envOf("nowhere"));
    assert.equal(none.status, 2);
    assert.match(
      none.stdout,
      /^Problem: No ticket to authenticate with: .*\n {2}\$ (kinit|aukspriv --once)\n/,
    );
    kdc.login("alice", ["-l", "1"], "short");
    await new Promise((resolve) => setTimeout(resolve, 2500));
    assert.match(doctor(auksd.config, kdc.envOf("short")).stdout, /^Problem: The ticket of alice@/);
  });

  it("names a principal that the ACL rejects, and a key that the daemon lacks", () => {
    assert.match(
      doctor(auksd.config, kdc.envOf("login")).stdout,
      /^Problem: auksd refuses host\/login\.realm\.a@REALM\.A: .*ACL has no rule/,
    );
    const conf = changed(
      /PrimaryPrincipal = .*;/,
      "PrimaryPrincipal = host/login.realm.a@REALM.A ;",
    );
    assert.match(doctor(conf).stdout, /^Problem: auksd refuses alice@REALM\.A: .*login\.realm\.a/);
  });

  it("warns if the daemon would not start", () => {
    const { status, stdout } = doctor(
      changed(/PrimaryKeytab = .*;/, "PrimaryKeytab = /nowhere/keytab ;"),
    );
    assert.equal(status, 1, stdout);
    assert.match(stdout, /^Warning: auksd would not start here: .*\/nowhere\/keytab/);
  });
});
