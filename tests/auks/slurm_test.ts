// The SPANK plugin in Debian's Slurm, with KDC, auksd and munged on separate nodes. MUNGEBOX_AUKS_THOROUGH=1 adds tests
// that take minutes.
import assert from "node:assert/strict";
import { after, afterEach, before, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { suite } from "../suite.ts";
import {
  BOBS,
  NO_CACHE,
  observe,
  PLUGSTACK,
  quote,
  SLURM_NEEDS,
  SlurmCluster,
  THOROUGH,
} from "./slurm_cluster.ts";

suite("auks.so in Slurm", SLURM_NEEDS, () => {
  let cluster: SlurmCluster;
  /** Runs commands as bob on the login node. */
  const bob = (commands: string) => cluster.run("login", commands, "bob");

  before(() => {
    cluster = new SlurmCluster();
    for (const user of ["bob", "low", "dave"]) cluster.login(user);
  });

  afterEach(() => {
    cluster.configurePlugin(PLUGSTACK);
    cluster.assertNothingLeft();
  });

  after(() => {
    cluster?.close();
  });

  it("srun klist finds the user's ticket in a cache of the job", () => {
    const { out, err, status } = bob("srun klist");
    assert.equal(status, 0, out + err);
    assert.match(out, BOBS);
    assert.match(out, /^Ticket cache: FILE:\/tmp\/tkt\w{6}$/m);
    assert.match(bob("srun env").out, /^SLURM_SPANK_AUKS=done$/m);
  });

  it("--auks=no and SLURM_SPANK_AUKS=no reach the compute node", () => {
    assert.match(bob("srun --auks=no klist").err, NO_CACHE);
    assert.match(bob("SLURM_SPANK_AUKS=no srun --auks=yes klist").err, NO_CACHE);
    assert.match(bob("salloc --quiet srun --auks=no klist").err, NO_CACHE);
    assert.match(bob("salloc --quiet --auks=no srun klist").err, NO_CACHE);
  });

  it("refuses other words, and shows the option", () => {
    for (
      const [word, message] of [
        ["--auks", "srun: error: Invalid --auks argument: (null)\n"],
        [
          "--auks=maybe",
          "srun: error: spank-auks: bad parameter maybe\nsrun: error: Invalid --auks argument: maybe\n",
        ],
      ] as const
    ) {
      const { status, err } = bob(`srun ${word} true`);
      assert.equal(status, 255);
      assert(err.includes(message), err);
    }
    const option = "--auks=[yes|no|done]    kerberos credential forwarding using Auks";
    for (const command of ["srun", "sbatch", "salloc"]) {
      assert(bob(`${command} --help`).out.includes(option), command);
    }
  });

  it("tells the user why a job has no ticket", () => {
    bob("auks -r");
    const { err, status } = bob("srun --auks=done klist");
    assert.equal(status, 1);
    assert.match(
      err,
      /spank-auks: unable to get user 2000 cred : auks api : reply seems corrupted \(no ticket is stored for this user: uid 2000\)/,
    );
    assert.match(err, NO_CACHE);
    assert.match(err, /^srun: error: compute: task 0: Exited with exit code 1$/m);
  });

  it("a required plugin stops a step without a ticket, and reports why", () => {
    cluster.configurePlugin(PLUGSTACK.replace("optional", "required"));
    bob("auks -r");
    const { out, err } = bob("srun --auks=done echo it runs");
    assert.equal(out, "");
    assert.match(err, /spank-auks: unable to get user 2000 cred : .*no ticket is stored/);
    assert.match(bob("srun klist").out, BOBS);
  });

  it("runs the job of a user without a ticket, unless enforced is set", () => {
    const carol = (commands: string) => cluster.run("login", commands, "carol");
    const { out, err, status } = carol("srun env");
    assert.equal(status, 0, err);
    assert.match(out, /^SLURM_SPANK_AUKS=no$/m);
    assert(!err.includes("spank-auks"), err);
    cluster.configurePlugin(`${PLUGSTACK.replace("optional", "required")} enforced`);
    const refused = carol("srun true");
    assert.equal(refused.status, 1);
    assert.match(
      refused.err,
      /spank-auks: cred forwarding failed : krb5 cred : unable to read credential cache \(no ticket: .*\) \[enforced\]/,
    );
    assert.equal(bob("srun true").status, 0);
  });

  it("reports an expired ticket, and a missing account on auksd's host", () => {
    cluster.login("alice", "-l 1s");
    cluster.must("login", "until ! klist -s; do sleep 0.1; done", "alice");
    const alice = cluster.run("login", "srun klist", "alice");
    assert.match(alice.err, /cred forwarding failed : krb5 cred : TGT has expired \(.*ended at/);
    assert.match(alice.err, NO_CACHE);
    const dave = cluster.run("login", "srun true", "dave");
    assert.match(dave.err, /cred forwarding failed : .*no such account/);
  });

  it("parallel steps share one cache and one renewer, whichever ends first", () => {
    const jobs = `${cluster.directory}/jobs`;
    const step = (number: number, end: string) =>
      `srun --exact -n1 bash -c 'echo $KRB5CCNAME >${jobs}/name-${number}; until test ${end}; do sleep 0.1; done; klist -s && touch ${jobs}/good-${number}' &`;
    const script = `${step(1, `-s ${jobs}/name-2 -a -s ${jobs}/name-3`)} first=$!
${step(2, `-e ${jobs}/observed`)} ${step(3, `-e ${jobs}/observed`)}
wait $first; ${observe(1)}; touch ${jobs}/observed; wait`;
    const running = cluster.must(
      "login",
      `salloc --quiet -n4 bash -c ${quote(script)} 2>&1`,
      "bob",
    );
    const names = cluster.must("login", `cat ${jobs}/name-*`).trim().split("\n");
    assert.equal(names.length, 3);
    assert.equal(new Set(names).size, 1, names.join(" "));
    assert.match(running, /^renewers 1$/m);
    assert.match(running, /^caches 1$/m);
    cluster.must("login", `ls ${jobs}/good-1 ${jobs}/good-2 ${jobs}/good-3`);
  });

  it("a job's own cache is used, and stays, unless its ticket has expired", () => {
    const own = "FILE:/tmp/own_2000";
    const start = `KRB5CCNAME=${own} srun --auks=done sh -c 'echo $KRB5CCNAME; klist'`;
    cluster.login("bob", `-c ${own}`, "compute");
    const { out } = bob(start);
    assert.equal(out.split("\n")[0], own);
    assert.match(out, BOBS);
    cluster.must("compute", "klist -s -c /tmp/own_2000", "bob");
    cluster.login("bob", `-l 1s -c ${own}`, "compute");
    cluster.must("compute", "while klist -s -c /tmp/own_2000; do sleep 0.1; done", "bob");
    const other = bob(start);
    assert.match(other.out, /^FILE:\/tmp\/tkt\w{6}\n/);
    assert.match(other.out, BOBS);
    cluster.must("compute", "rm /tmp/own_2000");
  });

  it("HelperScript runs as the user, and neither what it prints nor what it starts disturbs the job", () => {
    const log = `${cluster.directory}/jobs/helper`;
    const script = cluster.helper(`#!/bin/sh
echo stored FILE:/tmp/elsewhere
sleep 200 &
echo $AUKS_EVENT $(id -u) $KRB5CCNAME >>${log}
`);
    cluster.configure({ api: `HelperScript = ${script} ;` });
    try {
      const { out, err } = bob("time -p srun printenv KRB5CCNAME");
      assert.equal(cluster.must("login", `cat ${log}`), `stored 2000 ${out}`);
      assert(Number(/^real ([\d.]+)$/m.exec(err)?.[1]) < 100, err);
    } finally {
      cluster.configure();
    }
  });

  it("a signal for a job does not end its renewer", () => {
    const trap = "trap true USR1; sleep 100 & wait; sleep 50";
    cluster.must("login", `srun -J signalled bash -c ${quote(trap)} &>/dev/null &`, "bob");
    cluster.waitFor("compute", "pgrep -f '[a]uks -R' && pgrep -fx 'sleep 100'");
    cluster.must("login", "scancel --name=signalled --signal=USR1", "bob");
    cluster.waitFor("compute", "! pgrep -fx 'sleep 100'");
    cluster.must("compute", "sleep 0.3; pgrep -f '[a]uks -R'");
    cluster.must("login", "scancel --name=signalled", "bob");
  });

  it("each of an array's 50 simultaneous jobs has its ticket", () => {
    const jobs = `${cluster.directory}/jobs`;
    // No job ends before the last one has begun.
    const wrapped =
      `touch ${jobs}/begun-$SLURM_JOB_ID; until test $(ls ${jobs} | grep -c begun) = 50; do sleep 0.3; done; klist | grep Default`;
    cluster.must(
      "login",
      `sbatch --quiet --wait --array=1-50 -o ${jobs}/many-%a --wrap=${quote(wrapped)}`,
      "bob",
      600_000,
    );
    const lines = cluster.must("login", `cat ${jobs}/many-*`).trim().split("\n");
    assert.deepEqual(lines, Array(50).fill("Default principal: bob@REALM.A"));
  });

  it("nothing remains of cancelled jobs, or of one whose slurmstepd was killed", () => {
    cluster.must(
      "login",
      "for i in 1 2 3; do sbatch --quiet -o /dev/null --wrap='srun sleep 100'; done",
      "bob",
    );
    cluster.waitFor("login", "test $(squeue -h -t R | wc -l) = 3");
    cluster.waitFor("compute", "test $(pgrep -fc 'sleep 100') -ge 3");
    cluster.must("login", "scancel --user bob");
    cluster.assertNothingLeft();
    cluster.must("login", "sbatch --quiet -o /dev/null --wrap='sleep 100'", "bob");
    cluster.waitFor("compute", "pgrep -fx 'sleep 100'");
    cluster.must("compute", "pkill -KILL slurmstepd");
    cluster.waitFor("compute", "! pgrep -f '[a]uks -R'");
    cluster.must("login", "scancel --user bob");
    cluster.waitFor("compute", 'test -z "$(ls /run/auks/jobs)"');
  });

  it("nothing remains of a job that has reached its time limit", { skip: !THOROUGH }, () => {
    const job = cluster.must("login", "sbatch --parsable -o /dev/null --wrap='sleep 300'", "bob");
    cluster.waitFor("compute", "pgrep -fx 'sleep 300'");
    cluster.must("login", `scontrol update jobid=${job.trim()} EndTime=now+1`);
    cluster.waitFor("login", `scontrol show job ${job.trim()} | grep JobState=TIMEOUT`);
  });

  it("nothing remains of 200 jobs, some of them cancelled or timed out", {
    skip: !THOROUGH,
    timeout: 400_000,
  }, () => {
    const jobs = `${cluster.directory}/jobs`;
    const wrapped =
      `case $SLURM_ARRAY_TASK_ID in *[01]) sleep 300;; *) klist -s && touch ${jobs}/good-$SLURM_ARRAY_TASK_ID;; esac`;
    const job = cluster.must(
      "login",
      `sbatch --parsable --array=1-200 -o /dev/null --wrap=${quote(wrapped)}`,
      "bob",
    ).trim();
    cluster.waitFor("compute", "test $(pgrep -fxc 'sleep 300') = 40");
    cluster.must(
      "login",
      `for i in $(seq 0 10 190); do
  scancel ${job}_$((i + 10))
  scontrol update jobid=${job}_$((i + 1)) EndTime=now+1
done`,
    );
    cluster.waitFor("login", 'test -z "$(squeue -h)"', 300_000);
    assert.equal(cluster.must("login", `ls ${jobs} | grep -c good-`).trim(), "160");
  });

  it("a 90 s ticket lasts through a 5-minute job despite outages of KDC and auksd", {
    skip: !THOROUGH,
    timeout: 400_000,
  }, async () => {
    cluster.login("alice", "-l 90s -r 1h");
    const output = `${cluster.directory}/jobs/long`;
    const watch = "for i in $(seq 60); do klist -s && echo good || echo bad; sleep 5; done";
    cluster.must("login", `sbatch --quiet -o ${output} --wrap=${quote(watch)}`, "alice");
    await pause(100_000);
    cluster.must("mngt", "pkill -x krb5kdc");
    await pause(30_000);
    cluster.must("mngt", "pkill -x auksd; sleep 2; auksd &>/dev/null");
    await pause(30_000);
    cluster.startKdc();
    await pause(140_000);
    cluster.waitFor("login", 'test -z "$(squeue -h)"');
    const lines = cluster.must("login", `cat ${output}`).trim().split("\n");
    assert.deepEqual(lines, Array(60).fill("good"));
  });
});
