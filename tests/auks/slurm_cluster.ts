// The three nodes of AUKS's HOWTO with Debian's Slurm: mngt with KDC, auksd and slurmctld, login, and compute with slurmd.
// They are overlays of this machine's file system in namespaces, with our munged and our AUKS, and discard all changes.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { installPrograms } from "../harness/programs.ts";
import { copyOfRoot, Network, NETWORK_NEEDS, type Outcome } from "../network.ts";
import { KDC_NEEDS, krb5Configuration, PASSWORD, serviceQueries, userQueries } from "./kdc.ts";

/** What the cluster needs, for suite(). */
export const SLURM_NEEDS: Readonly<Record<string, boolean>> = {
  ...NETWORK_NEEDS,
  ...KDC_NEEDS,
  slurmctld: existsSync("/usr/sbin/slurmctld"),
  slurmd: existsSync("/usr/sbin/slurmd"),
  "slurm-client": existsSync("/usr/bin/srun"),
  "libslurm-dev": existsSync("/usr/include/slurm/spank.h"),
  gcc: existsSync("/usr/bin/gcc"),
};

/** Whether to run the slow tests, too. */
export const THOROUGH = process.env["MUNGEBOX_AUKS_THOROUGH"] === "1";

/** The accounts; `low` is below minimum_uid, carol has no principal, and dave has no account on mngt. */
export const USERS: Readonly<Record<string, number>> = {
  low: 1001,
  bob: 2000,
  alice: 2001,
  carol: 2002,
  dave: 2003,
};

const NODES = ["mngt", "login", "compute"] as const;
/** A node. */
export type NodeName = typeof NODES[number];

const KDC_CONF = `[realms]
    REALM.A = {
        database_name = /var/kdc/principal
        key_stash_file = /var/kdc/stash
        max_life = 2d
        max_renewable_life = 14d
    }
`;

const AUKS_CONF = `common {
  PrimaryHost = "mngt" ;
  PrimaryPort = 12345 ;
  PrimaryPrincipal = "host/mngt.realm.a@REALM.A" ;
  NAT = yes ;
  Retries = 2 ;
  Timeout = 5 ;
  Delay = 1 ;
}
api { LogLevel = 0 ; }
auksd {
  PrimaryKeytab = "/etc/krb5.keytab" ;
  LogFile = "/var/log/auksd.log" ;
  LogLevel = "2" ;
  CacheDir = "/var/cache/auks" ;
  ACLFile = "/etc/auks/auksd.acl" ;
}
renewer {
  LogLevel = 0 ;
  Delay = 5 ;
  MinLifeTime = 60 ;
}
`;

const AUKS_ACL =
  `rule { principal = ^host/(mngt|login|compute)[.]realm[.]a@REALM[.]A$ ; host = * ; role = admin ; }
rule { principal = ^[[:alnum:]]+@REALM[.]A$ ; host = * ; role = user ; }
`;

const SLURM_CONF = `ClusterName=test
SlurmctldHost=mngt
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurmctld.log
SlurmdLogFile=/var/log/slurmd.log
SlurmdDebug=verbose
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
NodeName=compute CPUs=64 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES
`;

/** The plugin's configuration unless a test changes it. */
export const PLUGSTACK = "optional @ default=enabled spankstackcred=yes minimum_uid=1024";

/** What klist prints without a cache, and with bob's ticket. */
export const NO_CACHE = /No credentials cache found/;
export const BOBS = /^Default principal: bob@REALM\.A$/m;

/** Counts the renewers and caches on the compute node, from a script of a job, once there are `least` renewers. */
export function observe(least: number): string {
  const renewers = '$(pgrep -fc "[a]uks -R")';
  const wait = `for try in $(seq 600); do test ${renewers} -lt ${least} || break; sleep 0.1; done`;
  const count = `echo renewers ${renewers}; echo caches $(ls /tmp | grep -c tkt)`;
  return `srun --overlap -n1 --auks=no sh -c '${wait}; ${count}'`;
}

/** A word of the shell. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Lines of auks.conf, by block. */
export interface AuksLines {
  readonly common?: string;
  readonly api?: string;
  readonly auksd?: string;
  readonly renewer?: string;
  readonly own?: string;
}

/** Options that a test can set. */
export interface SlurmClusterOptions {
  /** Leaves /etc/auks and plugstack.conf to the test, separately on each node, and starts no daemon of AUKS. */
  readonly withoutAuks?: boolean;
}

/** The cluster. */
export class SlurmCluster {
  readonly #network = new Network(NODES);
  readonly #withoutAuks: boolean;

  constructor({ withoutAuks = false }: SlurmClusterOptions = {}) {
    this.#withoutAuks = withoutAuks;
    const { directory } = this.#network;
    for (const each of ["slurm", "auks", "keytabs"]) mkdirSync(join(directory, each));
    // Jobs write there, on any node.
    mkdirSync(join(directory, "jobs"));
    chmodSync(join(directory, "jobs"), 0o1777);
    const programs = join(directory, "bin");
    installPrograms(programs);
    const linked = spawnSync(join(programs, "mungebox"), ["--install", programs, "--auks"]);
    assert.equal(linked.status, 0, `${linked.stderr}`);
    this.#buildPlugin();
    for (
      const [path, text] of [
        ["hosts", this.#network.hostsFile],
        ["krb5.conf", krb5Configuration("10.99.0.1")],
        ["kdc.conf", KDC_CONF],
        ["munge.key", "m".repeat(128)],
        ["auks/auksd.acl", AUKS_ACL],
        ["slurm/slurm.conf", SLURM_CONF],
        // No detection of cgroups; nothing here uses them.
        ["slurm/cgroup.conf", "CgroupPlugin=cgroup/v1\n"],
      ] as const
    ) writeFileSync(join(directory, path), text);
    this.configure();
    if (!withoutAuks) this.configurePlugin(PLUGSTACK);
    const path = `${directory}/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
    try {
      for (const name of NODES) this.#network.start(name, this.#boot(name), path);
      for (const name of NODES) this.#network.waitFor(name, "true");
      this.must("mngt", this.#managementNode());
      this.must("login", MUNGED);
      this.must("compute", this.#computeNode());
      this.waitFor("login", "sinfo --noheader --format %t | grep -q idle");
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #buildPlugin(): void {
    const { status, stderr } = spawnSync("node_modules/.bin/bun", [
      "scripts/build.ts",
      "--spank",
      `--program=${this.directory}/bin/mungebox`,
      `--output=${this.directory}/bin`,
    ], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
  }

  /** Shared by all nodes. */
  get directory(): string {
    return this.#network.directory;
  }

  /** Writes auks.conf, with lines that come first in their blocks, and so take precedence. */
  configure({ common = "", api = "", auksd = "", renewer = "", own = "" }: AuksLines = {}): void {
    const text = AUKS_CONF.replace("common {", `common { ${common}`)
      .replace("api {", `api { ${api}`)
      .replace("auksd {", `auksd { ${auksd}`)
      .replace("renewer {", `renewer { ${renewer}`);
    writeFileSync(join(this.directory, "auks/auks.conf"), `${text}mungebox { ${own} }\n`);
  }

  /** Writes a script for HelperScript. Returns its path. */
  helper(script: string): string {
    const path = join(this.directory, "auks/helper");
    writeFileSync(path, script, { mode: 0o755 });
    return path;
  }

  /** Writes plugstack.conf, where @ stands for the plugin; every command and step of Slurm reads it again. */
  configurePlugin(line: string): void {
    const plugin = join(this.directory, "bin/auks.so");
    writeFileSync(
      join(this.directory, "slurm/plugstack.conf"),
      `${line.replace("@", plugin)}\n`,
    );
  }

  #boot(name: NodeName): string {
    const { directory } = this;
    const root = `${directory}/${name}`;
    const accounts = Object.entries(USERS)
      .filter(([user]) => name !== "mngt" || user !== "dave")
      .map(([name, uid]) => `echo ${name}:x:${uid}:${uid}::/:/bin/sh >>etc/passwd`);
    return `
${copyOfRoot(root, directory, "-t tmpfs -o mode=0755 none")}
hostname ${name}
cd ${root}/root
rm -rf etc/munge etc/auks etc/slurm var/lib/munge var/log/munge root/.bashrc
mkdir -m 755 -p etc/munge run/munge var/lib/munge var/log/munge var/spool/slurmctld var/spool/slurmd
install -m 600 ${directory}/munge.key etc/munge/munge.key
cp ${directory}/hosts etc/hosts
cp ${directory}/krb5.conf etc/krb5.conf
${
      this.#withoutAuks
        ? `mkdir etc/auks; cp -r ${directory}/slurm etc/slurm; rm -rf etc/default/auks*`
        : `ln -s ${directory}/auks etc/auks; ln -s ${directory}/slurm etc/slurm`
    }
${accounts.join("\n")}
exec chroot . $sshd`;
  }

  #managementNode(): string {
    const queries = [
      ...userQueries(["bob", "alice", "low", "dave"]),
      ...NODES.flatMap((name) =>
        serviceQueries(`host/${name}.realm.a`, `${this.directory}/keytabs/${name}`)
      ),
    ];
    return `${MUNGED}
export ${this.#kdcProfile}
mkdir -m 700 /var/kdc
kdb5_util create -s -W -r REALM.A -P master >/dev/null 2>&1
kadmin.local -r REALM.A >/dev/null <<'END'
${queries.join("\n")}
END
${START_KDC}
install -m 600 ${this.directory}/keytabs/mngt /etc/krb5.keytab
${this.#withoutAuks ? "" : AUKSD}
slurmctld -i &>/var/log/slurmctld.start`;
  }

  #computeNode(): string {
    return `${MUNGED}
install -m 600 ${this.directory}/keytabs/compute /etc/krb5.keytab
${this.#withoutAuks ? "" : "aukspriv --once"}
slurmd &>/var/log/slurmd.start || { cat /var/log/slurmd.log; exit 1; }`;
  }

  /** Runs shell commands on a node, as root or another user. */
  run(node: NodeName, commands: string, user = "root", timeout?: number): Outcome {
    const shell = `bash -c ${quote(commands)}`;
    const id = USERS[user];
    const command = id === undefined
      ? shell
      : `cd / && setpriv --reuid ${id} --regid ${id} --clear-groups env HOME=/ ${shell}`;
    return this.#network.onHost(node, command, "", timeout);
  }

  /** The same, which must succeed. Returns its standard output. */
  must(node: NodeName, commands: string, user = "root", timeout?: number): string {
    const { status, out, err } = this.run(node, `set -e\n${commands}`, user, timeout);
    assert.equal(status, 0, `${node}: ${commands}\n${out}${err}`);
    return out;
  }

  /** Gets a user a ticket on a node. */
  login(user: string, options = "", node: NodeName = "login"): void {
    this.must(node, `kinit ${options} ${user} >/dev/null <<<"${PASSWORD}"`, user);
  }

  /** Waits until no job is left, and no epilog to come: between a job's last step and that, no slurmstepd runs. */
  waitForJobs(): void {
    this.waitFor("login", 'jobs=$(squeue --noheader) && test -z "$jobs"');
    this.waitFor("compute", "! pgrep slurmstepd");
  }

  /** Fails if jobs have left a process or a file on the compute node. */
  assertNothingLeft(): void {
    this.waitForJobs();
    const left = this.must(
      "compute",
      "pgrep -ax 'mungebox|auks' || true; ls /tmp /run/auks/jobs",
    );
    const own = left.split("\n").filter((line) =>
      line !== "" && !/^(krb5cc_0|mungebox-hosts-.*|\/tmp:|\/run\/auks\/jobs:)$/.test(line)
    );
    assert.deepEqual(own, []);
  }

  get #kdcProfile(): string {
    return `KRB5_KDC_PROFILE=${this.directory}/kdc.conf`;
  }

  /** Starts the KDC again. */
  startKdc(): void {
    this.must("mngt", `${this.#kdcProfile} ${START_KDC}`);
  }

  /** Waits until a command succeeds on a node. */
  waitFor(node: NodeName, command: string, timeout?: number): void {
    this.#network.waitFor(node, command, timeout);
  }

  close(): void {
    this.#network.close();
  }
}

const AUKSD = `mkdir -m 700 -p /var/cache/auks
auksd &>/var/log/auksd.start || { cat /var/log/auksd.start; exit 1; }`;
const START_KDC = "krb5kdc -r REALM.A &>/var/log/krb5kdc.start";

/** A daemon must not keep the ssh session's output open. */
const MUNGED = "munged &>/var/log/munged.start";
