// A fleet for Ansible: a controller with this project, hosts without any MUNGE, and one with Debian's. Each has its own
// files, processes and sshd; none has systemd. The sockets of all munged can be reached from the tests, too.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { hasReference, MUNGEBOX } from "../harness/programs.ts";
import type { Peer } from "../interop/cluster.ts";
import { copyOfRoot, Network, NETWORK_NEEDS, type Outcome } from "../network.ts";

const PROJECT = resolve(import.meta.dirname, "../..");
const CONTROLLER = "controller";

/** The hosts of the realm; the last has the C MUNGE. */
export const HOSTS = ["node1", "node2", "node3", "node4", "node5"] as const;
/** A host. */
export type HostName = typeof HOSTS[number];
/** Those with mungebox. */
export const OURS: readonly HostName[] = HOSTS.slice(0, 4);
/** The one with the C MUNGE. */
export const C_HOST: HostName = "node5";

/** What the fleet needs, for suite(). */
export const FLEET_NEEDS: Readonly<Record<string, boolean>> = {
  ...NETWORK_NEEDS,
  "ansible-core": existsSync("/usr/bin/ansible-playbook"),
  "Debian's munge": hasReference,
  "dist/mungebox": existsSync(MUNGEBOX),
};

/** The outcome of a playbook. */
export interface Play extends Outcome {
  /** The number of changes, by host. */
  readonly changed: Readonly<Record<string, number>>;
}

const CONFIGURATION = `[defaults]
inventory = hosts.ini
collections_path = /fleet/collections
fact_caching = jsonfile
fact_caching_connection = /fleet/facts
log_path = /fleet/ansible.log
[ssh_connection]
pipelining = true
ssh_args = -o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=5 -o ServerAliveCountMax=3
`;

/** Seconds for which a retired key decodes; even on a loaded machine, fewer pass between the first and last promotion. */
export const ROTATION_TIME = 60;

/** The fleet. */
export class Fleet {
  readonly #network = new Network([CONTROLLER, ...HOSTS]);
  /** The hosts, for a load; one that is drained decodes nothing, and one that does not encode is down. */
  readonly peers: readonly (Peer & { readonly name: HostName })[];

  constructor() {
    const { directory } = this.#network;
    writeFileSync(join(directory, "hosts"), this.#network.hostsFile);
    const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (const name of [CONTROLLER, ...HOSTS]) {
      mkdirSync(join(directory, "run", name), { recursive: true });
      this.#network.start(name, this.#boot(name), path);
    }
    this.peers = HOSTS.map((name, index) => {
      const drained = join(directory, `drained-${name}`);
      return {
        name,
        make: name === C_HOST ? "reference" : "ours",
        number: index + 1,
        socket: join(directory, "run", name, "munge/munge.socket.2"),
        encodes: true,
        get decodes() {
          return this.encodes && !existsSync(drained);
        },
      };
    });
    try {
      for (const name of [CONTROLLER, ...HOSTS]) this.#network.waitFor(name, "true");
      this.#prepareController();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #boot(name: string): string {
    const { directory } = this.#network;
    const root = `${directory}/${name}`;
    const withoutMunge = `rm -f usr/bin/*munge usr/sbin/munge* usr/sbin/create-munge-key
sed -i /^munge:/d etc/passwd etc/group etc/shadow etc/gshadow`;
    return `
${copyOfRoot(root, directory, `--bind ${directory}/run/${name}`)}
${
      name === CONTROLLER
        ? `mkdir -p ${root}/root/project; mount --bind ${PROJECT} ${root}/root/project`
        : ""
    }
hostname ${name}
cd ${root}/root
rm -rf etc/munge etc/default/munge var/lib/munge var/log/munge root/.ansible root/.bashrc usr/local/sbin usr/local/share/mungebox
mkdir -p -m 755 usr/local/sbin
rm -f usr/local/bin/*munge*
${name === C_HOST ? "" : withoutMunge}
cp ${directory}/hosts etc/hosts
mkdir -p -m 700 root/.ssh
cp ${this.#network.sshConfig} root/.ssh/config
exec chroot . $sshd`;
  }

  #prepareController(): void {
    const inventory = `[munge]\n${OURS.join("\n")}\n[munge_c]\n${C_HOST}
[munge:children]\nmunge_c
[munge:vars]\nmungebox_source=/project
mungebox_controller_executable=/project/dist/mungebox
mungebox_settings={"key-rotation-time": ${ROTATION_TIME}}
mungebox_drain_tasks=/fleet/drain.yml\nmungebox_resume_tasks=/fleet/resume.yml\n`;
    const mark = (task: string) =>
      `- name: Mark it\n  ansible.builtin.${task}\n  delegate_to: localhost\n`;
    const drained = join(this.#network.directory, "drained-{{ inventory_hostname }}");
    const files = {
      "ansible.cfg": CONFIGURATION,
      "hosts.ini": inventory,
      // The load sees the file, and finishes the decodes in progress meanwhile.
      "drain.yml": mark(`shell: touch ${drained} && sleep 3`),
      "resume.yml": mark(`command: rm ${drained}`),
    };
    this.must(CONTROLLER, "mkdir -p /fleet");
    for (const [name, text] of Object.entries(files)) {
      const { status, err } = this.#network.onHost(CONTROLLER, `cat >/fleet/${name}`, text);
      assert.equal(status, 0, err);
    }
    this.must(
      CONTROLLER,
      `cd /fleet && ansible-galaxy collection install /project/packaging/ansible`,
    );
  }

  /** Takes a host down as a power cut does, or, without munged, up again. */
  power(host: HostName, state: "on" | "off"): void {
    const peer = this.peers.find(({ name }) => name === host)!;
    if (state === "off") {
      peer.encodes = false;
      this.must(host, `sleep 1; ${AS_MUNGE} munged --stop`);
    }
    this.#network.setCable(host, state === "on" ? "up" : "down");
    if (state === "on") this.#network.waitFor(host, "true");
  }

  /** Gives the C host a key and runs its munged. */
  startC(key: Uint8Array): void {
    writeFileSync(join(this.#network.directory, "key"), key, { mode: 0o600 });
    this.must(
      C_HOST,
      `install -d -m 700 -o munge -g munge /etc/munge /var/lib/munge /var/log/munge
install -d -m 755 -o munge -g munge /run/munge
install -m 400 -o munge -g munge ${this.#network.directory}/key /etc/munge/munge.key
${AS_MUNGE} /usr/sbin/munged`,
    );
  }

  /** Runs shell commands on a host, which must succeed. Returns their standard output. */
  must(host: string, commands: string): string {
    const { status, out, err } = this.run(host, `set -e\n${commands}`);
    assert.equal(status, 0, `${host}: ${commands}\n${out}${err}`);
    return out;
  }

  /** Runs shell commands on a host. */
  run(host: string, commands: string): Outcome {
    return this.#network.onHost(host, `bash -c '${commands.replaceAll("'", `'\\''`)}'`);
  }

  /** The bytes of a file on the controller. */
  controllerFile(path: string): Buffer {
    return Buffer.from(this.must(CONTROLLER, `base64 ${path}`), "base64");
  }

  /** Runs commands on the controller. */
  controller(commands: string): string {
    return this.must(CONTROLLER, commands);
  }

  /** Runs a playbook of the collection on the controller, while the tests' load goes on. */
  async play(words: string): Promise<Play> {
    const child = this.#network.spawnOnHost(
      CONTROLLER,
      `cd /fleet && ANSIBLE_NOCOLOR=1 ansible-playbook mungebox.cluster.${words}`,
    );
    child.stdin.end();
    const text = async (stream: NodeJS.ReadableStream) => {
      let all = "";
      for await (const chunk of stream) all += chunk;
      return all;
    };
    const [out, err, status] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      new Promise<number | null>((resolve) => child.once("close", resolve)),
    ]);
    const recap = [...out.matchAll(/^(\S+) +: ok=\d+ +changed=(\d+)/gm)];
    const changed = Object.fromEntries(recap.map(([, host, count]) => [host!, Number(count)]));
    return { status, out, err, changed };
  }

  /** The same, which must succeed. */
  async mustPlay(words: string): Promise<Play> {
    const play = await this.play(words);
    assert.equal(play.status, 0, `${words}\n${firstFailure(play)}`);
    return play;
  }

  /** Starts a load of clients that use libmunge on a host; it ends with its standard input. */
  startLibmungeLoad(host: HostName) {
    const program = join(this.#network.directory, "replace_load");
    const source = join(PROJECT, "tests/interop/replace_load.c");
    const { status, stderr } = spawnSync("gcc", [
      ..."-std=c11 -D_GNU_SOURCE -O2 -pthread -o".split(" "),
      ...[program, source, "-lmunge"],
    ], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    return this.#network.spawnOnHost(host, `${program} /run/munge/munge.socket.2 1 2000`);
  }

  /** A directory like the project's, seen from all hosts, with what an installation needs; `build` makes its executable. */
  source(name: string, build: (executable: string) => void): string {
    const directory = join(this.#network.directory, name);
    for (const path of ["packaging", "scripts/install", "dist/share"]) {
      cpSync(join(PROJECT, path), join(directory, path), { recursive: true });
    }
    build(join(directory, "dist/mungebox"));
    return directory;
  }

  /** Builds the executable with another version number. */
  buildVersion(version: string, executable: string): void {
    const copy = join(this.#network.directory, `build-${version}`);
    for (
      const path of ["cli", "daemon", "lib", "scripts", "package.json", "tsconfig.json", "LICENSES"]
    ) cpSync(join(PROJECT, path), join(copy, path), { recursive: true });
    symlinkSync(join(PROJECT, "node_modules"), join(copy, "node_modules"));
    const file = join(copy, "lib/version.ts");
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.replace(/(?<=const VERSION = ")[^"]+/, version));
    const { status, stderr } = spawnSync("node_modules/.bin/bun", [
      ...["scripts/build.ts", `--output=${join(copy, "dist")}`],
    ], { cwd: copy, encoding: "utf8" });
    assert.equal(status, 0, stderr);
    cpSync(join(copy, "dist/mungebox"), executable);
  }

  close(): void {
    this.#network.close();
  }
}

/** What a playbook says of the first task that failed, or all that it says. */
function firstFailure({ out, err }: Play): string {
  const [lines] = /^TASK .*\n(?:(?!TASK ).*\n)*?(?:fatal|failed): .*$/m.exec(out) ?? [out];
  return `${lines}\n${err}`;
}

const AS_MUNGE = "setpriv --reuid=munge --regid=munge --init-groups";
