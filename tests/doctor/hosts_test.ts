// mungebox doctor HOST... against hosts that are network namespaces, each with its own files, munged and
// Debian's sshd: one with another key, one with another time, one without a munged that runs, one without
// mungebox, one that is not there.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { installPrograms, MUNGEBOX, REFERENCE_MUNGED, type Report } from "./site.ts";

const SSHD = "/usr/sbin/sshd";
const canRun = process.geteuid!() === 0 && existsSync(MUNGEBOX) &&
  [SSHD, "/usr/bin/ssh-keygen", "/usr/sbin/ip", "/usr/bin/faketime", REFERENCE_MUNGED].every((
    path,
  ) => existsSync(path));

/** Seconds by which the clock of munged on host "clock" is ahead. */
const SKEW = 600;

/** How a host differs. */
interface Host {
  readonly name: string;
  /** Runs munged; absent where none shall. */
  readonly munged?: readonly string[];
  /** The key file's name. */
  readonly key: "key" | "other-key";
  /** Whether mungebox is installed there; else the C programs only. */
  readonly hasMungebox: boolean;
}

const HOSTS: readonly Host[] = [
  { name: "here", munged: ["munged"], key: "key", hasMungebox: true },
  { name: "good", munged: ["munged"], key: "key", hasMungebox: true },
  { name: "key", munged: ["munged"], key: "other-key", hasMungebox: true },
  {
    name: "clock",
    munged: ["faketime", "-f", `+${SKEW}s`, "munged"],
    key: "key",
    hasMungebox: true,
  },
  { name: "down", key: "key", hasMungebox: true },
  { name: "plain", munged: [REFERENCE_MUNGED], key: "key", hasMungebox: false },
];

/** Hosts on one bridge; their names are their namespaces' with a prefix, so that tests don't meet. */
class Cluster {
  readonly directory: string = mkdtempSync("/tmp/mungebox-cluster-");
  readonly #prefix = `d${process.pid % 100_000}`;
  readonly #bridge = `${this.#prefix}br`;
  readonly #children: ChildProcess[] = [];

  constructor() {
    chmodSync(this.directory, 0o755);
    installPrograms(join(this.directory, "bin"));
    mkdirSync(join(this.directory, "keys"));
    for (const key of ["key", "other-key"]) {
      writeFileSync(join(this.directory, "keys", key), crypto.getRandomValues(new Uint8Array(128)));
    }
    this.#keygen("user");
    run("ip", "netns", "add", this.#bridge);
    run("ip", "-n", this.#bridge, "link", "add", "br0", "type", "bridge");
    run("ip", "-n", this.#bridge, "link", "set", "br0", "up");
    const config = [
      `IdentityFile ${this.directory}/user`,
      "IdentitiesOnly yes",
      "StrictHostKeyChecking yes",
      `UserKnownHostsFile ${this.directory}/known_hosts`,
      "User root",
      "BatchMode yes",
      "ConnectTimeout 10",
    ];
    HOSTS.forEach(({ name }, index) => {
      config.push(`Host ${name}`, `HostName 10.99.0.${index + 1}`, `HostKeyAlias ${name}`);
    });
    config.push("Host nowhere", "HostName 10.99.0.200", "ConnectTimeout 2");
    writeFileSync(join(this.directory, "ssh_config"), `${config.join("\n")}\n`);
  }

  #keygen(name: string): void {
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", join(this.directory, name));
  }

  #namespace(name: string): string {
    return `${this.#prefix}${name}`;
  }

  /** Starts a host: its network, its files over the usual places, sshd and munged. */
  start(host: Host, index: number): void {
    const { name } = host;
    const base = join(this.directory, name);
    const namespace = this.#namespace(name);
    for (const part of ["etc", "run", "lib", "log", "sshd"]) {
      mkdirSync(join(base, part), { recursive: true });
    }
    for (const part of ["etc", "lib", "log"]) chmodSync(join(base, part), 0o700);
    chmodSync(join(base, "run"), 0o755);
    writeFileSync(
      join(base, "etc/munge.key"),
      readFileSync(join(this.directory, "keys", host.key)),
      {
        mode: 0o600,
      },
    );
    this.#keygen(`${name}/sshd/host_key`);
    const publicKey = readFileSync(join(base, "sshd/host_key.pub"), "utf8");
    writeFileSync(join(this.directory, "known_hosts"), `${name} ${publicKey}`, { flag: "a" });
    const path = `${host.hasMungebox ? `${this.directory}/bin:` : ""}/usr/sbin:/usr/bin:/sbin:/bin`;
    writeFileSync(
      join(base, "sshd/config"),
      [
        `HostKey ${base}/sshd/host_key`,
        `AuthorizedKeysFile ${this.directory}/user.pub`,
        `PidFile ${base}/sshd/pid`,
        "UsePAM no",
        "StrictModes no",
        "PermitRootLogin prohibit-password",
        `SetEnv PATH=${path}`,
      ].join("\n") + "\n",
    );
    run("ip", "netns", "add", namespace);
    const cable = `v${index}`;
    const words = [
      "link",
      "add",
      cable,
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "netns",
      namespace,
    ];
    run("ip", "-n", this.#bridge, ...words);
    run("ip", "-n", this.#bridge, "link", "set", cable, "master", "br0", "up");
    run("ip", "-n", namespace, "link", "set", "lo", "up");
    run("ip", "-n", namespace, "addr", "add", `10.99.0.${index + 1}/24`, "dev", "eth0");
    run("ip", "-n", namespace, "link", "set", "eth0", "up");
    const script = [
      "set -e",
      // No host sees another's files, nor this machine's own.
      ...[["etc", "/etc/munge"], ["lib", "/var/lib/munge"], ["log", "/var/log/munge"]].map((
        [part, place],
      ) => `mount --bind ${base}/${part} ${place}`),
      "mount -t tmpfs -o mode=0755 none /run",
      "mkdir /run/munge /run/sshd",
      `export PATH=${path}`,
      ...(host.munged === undefined ? [] : [`${host.munged.join(" ")} --foreground &`]),
      `exec ${SSHD} -D -e -f ${base}/sshd/config`,
    ].join("\n");
    const all = [
      "netns",
      "exec",
      namespace,
      "unshare",
      "--mount",
      "--propagation=private",
      "sh",
      "-c",
    ];
    this.#children.push(spawn("ip", [...all, script], { stdio: "ignore", cwd: "/" }));
  }

  /** Runs a command on a host by ssh from the host "here", whose network all commands are in. */
  onHere(command: string): { status: number | null; out: string; err: string } {
    const { status, stdout, stderr } = spawnSync("ip", [
      "netns",
      "exec",
      this.#namespace("here"),
      "ssh",
      "-F",
      join(this.directory, "ssh_config"),
      "here",
      command,
    ], { encoding: "utf8", timeout: 100_000, cwd: "/" });
    return { status, out: stdout, err: stderr };
  }

  /** Ends every process of every host, and takes down the network. */
  close(): void {
    for (const name of [...HOSTS.map(({ name }) => this.#namespace(name)), this.#bridge]) {
      const pids = spawnSync("ip", ["netns", "pids", name], { encoding: "utf8" }).stdout ?? "";
      for (const pid of pids.split("\n").filter((line) => line !== "")) {
        try {
          process.kill(Number(pid), "SIGKILL");
        } catch {
          // it ended on its own
        }
      }
      spawnSync("ip", ["netns", "del", name]);
    }
    for (const child of this.#children) child.kill("SIGKILL");
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function run(name: string, ...words: string[]): void {
  const { status, stderr } = spawnSync(name, words, { encoding: "utf8", timeout: 30_000 });
  assert.equal(status, 0, `${name} ${words.join(" ")}: ${stderr}`);
}

describe("mungebox doctor HOST...", { skip: !canRun }, () => {
  let cluster: Cluster;
  let ssh: string;

  before(() => {
    for (const directory of ["/etc/munge", "/var/lib/munge", "/var/log/munge"]) {
      mkdirSync(directory, { recursive: true }); // to mount over
    }
    cluster = new Cluster();
    ssh = `--ssh='ssh -F ${cluster.directory}/ssh_config'`;
    HOSTS.forEach((host, index) => cluster.start(host, index));
    for (const { name, munged } of HOSTS) {
      const probe = munged === undefined ? "true" : "munge -n";
      const command =
        `for try in $(seq 100); do ssh -F ${cluster.directory}/ssh_config ${name} '${probe}' ` +
        ">/dev/null 2>&1 && exit; sleep 0.2; done; exit 1";
      let ready = cluster.onHere(command);
      // Until its own sshd listens, not even the loop can be run.
      for (let tries = 0; ready.status === 255 && tries < 100; tries++) {
        spawnSync("sleep", ["0.2"]);
        ready = cluster.onHere(command);
      }
      assert.equal(ready.status, 0, `${name}: ${ready.err}`);
    }
  });
  after(() => cluster?.close());

  /** The host's part of a report, by name. */
  function examine(...hosts: string[]) {
    const { status, out, err } = cluster.onHere(
      `mungebox doctor --json ${ssh} ${hosts.join(" ")}`,
    );
    assert(status !== null && status < 3, err + out);
    const report: Report = JSON.parse(out);
    assert.deepEqual(report.hosts.map(({ host }) => host), hosts);
    return {
      status,
      report,
      hosts: Object.fromEntries(report.hosts.map((one) => [one.host, one])),
    };
  }

  it("tells wrong key from another time from a munged that is down", () => {
    const { status, hosts } = examine("good", "key", "clock", "down", "plain", "nowhere");
    assert.equal(status, 2);
    const { good, key, clock, down, plain, nowhere } = hosts;
    assert.equal(good?.verdict, "ok", JSON.stringify(hosts, null, 2));
    assert.equal(plain?.verdict, "ok", plain?.text);
    assert.match(plain!.version!, /^munge-0\.5\.\d+ \(/);
    assert.equal(plain!.fingerprint, undefined);

    assert.match(
      key!.text,
      /^key has another key \(fingerprint there (\w{16}), here (?!\1)\w{16}\)$/,
    );
    assert.equal(key!.mend, "scp -p /etc/munge/munge.key key:/etc/munge/munge.key");
    assert.notEqual(key!.fingerprint, good!.fingerprint);

    assert.match(
      clock!.text,
      /^the clock of clock is \d+ s ahead of this host's, so credentials are refused$/,
    );
    assert(Math.abs(clock!.skewSeconds! - SKEW) <= 3, `${clock!.skewSeconds}`);
    assert.equal(clock!.mend, "ssh clock 'chronyc makestep'");

    assert.match(down!.text, /^munged on down is down: munged does not run: /);
    assert.match(down!.mend!, /^ssh down /);

    assert.match(nowhere!.text, /^nowhere can't be asked by ssh: /);
    assert.equal(nowhere!.mend, "ssh nowhere date");
  });

  it("finds nothing wrong between healthy hosts", () => {
    const { status, report, hosts } = examine("good", "plain");
    assert.equal(status, 0, JSON.stringify(report));
    assert.equal(report.cause, null);
    for (const host of ["good", "plain"]) assert(Math.abs(hosts[host]!.skewSeconds!) <= 3);
  });

  it("blames its own host where all others agree on another key", () => {
    const command =
      `mungebox doctor --json --ssh='ssh -F ${cluster.directory}/ssh_config' good here`;
    const { out } = cluster.onHere(
      `ssh -F ${cluster.directory}/ssh_config key ${JSON.stringify(command)}`,
    );
    const report: Report = JSON.parse(out);
    assert.match(report.cause!.text, /all hosts asked agree, so this host has the wrong one$/);
    assert.equal(report.cause!.mend, "scp -p good:/etc/munge/munge.key /etc/munge/munge.key");
  });

  it("names the hosts in plain text, the cause first", () => {
    const { status, out } = cluster.onHere(`mungebox doctor ${ssh} good clock`);
    assert.equal(status, 2);
    assert.match(out, /^Problem: the clock of clock is \d+ s ahead of this host's/);
    assert.match(out, /^ok +good +Credentials are good both ways, clocks \d s apart$/m);
  });
});
