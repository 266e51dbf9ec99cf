// mungebox doctor HOST... against hosts that are network namespaces, each with its own files, munged and
// Debian's sshd: one with a different key, one with clock skew, one whose munged is down, one without mungebox,
// one that does not exist.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { Network, NETWORK_NEEDS } from "../network.ts";
import { suite } from "../suite.ts";
import { installPrograms, MUNGEBOX, REFERENCE_MUNGED } from "../harness/programs.ts";
import { type Report } from "./site.ts";

/** Seconds by which the clock of munged on host "clock" is ahead. */
const SKEW = 600;
/** Seconds by which a measured skew may be wrong, because a session takes that long on a busy machine. */
const INACCURACY = 30;

/** How a host differs. */
interface Host {
  readonly name: string;
  /** The command that runs munged; absent where munged is down. */
  readonly munged?: readonly string[];
  /** The key's name. */
  readonly key: "key" | "other-key";
  /** The name of its retired key. */
  readonly oldKey?: "key";
  /** Whether mungebox is installed there; otherwise only the C programs are. */
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
  // It promoted its key before the others had staged it.
  { name: "early", munged: ["munged"], key: "other-key", oldKey: "key", hasMungebox: true },
  {
    name: "strict",
    munged: ["munged", "--accept-origin=198.51.100.0/24"],
    key: "key",
    hasMungebox: true,
  },
  { name: "down", key: "key", hasMungebox: true },
  { name: "plain", munged: [REFERENCE_MUNGED], key: "key", hasMungebox: false },
];

/** Starts munged and sshd on a host, with its own files over the usual places. */
function start(network: Network, keys: ReadonlyMap<string, Uint8Array>, host: Host): void {
  const base = join(network.directory, host.name);
  for (const part of ["etc", "lib", "log"]) {
    mkdirSync(join(base, part), { recursive: true, mode: 0o700 });
  }
  writeFileSync(join(base, "etc/munge.key"), keys.get(host.key)!, { mode: 0o600 });
  if (host.oldKey !== undefined) {
    writeFileSync(join(base, "etc/munge.key.old"), keys.get(host.oldKey)!, { mode: 0o600 });
  }
  const programs = host.hasMungebox ? `${network.directory}/bin:` : "";
  const script = [
    `mount --bind ${base}/etc /etc/munge`,
    `mount --bind ${base}/lib /var/lib/munge`,
    `mount --bind ${base}/log /var/log/munge`,
    "mount -t proc proc /proc",
    "mount -t tmpfs -o mode=0755 none /run",
    "mount -t tmpfs none /dev/shm", // faketime has files there, named by process ID
    "mkdir /run/munge /run/sshd",
    ...(host.munged === undefined ? [] : [`${host.munged.join(" ")} --foreground 2>/dev/null &`]),
    "$sshd",
  ].join("\n");
  network.start(host.name, script, `${programs}/usr/sbin:/usr/bin:/sbin:/bin`);
}

const needs = {
  ...NETWORK_NEEDS,
  "dist/mungebox": existsSync(MUNGEBOX),
  munge: existsSync(REFERENCE_MUNGED),
  faketime: existsSync("/usr/bin/faketime"),
};

suite("mungebox doctor HOST...", needs, () => {
  let network: Network;
  let ssh: string;

  before(() => {
    for (const directory of ["/etc/munge", "/var/lib/munge", "/var/log/munge"]) {
      mkdirSync(directory, { recursive: true }); // to mount over
    }
    network = new Network([...HOSTS.map(({ name }) => name), "nowhere"]);
    ssh = `--ssh='ssh -F ${network.sshConfig}'`;
    installPrograms(join(network.directory, "bin"));
    const keys = new Map(
      ["key", "other-key"].map((name) => [name, crypto.getRandomValues(new Uint8Array(128))]),
    );
    for (const host of HOSTS) start(network, keys, host);
    for (const { name, munged } of HOSTS) {
      network.waitFor(name, munged === undefined ? "true" : "munge -n");
    }
  });
  after(() => network?.close());

  /** The host's part of a report, by name. */
  function examine(...hosts: string[]) {
    const { status, out, err } = network.onHost(
      "here",
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

  it("explains that a host accepts credentials from some networks only", () => {
    const { status, hosts: { strict } } = examine("strict");
    assert.equal(status, 2, strict?.text);
    assert.match(
      strict!.text,
      /^strict refuses credentials from this host: Unauthorized credential from origin [\d.]+$/,
    );
    assert.match(strict!.advice!, /--accept-origin/);
  });

  it("distinguishes a wrong key, clock skew and a munged that is down", () => {
    const { status, hosts } = examine("good", "key", "clock", "down", "plain", "nowhere");
    assert.equal(status, 2);
    const { good, key, clock, down, plain, nowhere } = hosts;
    assert.equal(good?.verdict, "ok", JSON.stringify(hosts, null, 2));
    assert.equal(plain?.verdict, "ok", plain?.text);
    assert.match(plain!.version!, /^munge-0\.5\.\d+ \(/);
    assert.equal(plain!.fingerprint, undefined);

    assert.match(
      key!.text,
      /^key has a different key \(fingerprint there (\w{16}), here (?!\1)\w{16}\)$/,
    );
    assert.match(key!.advice!, /^Compare both with a third host of the realm/);
    assert.equal(key!.fix, undefined);
    assert.notEqual(key!.fingerprint, good!.fingerprint);

    assert.match(
      clock!.text,
      /^the clock of clock is \d+ s ahead of this host's, so credentials are refused$/,
    );
    assert(Math.abs(clock!.skewSeconds! - SKEW) <= INACCURACY, `${clock!.skewSeconds}`);
    assert.match(clock!.advice!, /^Synchronize the clocks/);

    assert.match(down!.text, /^munged on down is down: munged is not running: /);
    assert.equal(down!.fix, "ssh down mungebox doctor");

    assert.match(nowhere!.text, /^nowhere can't be reached over ssh: /);
    assert.equal(nowhere!.fix, "ssh nowhere date");
  });

  it("finds nothing wrong between healthy hosts", () => {
    const { status, report, hosts } = examine("good", "plain");
    assert.equal(status, 0, JSON.stringify(report));
    assert.equal(report.cause, null);
    for (const host of ["good", "plain"]) assert(Math.abs(hosts[host]!.skewSeconds!) <= 3);
  });

  it("finds a rotation done in the wrong order, and gives advice that fixes it", () => {
    const early = examine("early").hosts["early"]!;
    assert.match(early.text, /^This host does not know the key that early encodes with \(/);
    assert.match(
      early.advice!,
      /stage the "\/etc\/munge\/munge\.key" of early on this host \(mungekey --stage --from\)$/,
    );
    const { status, err } = network.onHost(
      "here",
      `ssh -F ${network.sshConfig} early cat /etc/munge/munge.key | mungekey --stage --from=-`,
    );
    assert.equal(status, 0, err);
    // munged notices within 10 seconds.
    network.waitFor("here", `mungebox doctor ${ssh} early`);
    network.onHost("here", "rm /etc/munge/munge.key.next");
  });

  it("blames its own host if all others share a different key", () => {
    const { out } = network.onHost("key", `mungebox doctor --json ${ssh} good here`);
    const report: Report = JSON.parse(out);
    assert.match(report.cause!.text, /all the other hosts agree, so this host has the wrong one$/);
    assert.match(report.cause!.advice!, /^If you trust those hosts, copy the key/);
  });

  it("names the hosts in plain text, the cause first", () => {
    const { status, out } = network.onHost("here", `mungebox doctor ${ssh} good clock`);
    assert.equal(status, 2);
    assert.match(out, /^Problem: the clock of clock is \d+ s ahead of this host's/);
    assert.match(out, /^ok +good +Credentials work both ways, clocks \d s apart$/m);
  });
});
