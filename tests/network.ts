// Hosts for tests: network namespaces on one bridge, each with its own mounts and processes and Debian's sshd.
// Everything else on a host is up to the test. Network.close() leaves nothing behind. Needs root.
import assert from "node:assert/strict";
import {
  type ChildProcess,
  type ChildProcessWithoutNullStreams,
  spawn,
  spawnSync,
} from "node:child_process";
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

const SSHD = "/usr/sbin/sshd";
/** Far longer than anything takes that works, even on a busy machine. */
const PATIENCE_MS = 120_000;

/** The needs of tests with hosts, for suite(). */
export const NETWORK_NEEDS: Readonly<Record<string, boolean>> = {
  root: process.geteuid!() === 0,
  "openssh-server": existsSync(SSHD),
  "openssh-client": existsSync("/usr/bin/ssh-keygen"),
  iproute2: existsSync("/usr/sbin/ip"),
};

/** The outcome of a command. */
export interface Outcome {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/**
 * Commands for a host that is to have its own files: they mount a copy of this machine's root directory, whose changes are
 * lost, at `root`/root, with its own /tmp, /dev and /proc and with `directory` in it.
 *
 * @param mountRun the end of a mount command, without the place, that provides its /run.
 */
export function copyOfRoot(root: string, directory: string, mountRun: string): string {
  return `mkdir -p ${root}
mount -t tmpfs none ${root}
mkdir ${root}/root ${root}/upper ${root}/work
mount -t overlay overlay -o lowerdir=/,upperdir=${root}/upper,workdir=${root}/work ${root}/root
mount -t tmpfs -o mode=1777 none ${root}/root/tmp
mount --rbind /dev ${root}/root/dev
mount -t proc proc ${root}/root/proc
mount ${mountRun} ${root}/root/run
mkdir -p ${root}/root${directory} ${root}/root/run/sshd
mount --bind ${directory} ${root}/root${directory}`;
}

/** Hosts by name; the first has address 10.99.0.1. */
export class Network {
  /** Visible to all hosts that have this machine's file system. */
  readonly directory: string = mkdtempSync("/tmp/mungebox-hosts-");
  /** The ssh configuration with which hosts reach each other. */
  readonly sshConfig: string = join(this.directory, "ssh_config");
  readonly #names: readonly string[];
  /** Distinct for tests that run at the same time. */
  readonly #prefix = this.directory.slice(-6);
  readonly #bridge = `${this.#prefix}-bridge`;
  readonly #children: ChildProcess[] = [];

  constructor(names: readonly string[]) {
    this.#names = names;
    chmodSync(this.directory, 0o755);
    this.#keygen("user");
    const config = [
      "Host *",
      `IdentityFile ${this.directory}/user`,
      "IdentitiesOnly yes",
      "StrictHostKeyChecking yes",
      `UserKnownHostsFile ${this.directory}/known_hosts`,
      "User root",
      "BatchMode yes",
      "ConnectTimeout 30",
    ];
    names.forEach((name, index) => {
      config.push(`Host ${name}`, `HostName ${this.#address(index)}`, `HostKeyAlias ${name}`);
    });
    writeFileSync(this.sshConfig, `${config.join("\n")}\n`);
    run("ip", "netns", "add", this.#bridge);
    run("ip", "-n", this.#bridge, "link", "add", "br0", "type", "bridge");
    run("ip", "-n", this.#bridge, "link", "set", "br0", "up");
  }

  #address(index: number): string {
    return `10.99.0.${index + 1}`;
  }

  #keygen(name: string): void {
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", join(this.directory, name));
  }

  #namespace(name: string): string {
    return `${this.#prefix}-${name}`;
  }

  /** Lines for /etc/hosts. */
  get hostsFile(): string {
    const lines = this.#names.map((name, index) => `${this.#address(index)} ${name}\n`);
    return `127.0.0.1 localhost\n${lines.join("")}`;
  }

  /**
   * Starts a host.
   *
   * @param script for the shell that is the host's first process; ends by running the command in `$sshd`.
   * @param path the PATH of ssh sessions.
   */
  start(name: string, script: string, path: string): void {
    const index = this.#names.indexOf(name);
    const base = join(this.directory, `sshd-${name}`);
    mkdirSync(base);
    this.#keygen(`sshd-${name}/host_key`);
    const publicKey = readFileSync(join(base, "host_key.pub"), "utf8");
    writeFileSync(join(this.directory, "known_hosts"), `${name} ${publicKey}`, { flag: "a" });
    const config = [
      `HostKey ${base}/host_key`,
      `AuthorizedKeysFile ${this.directory}/user.pub`,
      `PidFile ${base}/pid`,
      "UsePAM no",
      "StrictModes no",
      "PermitRootLogin prohibit-password",
      "Subsystem sftp internal-sftp",
      `SetEnv PATH=${path}`,
    ];
    writeFileSync(join(base, "config"), `${config.join("\n")}\n`);
    const namespace = this.#namespace(name);
    const cable = `cable${index}`;
    run("ip", "netns", "add", namespace);
    const link = ["link", "add", cable, "type", "veth", "peer", "name", "eth0"];
    run("ip", "-n", this.#bridge, ...link, "netns", namespace);
    run("ip", "-n", this.#bridge, "link", "set", cable, "master", "br0", "up");
    run("ip", "-n", namespace, "link", "set", "lo", "up");
    run("ip", "-n", namespace, "addr", "add", `${this.#address(index)}/24`, "dev", "eth0");
    run("ip", "-n", namespace, "link", "set", "eth0", "up");
    const unshare = ["unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child"];
    const words = ["netns", "exec", namespace, ...unshare, "bash", "-c", `set -e\n${script}`];
    this.#children.push(
      spawn("ip", words, {
        stdio: ["ignore", "ignore", "inherit"],
        cwd: "/",
        env: { PATH: path, sshd: `${SSHD} -D -e -q -f ${base}/config` },
      }),
    );
  }

  /** The arguments of ip that run a command on a host, over ssh. */
  #overSsh(name: string, command: string): string[] {
    return ["netns", "exec", this.#namespace(name), "ssh", "-F", this.sshConfig, name, command];
  }

  /** Starts a command on a host, over ssh; it ends with the network at the latest. */
  spawnOnHost(name: string, command: string): ChildProcessWithoutNullStreams {
    const child = spawn("ip", this.#overSsh(name, command), { cwd: "/" });
    this.#children.push(child);
    return child;
  }

  /** Runs a command on a host, over ssh. */
  onHost(name: string, command: string, input = "", timeout = PATIENCE_MS): Outcome {
    const { status, stdout, stderr } = spawnSync("ip", this.#overSsh(name, command), {
      encoding: "utf8",
      timeout,
      cwd: "/",
      input,
    });
    return { status, out: stdout, err: stderr };
  }

  /** Cuts a host's cable, or plugs it in again. */
  setCable(name: string, state: "up" | "down"): void {
    run("ip", "-n", this.#bridge, "link", "set", `cable${this.#names.indexOf(name)}`, state);
  }

  /** Waits until a command succeeds on a host. */
  waitFor(name: string, command: string, timeout = PATIENCE_MS): void {
    const deadline = performance.now() + timeout;
    for (;;) {
      const { status, out, err } = this.onHost(name, command);
      if (status === 0) return;
      assert(performance.now() < deadline, `${name}: ${command}: ${out}${err}`);
      spawnSync("sleep", ["0.2"]);
    }
  }

  /** Ends every process of every host, and removes the network. */
  close(): void {
    for (const name of [...this.#names.map((name) => this.#namespace(name)), this.#bridge]) {
      const pids = spawnSync("ip", ["netns", "pids", name], { encoding: "utf8" }).stdout ?? "";
      for (const pid of pids.split("\n").filter((line) => line !== "")) {
        try {
          process.kill(Number(pid), "SIGKILL");
        } catch {
          // it ended by itself
        }
      }
      spawnSync("ip", ["netns", "del", name]);
    }
    for (const child of this.#children) child.kill("SIGKILL");
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function run(name: string, ...words: string[]): void {
  const { status, stderr } = spawnSync(name, words, { encoding: "utf8", timeout: 120_000 });
  assert.equal(status, 0, `${name} ${words.join(" ")}: ${stderr}`);
}
