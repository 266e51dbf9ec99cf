// The arguments of the SPANK plugin in plugstack.conf, each in Debian's Slurm.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, it } from "node:test";
import { suite } from "../suite.ts";
import {
  BOBS,
  NO_CACHE,
  observe,
  PLUGSTACK,
  quote,
  SLURM_NEEDS,
  SlurmCluster,
} from "./slurm_cluster.ts";

suite("arguments of auks.so", SLURM_NEEDS, () => {
  let cluster: SlurmCluster;
  /** Runs commands as bob on the login node. */
  const bob = (commands: string) => cluster.run("login", commands, "bob");

  before(() => {
    cluster = new SlurmCluster();
    for (const user of ["bob", "low"]) cluster.login(user);
  });

  afterEach(() => {
    cluster.configurePlugin(PLUGSTACK);
    cluster.assertNothingLeft();
  });

  after(() => {
    cluster?.close();
  });

  it("default=disabled leaves the choice to the user", () => {
    cluster.configurePlugin("optional @ default=disabled");
    assert.match(bob("srun klist").err, NO_CACHE);
    assert.match(bob("srun --auks=yes klist").out, BOBS);
  });

  it("per_step gives each step its own", () => {
    cluster.configurePlugin(`${PLUGSTACK} per_step`);
    const observed = `${cluster.directory}/jobs/observed`;
    const step = `srun -n1 --exact sh -c 'until test -e ${observed}; do sleep 0.1; done' &`;
    const script = `${step} ${step} ${observe(2)}; touch ${observed}; wait`;
    const { out, err } = bob(`salloc --quiet -n3 bash -c ${quote(script)}`);
    assert.match(out, /^renewers 2$/m, out + err);
    assert.match(out, /^caches 2$/m);
  });

  it("a batch job and its steps share one cache, named after a template", () => {
    cluster.configurePlugin(`${PLUGSTACK} ccache=/tmp/krb5cc_%u_%j`);
    const output = `${cluster.directory}/jobs/batch`;
    const wrapped = "klist; echo $KRB5CCNAME; srun -n1 printenv KRB5CCNAME; echo job $SLURM_JOB_ID";
    cluster.must("login", `sbatch --quiet --wait -n2 -o ${output} --wrap=${quote(wrapped)}`, "bob");
    const out = cluster.must("login", `cat ${output}`);
    const job = /^job (\d+)$/m.exec(out)?.[1];
    assert.match(out, BOBS);
    assert.equal(
      out.split("\n").filter((line) => line === `/tmp/krb5cc_2000_${job}`).length,
      2,
      out,
    );
  });

  it("hostcredcache is the cache that the node authenticates with", () => {
    cluster.must("compute", "mv /tmp/krb5cc_0 /root/host_cache");
    try {
      assert.match(bob("srun klist").err, /unable to get user 2000 cred : .*no ticket/);
      cluster.configurePlugin(`${PLUGSTACK} hostcredcache=FILE:/root/host_cache`);
      assert.match(bob("srun klist").out, BOBS);
    } finally {
      cluster.must("compute", "mv /root/host_cache /tmp/krb5cc_0");
    }
  });

  it("force_file_ccache names the cache as the HOWTO does", () => {
    cluster.configurePlugin(`${PLUGSTACK} force_file_ccache`);
    assert.match(bob("srun printenv KRB5CCNAME").out, /^\/tmp\/krb5cc_2000_\d+_\w{6}\n$/);
  });

  it("minimum_uid overrides everything else", () => {
    const { err, status } = cluster.run("login", "srun --auks=yes klist", "low");
    assert.equal(status, 1);
    assert.match(err, NO_CACHE);
    assert(!err.includes("spank-auks"), err);
  });

  it("conf names the configuration for both sides, and for the renewer", () => {
    const usual = join(cluster.directory, "auks/auks.conf");
    const other = join(cluster.directory, "auks/other.conf");
    cluster.must("login", `mv ${usual} ${other}`);
    try {
      assert.match(bob("srun klist").err, /API init failed : unable to parse configuration file/);
      cluster.configurePlugin(`${PLUGSTACK} conf=${other}`);
      assert.match(bob("srun klist").out, BOBS);
      const { out } = bob("srun sh -c 'until pgrep -f \"[a]uks -R\"; do sleep 0.1; done'");
      assert.match(out, /^\d+$/m, "the renewer runs");
    } finally {
      cluster.must("login", `mv ${other} ${usual}`);
    }
  });

  it("sync flushes once, before the cache is destroyed", () => {
    const log = `${cluster.directory}/jobs/synced`;
    const library = compile(cluster, "sync", SYNC, `-DLOG="${log}"`);
    cluster.must(
      "compute",
      `pkill -x slurmd; while pgrep -x slurmd; do sleep 0.1; done
LD_PRELOAD=${library} slurmd &>/var/log/slurmd.start`,
    );
    cluster.waitFor("compute", "scontrol show slurmd");
    for (
      const [argument, flushes] of [["", ""], ["sync=no", ""], ["sync=yes", "1\n"], [
        "sync=all",
        "1\n",
      ]]
    ) {
      writeFileSync(log, "", { mode: 0o666 });
      cluster.configurePlugin(`${PLUGSTACK} ${argument}`);
      assert.match(bob("srun klist").out, BOBS);
      cluster.waitForJobs();
      assert.equal(cluster.must("compute", `cat ${log}`), flushes, argument);
    }
    rmSync(log);
  });

  it("spankstackcred shows the cache to the plugins after auks.so", () => {
    const log = `${cluster.directory}/jobs/stacked`;
    const plugin = compile(cluster, "stacked", STACKED, `-DLOG="${log}"`);
    for (const value of ["yes", "no"]) {
      cluster.configurePlugin(
        `${PLUGSTACK.replace("spankstackcred=yes", `spankstackcred=${value}`)}\nrequired ${plugin}`,
      );
      const { out, err } = bob("srun printenv KRB5CCNAME");
      assert.match(out, /^FILE:\/tmp\/tkt\w{6}$/m, err);
      assert.equal(
        cluster.must("compute", `cat ${log}; rm ${log}`),
        value === "yes" ? out : "none\n",
      );
    }
  });
});

/** Replaces sync(), and logs how many caches there are. */
const SYNC = `
#include <glob.h>
#include <stdio.h>
void sync(void)
{
	glob_t found = { 0 };
	glob("/tmp/tkt*", 0, NULL, &found);
	FILE *log = fopen(LOG, "a");
	fprintf(log, "%zu\\n", found.gl_pathc);
	fclose(log);
}
`;

/** Logs the cache that slurmstepd's own environment names. */
const STACKED = `
#include <slurm/spank.h>
#include <stdio.h>
#include <stdlib.h>
SPANK_PLUGIN(stacked, 1)
int slurm_spank_user_init(spank_t spank, int count, char *arguments[])
{
	(void)spank, (void)count, (void)arguments;
	const char *cache = getenv("KRB5CCNAME");
	FILE *log = fopen(LOG, "w");
	fprintf(log, "%s\\n", cache == NULL ? "none" : cache);
	return fclose(log);
}
`;

/** Compiles a shared object. Returns its path. */
function compile(cluster: SlurmCluster, name: string, text: string, definition: string): string {
  const path = join(cluster.directory, `bin/${name}.so`);
  const words = ["-shared", "-fPIC", "-Wall", definition, "-o", path, "-x", "c", "-"];
  const { status, stderr } = spawnSync("gcc", words, { input: text, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return path;
}
