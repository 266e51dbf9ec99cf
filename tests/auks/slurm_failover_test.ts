// Two auksds under Slurm: the primary on mngt is killed while jobs run, and the secondary on login serves.
import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { suite } from "../suite.ts";
import { BOBS, quote, SLURM_NEEDS, SlurmCluster } from "./slurm_cluster.ts";

const COMMON = `SecondaryHost = login ;
  SecondaryPrincipal = "host/login.realm.a@REALM.A" ;`;
const OWN = "Replicate = yes ;";

suite("a secondary auksd in Slurm", SLURM_NEEDS, () => {
  let cluster: SlurmCluster;

  before(() => {
    cluster = new SlurmCluster();
    // Both daemons read the same file.
    cluster.configure({
      common: COMMON,
      renewer: "Delay = 1 ;",
      own: OWN,
      auksd: 'SecondaryKeytab = "/etc/krb5.keytab" ;',
    });
    cluster.must(
      "login",
      `mkdir -m 700 -p /var/cache/auks
install -m 600 ${cluster.directory}/keytabs/login /etc/krb5.keytab
auksd &>/dev/null`,
    );
    cluster.must("mngt", "pkill -HUP -x auksd");
    cluster.waitFor("mngt", "grep 'replication: login:12345 is connected' /var/log/auksd.log");
    cluster.waitFor("login", "grep 'replication: mngt:12345 is connected' /var/log/auksd.log");
    cluster.login("bob", "-l 1h");
  });

  after(() => {
    cluster?.close();
  });

  it("serves running and new jobs while the primary is down, and brings it up to date afterwards", () => {
    const { directory } = cluster;
    const endOfTicket = "klist | awk '/krbtgt/ { print $3, $4 }'";
    const wrapped = `until test -e ${directory}/jobs/stop; do ${endOfTicket}; sleep 0.3; done`;
    const output = `${directory}/jobs/running`;
    cluster.must("login", `sbatch --quiet -o ${output} --wrap=${quote(wrapped)}`, "bob");
    cluster.waitFor("compute", `grep . ${output}`);
    const connections = "grep -c 'replication: login:12345 is connected' /var/log/auksd.log";
    const before = cluster.must("mngt", connections).trim();
    cluster.must("mngt", "pkill -KILL -x auksd");

    const { out, err } = cluster.run("login", "srun --auks=done klist", "bob");
    assert.match(out, BOBS, err);

    // A fresh ticket reaches the running job through the secondary.
    cluster.login("bob", "-l 5h");
    const end = cluster.must("login", `auks -a >/dev/null; ${endOfTicket}`, "bob");
    cluster.waitFor("compute", `grep '${end.trim()}' ${output}`);

    // Once the primary is back, it has the ticket, too, even when it is alone.
    cluster.must("mngt", "auksd &>/dev/null");
    cluster.waitFor("mngt", `test $(${connections}) -gt ${before}`);
    cluster.waitFor("mngt", "grep 'Accepted add.*bob.*replicated' /var/log/auksd.log");
    cluster.must("login", "pkill -KILL -x auksd");
    const again = cluster.run("login", `srun --auks=done sh -c ${quote(endOfTicket)}`, "bob");
    assert.equal(again.out, end, again.err);
    cluster.must("login", `touch ${directory}/jobs/stop`);
    cluster.assertNothingLeft();
  });
});
