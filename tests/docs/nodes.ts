// The two nodes in the pages, node1 and node2: overlays of this machine's file system, which discard all changes, without
// any MUNGE except what the pages install. A stand-in for systemctl does what the unit says.
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Network, type Outcome } from "../network.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const NODES = ["node1", "node2"];

/** How a page starts: without MUNGE, or with a realm as README.md makes one. */
export type Setting = "bare" | "realm";

const SUDO = `#!/bin/bash
# sudo for a user who may do everything.
user=root
while getopts u: option; do user=$OPTARG; done
shift $((OPTIND - 1))
exec setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups "$@"
`;

const SYSTEMCTL = `#!/bin/bash
# What systemd does with munge.service, according to the unit.
set -e
words=()
for word; do [[ $word == --now || $word == --quiet ]] || words+=("$word"); done
unit=/usr/local/lib/systemd/system/munge.service
value() { sed -n "s/^$1=//p" $unit; }
pid() { cat /run/munge/munged.pid; }
start() {
    install -d -m "$(value RuntimeDirectoryMode)" -o munge -g munge /run/munge
    [[ ! -e /etc/default/munge ]] || . /etc/default/munge
    eval "sudo -u $(value User) $(value ExecStart)"
}
stop() { if [[ -e /run/munge/munged.pid ]]; then sudo -u munge munged --stop; fi; }
case \${words[0]} in
    start | enable) [[ -e /run/munge/munged.pid ]] || start ;;
    stop | disable) stop ;;
    restart) stop; start ;;
    reload) kill -HUP "$(pid)" ;;
    is-active) kill -0 "$(pid)" && echo active ;;
    daemon-reload) ;;
    *) echo "systemctl: $*?" >&2; exit 1 ;;
esac
`;

/** Two nodes. */
export class Nodes {
  readonly #network = new Network(NODES);

  constructor(setting: Setting) {
    const { directory } = this.#network;
    mkdirSync(join(directory, "stand-ins"));
    for (const [name, text] of [["sudo", SUDO], ["systemctl", SYSTEMCTL]] as const) {
      const path = join(directory, "stand-ins", name);
      writeFileSync(path, text);
      chmodSync(path, 0o755);
    }
    writeFileSync(join(directory, "hosts"), this.#network.hostsFile);
    const path =
      `${directory}/stand-ins:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
    for (const name of NODES) this.#network.start(name, this.#boot(name), path);
    for (const name of NODES) this.#network.waitFor(name, "true");
    if (setting === "realm") {
      const made = this.run(REALM);
      assert.equal(made.status, 0, made.out + made.err);
    }
  }

  #boot(name: string): string {
    const { directory } = this.#network;
    const root = `${directory}/${name}`;
    // The project may be on a different file system than the root, so it has its own overlay.
    const overlay = (what: string, lower: string, place: string) =>
      `mkdir -p ${root}/${what}.upper ${root}/${what}.work
mount -t overlay overlay -o lowerdir=${lower},upperdir=${root}/${what}.upper,workdir=${root}/${what}.work ${place}`;
    return `
mkdir -p ${root}
mount -t tmpfs none ${root}
mkdir ${root}/root
${overlay("system", "/", `${root}/root`)}
mount -t tmpfs -o mode=1777 none ${root}/root/tmp
mkdir -p ${root}/root${ROOT}
${overlay("project", ROOT, `${root}/root${ROOT}`)}
mount --rbind /dev ${root}/root/dev
mount -t proc proc ${root}/root/proc
mount -t tmpfs -o mode=0755 none ${root}/root/run
mkdir -p ${root}/root${directory} ${root}/root/run/sshd
mount --bind ${directory} ${root}/root${directory}
hostname ${name}
cd ${root}/root
rm -rf etc/munge etc/default/munge var/lib/munge var/log/munge
rm -f etc/systemd/system/*.wants/munge.s* var/lib/systemd/deb-systemd-helper-enabled/munge.*
rm -f usr/bin/*munge usr/sbin/munge* usr/sbin/create-munge-key
sed -i /^munge:/d etc/passwd etc/group etc/shadow etc/gshadow
cp ${directory}/hosts etc/hosts
mkdir -p -m 700 root/.ssh
cp ${this.#network.sshConfig} root/.ssh/config
exec chroot . $sshd`;
  }

  /** Runs commands as root on node1, in the project's directory. */
  run(commands: string, timeout?: number): Outcome {
    // Not on standard input, which the first ssh among them would consume.
    const script = `'${commands.replaceAll("'", `'\\''`)}'`;
    return this.#network.onHost("node1", `cd ${ROOT} && bash -e -c ${script}`, "", timeout);
  }

  /** Restores the realm to its state before a page's commands. */
  reset(): void {
    const made = this.run(`${RESET}\nssh node2 '${RESET}'`);
    assert.equal(made.status, 0, made.out + made.err);
  }

  close(): void {
    this.#network.close();
  }
}

/** The steps of README.md. */
const REALM = `
scripts/install
systemctl enable --now munge
tar c dist/mungebox dist/share packaging scripts/install | ssh node2 'mkdir mungebox; tar x -C mungebox'
ssh node2 mungebox/scripts/install
scp -q /etc/munge/munge.key node2:/etc/munge/munge.key
ssh node2 systemctl enable --now munge
mungebox health
ssh node2 mungebox health
cp -a /etc/munge /root/munge.saved
ssh node2 cp -a /etc/munge /root/munge.saved
`;

/** What stays in /tmp: the nodes' own files, and the project if it is there. */
const KEPT = ["/tmp/mungebox-hosts-", /^\/tmp\/[^/]+/.exec(ROOT)?.[0]]
  .map((start) => start === undefined ? "" : `! -path "${start}*"`)
  .join(" ");

/** Runs on each node; removes everything that one page may leave behind for another. */
const RESET = `set -e
systemctl stop munge
rm -rf /etc/munge
cp -a /root/munge.saved /etc/munge
find /var/lib/munge /var/log/munge -mindepth 1 -delete
find /tmp -xdev -mindepth 1 ${KEPT} -delete
systemctl start munge
`;
