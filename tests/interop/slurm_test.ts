// A real Slurm on one node runs jobs of root and of another user over our munged.
import assert from "node:assert/strict";
import { realpathSync } from "node:fs";
import { test } from "node:test";
import { MUNGEBOX } from "../harness/programs.ts";
import { needs, runOurs } from "./sandboxed.ts";

const SLURM_CONF = `
ClusterName=test
SlurmctldHost=node1(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation=/mnt/state
SlurmdSpoolDir=/mnt/spool
SlurmctldPidFile=/mnt/slurmctld.pid
SlurmdPidFile=/mnt/slurmd.pid
SlurmctldLogFile=/mnt/slurmctld.log
SlurmdLogFile=/mnt/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/linear
NodeName=node1 NodeAddr=127.0.0.1 CPUs=1
PartitionName=main Nodes=ALL Default=YES
`;

const START = `
chmod 755 .
mkdir state spool
cat >slurm.conf <<END${SLURM_CONF}END
export SLURM_CONF=/mnt/slurm.conf
start
slurmctld -i
slurmd
await sh -c 'sinfo --noheader --format %t | grep -q idle'
`;

const slurm = needs("/usr/sbin/slurmctld", "/usr/sbin/slurmd", "/usr/bin/srun", "/usr/sbin/ip");

test("Slurm runs jobs of root and of another user over our munged", slurm, async () => {
  const { output, whole } = await runOurs(
    `${START}
srun id -u
as 1000 srun --chdir=/ id -u
mkdir -m 777 jobs
as 1000 sbatch --quiet --chdir=/ --output=/mnt/jobs/output --wrap='id -u'
await test -s jobs/output && cat jobs/output
for pid in $(pidof munged); do readlink /proc/$pid/exe; done`,
    true,
  );
  assert.deepEqual(output, ["0", "1000", "1000", realpathSync(MUNGEBOX)], whole);
});

test("Slurm runs no job for a credential made with another key", slurm, async () => {
  const { output, whole } = await runOurs(
    `${START}
cp /etc/munge/munge.key other.key; echo other >>other.key
munged --key-file=other.key --socket=/mnt/other --pid-file=/mnt/other.pid --seed-file=/mnt/seed
{ cat slurm.conf; echo AuthInfo=socket=/mnt/other; } >other.conf
SLURM_CONF=/mnt/other.conf timeout 5 srun id -u 2>/dev/null || echo refused`,
    true,
  );
  assert.deepEqual(output, ["refused"], whole);
});
