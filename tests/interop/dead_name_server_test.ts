// unmunge with name servers that accept queries and never answer: it does not wait for a name that it does not print,
// and not long for one that it does.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { MUNGEBOX } from "../harness/programs.ts";
import { withDirectory } from "../harness/scratch.ts";
import { suite } from "../suite.ts";

/** How long unmunge waits at least: a second for each server. */
const SERVERS_MS = 1_900;
/** An interface to nowhere, and two name servers behind it. */
const SCRIPT = `
set -e
ip link set lo up
ip link add eth9 type veth peer name nowhere
ip address add 10.9.9.1/24 dev eth9
ip link set eth9 up
ip link set nowhere up
for server in 2 3; do
  ip neighbour add 10.9.9.$server lladdr 02:00:00:00:00:0$server dev eth9
  echo nameserver 10.9.9.$server >>resolv.conf
done
echo 'hosts: files dns' >nsswitch.conf
mount --bind resolv.conf /etc/resolv.conf
mount --bind nsswitch.conf /etc/nsswitch.conf
mungebox mungekey --keyfile=key
mungebox munged --force --origin=10.9.9.77 --socket=socket --key-file=key --pid-file=pid \\
  --seed-file=seed --log-file=log 2>/dev/null
trap 'mungebox munged --stop --socket=socket' EXIT
measure() {
  mungebox munge -n --socket=socket >credential
  start=$(date +%s%N)
  "$@" --socket=socket --input=credential >/dev/null
  echo $((($(date +%s%N) - start) / 1000000))
}
measure mungebox unmunge --no-output
measure mungebox unmunge --numeric
measure mungebox unmunge --keys=UID
measure mungebox unmunge
RES_OPTIONS='timeout:2 attempts:1' measure mungebox unmunge
`;

suite("unmunge with dead name servers", {
  root: process.geteuid!() === 0,
  iproute2: existsSync("/usr/sbin/ip"),
  "dist/mungebox": existsSync(MUNGEBOX),
  glibc: existsSync("/lib/x86_64-linux-gnu/libc.so.6") ||
    existsSync("/lib/aarch64-linux-gnu/libc.so.6"),
}, () => {
  it("does not wait for a name it does not print, and not long for one it does", () => {
    withDirectory((directory) => {
      writeFileSync(
        join(directory, "mungebox"),
        `#!/bin/sh\nexec ${MUNGEBOX} "$@"\n`,
        { mode: 0o755 },
      );
      const { status, stdout, stderr } = spawnSync(
        "unshare",
        ["--net", "--mount", "sh", "-c", SCRIPT],
        {
          cwd: directory,
          encoding: "utf8",
          env: { PATH: `${directory}:/usr/sbin:/usr/bin:/sbin:/bin` },
        },
      );
      assert.equal(status, 0, stderr);
      const times = stdout.trim().split("\n").map(Number);
      assert.equal(times.length, 5, stdout);
      const [discarded, numeric, subset, named, patient] = times as [
        number,
        number,
        number,
        number,
        number,
      ];
      for (const time of [discarded, numeric, subset]) assert.ok(time < SERVERS_MS, stdout);
      // libc's own time limit would be five seconds for each server.
      assert.ok(named >= SERVERS_MS && named < 9_000, stdout);
      assert.ok(patient >= 3900, stdout); // as long as its user asked for
    });
  });
});
