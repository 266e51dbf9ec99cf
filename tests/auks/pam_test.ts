// auks-pam in a session of Debian's PAM, opened by pamtester.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, it } from "node:test";
import { MAIN } from "../harness/programs.ts";
import { suite } from "../suite.ts";
import { Auksd, SANDBOX_NEEDS } from "./auksd.ts";
import { Kdc, KDC_NEEDS, PASSWORD } from "./kdc.ts";
import { inNode, Node, NODE_NEEDS } from "./nodes.ts";

const CACHE = "FILE:/tmp/krb5cc_of_session";

const needs = {
  ...KDC_NEEDS,
  ...NODE_NEEDS,
  ...SANDBOX_NEEDS,
  pamtester: existsSync("/usr/bin/pamtester"),
};

suite("auks-pam", needs, () => {
  let kdc: Kdc;
  let auksd: Auksd;
  let node: Node;
  const open = (user: string) =>
    node.run(`pamtester -E KRB5CCNAME=${CACHE} auks-test ${user} open_session`, {
      account: "root",
    });

  before(async () => {
    kdc = await Kdc.start();
    auksd = await Auksd.start({
      keytab: kdc.keytab("host/mngt.realm.a"),
      acl: "rule { principal = ^[a-z]+@REALM[.]A$ ; host = * ; role = user ; }\n",
      env: kdc.env,
      accounts: { root: 0, bob: 2000 },
    });
    node = await Node.start("login", kdc, {
      "/etc/auks/auks.conf": readFileSync(auksd.config, "utf8"),
      "/etc/pam.d/auks-test":
        "session required pam_exec.so stdout type=open_session /etc/auks/bin/mungebox auks-pam\n",
    });
    node.write(
      "/etc/auks/bin/mungebox",
      `#!/bin/sh\nexec ${inNode(process.execPath)} ${inNode(MAIN)} "$@"\n`,
      0o755,
    );
  });

  after(async () => {
    node?.stop();
    await auksd?.stop();
    await kdc?.stop();
  });

  it("reports why a ticket was not sent", async () => {
    const { status, out } = await open("bob");
    assert.notEqual(status, 0);
    assert.match(
      out,
      /pam_auks: credential forwarding failed: krb5 cred : unable to read credential cache \(no ticket/,
    );
  });

  it("sends the ticket of the session's cache as the user", async () => {
    const { status, err } = await node.run(
      `echo "${PASSWORD}" | kinit -c ${CACHE} bob`,
      { account: "bob" },
    );
    assert.equal(status, 0, err);
    const opened = await open("bob");
    assert.equal(opened.status, 0, opened.out + opened.err);
    assert.match(opened.out, /^pam_auks: credential forwarding succeeded$/m);
    await auksd.logged(/client="bob@REALM\.A" .*uid=2000 outcome=stored/);
  });

  it("can't read the cache of another user, and does nothing for root", async () => {
    const { status, out } = await open("alice");
    assert.notEqual(status, 0);
    assert.match(
      out,
      /unable to read credential cache \(FILE:\/tmp\/krb5cc_of_session: .*permissions/,
    );
    assert.equal((await open("root")).status, 0);
  });
});
