// Slurm on three nodes keeps starting jobs while rotate.yml replaces their key, from staging to retiring.
import assert from "node:assert/strict";
import { cpSync, existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, it } from "node:test";
import { SLURM_NEEDS, SlurmCluster } from "../auks/slurm_cluster.ts";
import { suite } from "../suite.ts";

const NODES = ["mngt", "login", "compute"] as const;
/** Seconds for which the old key decodes: longer than Slurm takes to use a credential. */
const ROTATION_TIME = 40;
const PROJECT = resolve(import.meta.dirname, "../..");

suite("a rotation beside Slurm", {
  ...SLURM_NEEDS,
  "ansible-core": existsSync("/usr/bin/ansible-playbook"),
}, () => {
  let cluster: SlurmCluster;
  before(() => {
    cluster = new SlurmCluster({ withoutAuks: true });
    const { directory } = cluster;
    for (const node of NODES) {
      cluster.must(
        node,
        `echo key-rotation-time=${ROTATION_TIME} >/etc/munge/munge.conf
munged --replace &>/var/log/munged.start`,
      );
    }
    // The nodes have a /tmp of their own, where the project may be; they all see the cluster's directory.
    cpSync(join(PROJECT, "packaging/ansible"), join(directory, "ansible"), { recursive: true });
    cluster.must(
      "login",
      `mkdir -m 700 /root/fleet && cd /root/fleet
install -m 600 /etc/munge/munge.key munge.key
cp -r ${directory}/ansible collection
cat >hosts.ini <<END
[munge]
${NODES.join("\n")}
[munge:vars]
ansible_ssh_common_args=-F ${directory}/ssh_config
mungebox_executable=${directory}/bin/mungebox
mungebox_controller_executable=${directory}/bin/mungebox
END
printf '[defaults]\\ninventory=hosts.ini\\ncollections_path=collections\\n' >ansible.cfg
printf '[ssh_connection]\\npipelining=true\\n' >>ansible.cfg
ansible-galaxy collection install ./collection`,
    );
  });
  after(() => cluster?.close());

  /** Runs jobs one after the other, in the background, until stopped. */
  function stream(name: string, job: string): void {
    cluster.must(
      "login",
      `nohup bash -c 'until [ -e /tmp/stop ]; do ${job} && echo done || echo failed; done' \\
    >/tmp/${name} 2>&1 </dev/null &`,
    );
  }

  const outcomes = (name: string) => cluster.must("login", `cat /tmp/${name}`).trim().split("\n");

  it("fails no job", () => {
    const before = cluster.must("compute", "mungekey --fingerprint");
    stream("srun", "srun --quiet -n1 true");
    stream("sbatch", "sbatch --quiet --wait --output=/dev/null --chdir=/ --wrap=true");
    cluster.waitFor("login", "grep -q done /tmp/srun && grep -q done /tmp/sbatch");
    const play = cluster.run(
      "login",
      "cd /root/fleet && ansible-playbook mungebox.cluster.rotate",
      "root",
      900_000,
    );
    assert.equal(play.status, 0, play.out + play.err);
    const enough = Math.max(10, outcomes("srun").length + 4);
    cluster.waitFor("login", `[ $(wc -l </tmp/srun) -ge ${enough} ]`);
    cluster.must("login", "touch /tmp/stop");
    cluster.waitFor("login", "! pgrep -x 'srun|sbatch'");
    for (const name of ["srun", "sbatch"]) {
      const ended = outcomes(name);
      assert.deepEqual([...new Set(ended)], ["done"], ended.join("\n"));
    }
    for (const node of NODES) {
      assert.notEqual(cluster.must(node, "mungekey --fingerprint"), before);
      assert.equal(cluster.must(node, "ls /etc/munge/munge.key*"), "/etc/munge/munge.key\n");
    }
    const logs = cluster.must("mngt", "cat /var/log/slurmctld.log") +
      cluster.must("compute", "cat /var/log/slurmd.log");
    assert.doesNotMatch(logs, /munge.*(?:invalid|failed|error)/i);
  });
});
