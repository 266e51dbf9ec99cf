// The image in a real engine: what users see who run it as it is, as another user, or with a key mounted in each of the ways
// that engines offer.
import assert from "node:assert/strict";
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { MUNGEBOX } from "../harness/programs.ts";
import { VERSION } from "../../lib/version.ts";
import { buildImage, succeed } from "./pod.ts";
import { LIMITS_MEMORY, NO_PODMAN, withPodman } from "./podman.ts";
import { suite } from "../suite.ts";

const SLOW_CLIENTS = join(import.meta.dirname, "slow_clients.ts");
const HEALTHCHECK = /^HEALTH \{\[CMD \/usr\/bin\/mungebox health\] 0s 30s 5s 0\}$/m;

suite("the image in Podman", NO_PODMAN, () => {
  let directory: string;
  let store: string;
  const podman = (script: string) => withPodman(store, `image=mungebox:${VERSION}\n${script}`);

  before(() => {
    directory = mkdtempSync(join(tmpdir(), "mungebox-podman-"));
    store = join(directory, "store");
    buildImage(directory);
    writeFileSync(join(directory, "munge.key"), "K".repeat(64), { mode: 0o444 });
    podman(`podman load --quiet --input ${directory}/mungebox-image.tar`);
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  it("has its HEALTHCHECK after podman load", () => {
    assert.match(podman(`podman inspect $image --format 'HEALTH {{.HealthCheck}}'`), HEALTHCHECK);
  });

  it("has its HEALTHCHECK after podman build --format docker, and works", () => {
    const context = join(directory, "context");
    mkdirSync(join(context, "dist"), { recursive: true });
    mkdirSync(join(context, "base"));
    cpSync("packaging/container", join(context, "packaging/container"), { recursive: true });
    copyFileSync(MUNGEBOX, join(context, "dist/mungebox-linux-x64"));
    // This machine's own programs and libraries take the place of Debian's image, which the tests can't fetch.
    const programs = ["sh", "mkdir", "cp", "ln", "install", "chown", "uname"].map((name) =>
      succeed("which", name).trim()
    );
    const libraries = succeed(
      "sh",
      "-c",
      "ldd \"$@\" | grep -o '/lib[^ ]*' | sort -u",
      "sh",
      ...programs,
    )
      .trim().split("\n");
    const glibc = "c.so.6 dl.so.2 m.so.6 pthread.so.0 resolv.so.2 nss_dns.so.2 nss_files.so.2";
    const files = glibc.split(" ").map((name) => `/lib/x86_64-linux-gnu/lib${name}`);
    files.push("/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
    for (const path of [...programs, ...libraries, ...files]) {
      succeed("install", "-D", path, join(context, "base", path));
    }
    symlinkSync("usr/bin", join(context, "base/bin"));
    const output = podman(`
tar -C ${context}/base -c . | podman import --quiet - debian:bookworm-slim
podman build --quiet --format docker --isolation chroot --network host $limits --tag built \
    --file packaging/container/Dockerfile ${context}
podman inspect built --format 'HEALTH {{.HealthCheck}}'
run --entrypoint munge built --version
`);
    assert.match(output, HEALTHCHECK);
    assert.match(output, /^munge-0\.5\.18 /m);
  });

  const mount = "--volume $PWD/munge.key:/run/secrets/munge.key";
  const tmpfs = "--tmpfs /run/munge:mode=1777 --tmpfs /var/lib/munge:mode=1777";
  const CREATED = /Created 1 work thread/;
  const runs = [
    [
      "without a key",
      "",
      /^container: Error: There is no key at "\/run\/secrets\/munge\.key": mount one that UID 65532 can read, for example with docker run --volume "\$PWD\/munge\.key:\/run\/secrets\/munge\.key:ro" mungebox$/m,
    ],
    ["with a key mounted read-only", `${mount}:ro`, CREATED],
    [
      "with root's key mounted writable",
      mount,
      /^container: Error: .* can be changed by others: mount it read-only \(docker run --volume FILE:\/run\/secrets\/munge\.key:ro\), or give it to UID 65532 \(podman run --secret/m,
    ],
    ["with a secret of Podman's", "--secret key,target=munge.key,uid=65532,mode=0400", CREATED],
    [
      "as root",
      `--user 0 ${mount}:ro`,
      /^container: Error: UID 0 can't write to "\/run\/munge", which belongs to UID 65532: run as UID 65532, or mount a volume in memory there \(docker run --tmpfs \/run\/munge:mode=1777, /m,
    ],
    ["as root, with the volumes", `--user 0 ${tmpfs} ${mount}:ro`, CREATED],
    [
      "as any user",
      `--user 1000680000 ${mount}:ro`,
      /^container: Error: UID 1000680000 can't write to "\/run\/munge"/m,
    ],
    [
      "as any user of group 0, with the volumes",
      `--user 1000680000:0 ${tmpfs} ${mount}:ro`,
      CREATED,
    ],
    [
      "read-only and without capabilities",
      `--read-only --cap-drop all ${tmpfs} ${mount}:ro`,
      CREATED,
    ],
  ] as const;
  for (const [how, options, expected] of runs) {
    it(`runs ${how}`, () => {
      const output = podman(`
cd ${directory}
podman secret inspect key >/dev/null 2>&1 || podman secret create key munge.key
run --name munged ${options} $image --num-threads=1 >output 2>&1 &
for try in $(seq 600); do
  kill -0 $! 2>/dev/null || break
  ! podman healthcheck run munged 2>/dev/null || break
done
podman stop --time 60 munged 2>/dev/null || true
wait || true
cat output
`);
      assert.match(output, expected);
      if (expected === CREATED) assert.match(output, /^munged: Notice: Stopping/m);
    });
  }

  const SMALL = "--memory 64m --cpus 1";
  const small = { skip: LIMITS_MEMORY ? false : "needs control groups that limit memory" };

  it("chooses threads that fit, and survives users who flood it, in 64 MiB", small, () => {
    const output = podman(`
cd ${directory}
chmod 711 . && mkdir -p small && chown 65532:65532 small
podman run --rm --network=none $limits ${SMALL} --name small --volume $PWD/small:/run/munge \
    ${mount}:ro $image >output 2>&1 &
healthy() { podman exec small /usr/bin/mungebox health; }
for try in $(seq 600); do ! healthy 2>/dev/null || break; sleep 0.1; done
remunge="${MUNGEBOX} remunge --socket=small/munge.socket.2 --decode --quiet"
load=
for length in 0 1000 100000 1000000; do $remunge -l $length -T 8 -D 20 & load+=" $!"; done
for uid in 0 1234 1235; do
  timeout 60 ${process.execPath} ${SLOW_CLIENTS} $PWD/small/munge.socket.2 20 $uid &
  load+=" $!"
done
for try in $(seq 10); do healthy || true; sleep 2; done
wait $load
for try in $(seq 60); do ! healthy || break; sleep 1; done
healthy && echo alive
podman stop --time 60 small
wait
cat output
`);
    assert.match(output, /Info: Using 1 thread for 1 processor and 64 MiB of memory/);
    assert.match(output, /^alive$/m);
    assert.match(output, /^munged: Notice: Stopping/m);
  });

  it("warns if a number of threads does not fit", small, () => {
    const output = podman(`
cd ${directory}
podman run --rm --network=none $limits ${SMALL} --name many ${mount}:ro \
    $image --num-threads=8 >output 2>&1 &
for try in $(seq 600); do ! grep -q 'Created 8 work threads' output || break; sleep 0.1; done
podman stop --time 60 many
wait || true
cat output
`);
    assert.match(
      output,
      /Warning: The kernel may kill munged: 8 threads can take 142 MiB of memory under load, and the limit is 64 MiB; --num-threads=1 needs less$/m,
    );
  });

  it("--make-directories needs no capability but CHOWN", () => {
    const output = podman(`
cd ${directory}
mkdir -p run state
run --user 0 --cap-drop all --cap-add CHOWN --read-only --volume $PWD/run:/run/munge \
    --volume $PWD/state:/var/lib/munge $image --make-directories
stat -c '%n %a %u %g' run state
`);
    assert.match(output, /^run 755 65532 65532\nstate 711 65532 65532$/m);
  });
});
