// What users can try against the parts of the SPANK plugin that run as root: files planted in /tmp, hostile environments,
// and processes that take the place of others.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { suite } from "../suite.ts";
import { PASSWORD } from "./kdc.ts";
import { BOBS, NO_CACHE, PLUGSTACK, SLURM_NEEDS, SlurmCluster, THOROUGH } from "./slurm_cluster.ts";

/** By then, the plugin ends whatever it has started. */
const PLUGIN_LIMIT_MS = 120_000;
/** Finds the process of a job's renewer. */
const RENEWER = "pgrep -f '[a]uks -R'";

suite("attacks on auks.so", SLURM_NEEDS, () => {
  let cluster: SlurmCluster;
  /** Runs commands as bob on the login node. */
  const bob = (commands: string) => cluster.run("login", commands, "bob");

  before(() => {
    cluster = new SlurmCluster();
    cluster.login("bob");
  });

  afterEach(() => {
    cluster.configurePlugin(PLUGSTACK);
    cluster.assertNothingLeft();
  });

  after(() => {
    cluster?.close();
  });

  it("a file that another user has put in the cache's place is neither used nor written", () => {
    cluster.configurePlugin(`${PLUGSTACK} ccache=/tmp/taken_%u`);
    cluster.must("compute", "echo theirs >/tmp/taken_2000; chmod 666 /tmp/taken_2000", "alice");
    const { err } = bob("srun klist");
    const text = cluster.must("compute", "cat /tmp/taken_2000; rm /tmp/taken_2000");
    assert.equal(text, "theirs\n");
    assert.match(err, /spank-auks: unable to store user 2000 cred : .*taken_2000/);
  });

  it("the node never authenticates with a cache that another user has put in the place of its own", () => {
    cluster.must("compute", "mv /tmp/krb5cc_0 /root/host_cache");
    try {
      for (
        const plant of [
          "kinit -c /tmp/krb5cc_0",
          "ln -s /tmp/of_alice /tmp/krb5cc_0; kinit -c /tmp/of_alice",
        ]
      ) {
        cluster.must("compute", `( ${plant} alice ) >/dev/null <<<"${PASSWORD}"`, "alice");
        const { err } = bob("srun klist");
        assert.match(err, /unable to get user 2000 cred : .*\/tmp\/krb5cc_0 belongs to UID 2001/);
        assert.match(err, NO_CACHE);
        cluster.must("compute", "rm -f /tmp/krb5cc_0 /tmp/of_alice");
      }
    } finally {
      cluster.must("compute", "rm -f /tmp/of_alice; mv /root/host_cache /tmp/krb5cc_0");
    }
  });

  it("whatever KRB5CCNAME a job has, it gets its ticket, and holds up nothing", () => {
    assert.match(bob("srun true; auks -a").out, /succeed/);
    cluster.must(
      "compute",
      "mkfifo /tmp/pipe; mkdir /tmp/pipes; mkfifo /tmp/pipes/tktpipe /tmp/pipes/primary",
      "bob",
    );
    for (
      const hostile of [
        "FILE:/tmp/pipe",
        "DIR::/tmp/pipes/tktpipe",
        "DIR:/tmp/pipes",
        "/dev/zero",
        "/root/cache",
        "FILE:/tmp",
        "DIR:/proc",
        "XYZ:%s%n",
        "-ccache",
        "$(printf 'FILE:/tmp/a\\nstored FILE:/etc/x')",
        "$(printf 'FILE:/tmp/%05000d' 0)",
        "",
      ]
    ) {
      const started = performance.now();
      const { out, err } = bob(`KRB5CCNAME="${hostile}" srun --auks=done klist`);
      assert.match(out, BOBS, `${hostile}: ${err}`);
      assert(performance.now() - started < PLUGIN_LIMIT_MS / 4, hostile);
    }
    cluster.must("compute", "rm -r /tmp/pipe /tmp/pipes");
  });

  describe("no user can have a node drained, even if the plugin is required,", () => {
    /** The node's state when no job is left, not even a completing one, and a drain would be known. */
    const state = () => {
      cluster.waitForJobs();
      return cluster.must("login", "sleep 2; sinfo --noheader --format %t").trim();
    };

    beforeEach(() => cluster.configurePlugin(PLUGSTACK.replace("optional", "required")));

    it("with a cache that can't be removed", () => {
      const { err } = bob("srun sh -c 'cache=${KRB5CCNAME#FILE:}; rm $cache; mkdir $cache'");
      assert.equal(err, "");
      cluster.waitFor("compute", "grep -q 'unable to destroy the ccache' /var/log/slurmd.log");
      cluster.must("compute", "rmdir /tmp/tkt*");
      assert.equal(state(), "idle");
    });

    it("with one that holds up its removal", () => {
      cluster.configurePlugin(`required @ default=enabled ccache=DIR::/tmp/own_%u/tkt_%j`);
      cluster.must("compute", "mkdir -m 700 /tmp/own_2000", "bob");
      const script = "cd /tmp/own_2000 && rm -f primary && mkfifo primary && ls tkt*";
      assert.match(bob(`srun sh -c '${script}'`).out, /^tkt_\d+$/m);
      cluster.waitFor("compute", "! pgrep slurmstepd", 50_000);
      cluster.must("compute", "rm -r /tmp/own_2000");
      assert.equal(state(), "idle");
    });

    it("with steps that begin one after another", { skip: !THOROUGH }, () => {
      cluster.must("login", "salloc --quiet -n2 sh -c 'srun -n1 sleep 200' &>/dev/null &", "bob");
      cluster.waitFor("compute", `${RENEWER} && pgrep -f '[s]leep 200'`);
      const job = cluster.must("login", "squeue --noheader --format %i").trim();
      const hold = `import fcntl, time; f = open("/run/auks/jobs/${job}", "r+"); ` +
        "fcntl.lockf(f, fcntl.LOCK_EX, 1); time.sleep(100)";
      cluster.must("compute", `python3 -c '${hold}' &>/dev/null &`);
      cluster.waitFor("compute", "pgrep -f '[f]cntl.lockf'");
      const started = performance.now();
      const { err } = bob(`srun --jobid=${job} --overlap -n1 true`);
      assert.match(err, /spank-auks: unable to keep .* : Connection timed out/);
      assert(performance.now() - started < 50_000);
      cluster.must("compute", "pkill -f '[f]cntl.lockf'");
      cluster.must("login", `scancel ${job}`, "bob");
      assert.equal(state(), "idle");
    });

    it("with a batch job without a ticket", () => {
      bob("auks -r");
      const output = `${cluster.directory}/jobs/without`;
      const { status } = bob(
        `sbatch --quiet --wait --auks=done -o ${output} --wrap 'echo it runs'`,
      );
      assert.equal(status, 1);
      const out = cluster.must("login", `cat ${output}`);
      assert.match(out, /spank-auks: unable to get user 2000 cred : .*no ticket is stored/);
      assert(!out.includes("it runs"), out);
      assert.equal(state(), "idle");
    });
  });

  it("the renewer has nothing open through which its user could hold up the node", () => {
    cluster.must("login", "srun -J held sleep 100 &>/dev/null &", "bob");
    cluster.waitFor("compute", `${RENEWER} && pgrep -f '[s]leep 100'`);
    // The user can do with them whatever the process can, with the help of ptrace().
    const flags = cluster.must("compute", `grep flags /proc/$(${RENEWER})/fdinfo/3`);
    cluster.must("login", "scancel --name=held", "bob");
    assert.match(flags, /^flags:\s+0\d*0$/m, "its lock is open for reading only");
  });

  it("no other process is ended when it has the PID of a renewer that has died", () => {
    cluster.must("login", "srun -J early sleep 100 &>/dev/null &", "bob");
    cluster.waitFor("compute", `${RENEWER} && pgrep -f '[s]leep 100'`);
    const ids = cluster.must(
      "compute",
      `renewer=$(${RENEWER})
kill -KILL $renewer
while test -e /proc/$renewer; do sleep 0.1; done
# Until nothing else takes that PID first.
for try in $(seq 50); do
  echo $((renewer - 1)) >/proc/sys/kernel/ns_last_pid
  setsid sleep 77 &>/dev/null &
  test $! != $renewer || break
  kill $!
done
echo $renewer $!`,
    );
    const [renewer, other] = ids.trim().split(" ");
    assert.equal(other, renewer);
    cluster.must("login", "scancel --name=early", "bob");
    cluster.waitForJobs();
    assert.equal(cluster.must("compute", "pgrep -fx 'sleep 77'").trim(), other);
    cluster.must("compute", "pkill -fx 'sleep 77'");
  });
});
