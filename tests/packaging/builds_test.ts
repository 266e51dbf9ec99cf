// The executables for all systems: their dependencies, that builds are reproducible, and that those for Linux with glibc
// work with nothing else but glibc.
import assert from "node:assert/strict";
import { spawnSync, type SpawnSyncReturns } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const directory = mkdtempSync(join(tmpdir(), "mungebox-builds-"));
const builds = join(directory, "first");
after(() => rmSync(directory, { recursive: true }));

const ARM64_LIBC = "/usr/aarch64-linux-gnu";

function run(command: string, ...args: string[]): SpawnSyncReturns<string> {
  return spawnSync(command, args, { encoding: "utf8", timeout: 1_000_000 });
}

function succeed(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = run(command, ...args);
  assert.equal(status, 0, `${command}: ${stdout}${stderr}`);
  return stdout;
}

test("build:all makes an executable for every system, with checksums and an SBOM", () => {
  succeed("bun", "scripts/build.ts", "--all", `--output=${builds}`);
  const sums = readFileSync(join(builds, "SHA256SUMS"), "utf8");
  assert.deepEqual(sums.split("\n").map((line) => line.slice(66)), [
    "mungebox-linux-x64",
    "mungebox-linux-arm64",
    "mungebox-linux-x64-musl",
    "mungebox-linux-arm64-musl",
    "mungebox-darwin-x64",
    "mungebox-darwin-arm64",
    "mungebox-freebsd-x64",
    "mungebox.cdx.json",
    "",
  ]);
  succeed("sh", "-c", `cd ${builds} && sha256sum --check --quiet SHA256SUMS`);
  const sbom = JSON.parse(readFileSync(join(builds, "mungebox.cdx.json"), "utf8"));
  assert.equal(sbom.bomFormat, "CycloneDX");
  const names = sbom.components.map(({ name }: { name: string }) => name);
  for (const name of ["bun", "@noble/hashes", "bzip2-wasm"]) assert.ok(names.includes(name), name);
});

test("two builds are byte-identical", () => {
  const again = join(directory, "again");
  succeed("bun", "scripts/build.ts", "--all", `--output=${again}`);
  const sums = (name: string) => readFileSync(join(name, "SHA256SUMS"), "utf8");
  assert.equal(sums(again), sums(builds));
  succeed("bun", "scripts/build.ts", `--output=${again}`);
  if (process.platform === "linux" && process.arch === "x64") {
    const sha256 = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");
    assert.equal(
      sha256(join(again, "mungebox")),
      sha256(join(builds, "mungebox-linux-x64")),
    );
  }
  rmSync(again, { recursive: true });
});

const GLIBC = ["libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0"];
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  "linux-x64": ["ld-linux-x86-64.so.2", ...GLIBC],
  "linux-arm64": ["ld-linux-aarch64.so.1", ...GLIBC],
  "linux-x64-musl": ["libc.musl-x86_64.so.1", "libstdc++.so.6"],
  "linux-arm64-musl": ["libc.musl-aarch64.so.1", "libstdc++.so.6"],
  "freebsd-x64": ["libc++.so.1", "libc.so.7", "libcxxrt.so.1", "libm.so.5", "libthr.so.3"],
};

for (const [target, libraries] of Object.entries(NEEDED)) {
  test(`mungebox-${target} needs only the system's own libraries, and no glibc newer than 2.17`, {
    skip: !existsSync("/usr/bin/readelf") && "needs binutils",
  }, () => {
    const path = join(builds, `mungebox-${target}`);
    const needed = succeed("readelf", "-dW", path).matchAll(/\(NEEDED\).*\[(.+)\]/g);
    assert.deepEqual([...needed].map((match) => match[1]).sort(), libraries);
    for (
      const [, major, minor] of succeed("readelf", "-VW", path).matchAll(/GLIBC_(\d+)\.(\d+)/g)
    ) {
      assert.ok(Number(major) * 100 + Number(minor) <= 217, `GLIBC_${major}.${minor}`);
    }
  });
}

/** A root directory with only glibc's files and the executable. */
function makeRoot(name: string, target: string, libraries: string, loader: string): string {
  const root = join(directory, name);
  for (
    const path of [
      "lib",
      "proc",
      "dev",
      "usr/bin",
      "tmp",
      "etc/munge",
      "var/lib/munge",
      "var/log/munge",
      "run/munge",
    ]
  ) {
    mkdirSync(join(root, path), { recursive: true });
  }
  symlinkSync("lib", join(root, "lib64"));
  for (const library of [...GLIBC, loader]) {
    succeed("cp", "-L", join(libraries, library), join(root, "lib", library));
  }
  succeed("cp", join(builds, `mungebox-${target}`), join(root, "usr/bin/mungebox"));
  return root;
}

/** An administrator's first commands, in `root`, with `emulator` before each command. */
const SMOKE_TEST = `
set -eu
root=$1 emulator=\${2:-}
mount -t proc proc $root/proc
touch $root/dev/null
mount --bind /dev/null $root/dev/null
inside() { chroot $root $emulator /usr/bin/"$@"; }
inside mungebox --install /usr/bin
inside mungekey --create
if [ "$emulator" ]; then # nothing emulates what munged would start in the background
  inside munged --foreground 2>$root/tmp/log &
  for try in $(seq 600); do [ -e $root/run/munge/munge.socket.2 ] && break; sleep 0.2; done
else
  inside munged
fi
inside munge --string=works --output=/tmp/credential
inside unmunge --input=/tmp/credential
echo
inside unmunge --input=/tmp/credential --no-output || echo "status $?"
inside mungebox health
[ "$emulator" ] || inside remunge --num-creds=1k --decode --quiet >/dev/null
inside munged --stop
`;

/** Runs the smoke test in its own namespaces, which clean up after it. */
function smokeTest(root: string, emulator = ""): void {
  const script = join(root, "smoke.sh");
  writeFileSync(script, SMOKE_TEST);
  const output = succeed(
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "timeout",
    "280",
    "sh",
    script,
    root,
    emulator,
  );
  assert.match(output, /^STATUS: +Success \(0\)$/m);
  assert.match(output, /^works$/m);
  assert.match(output, /^status 17$/m);
}

const NOT_ROOT = process.getuid?.() !== 0 && "needs root";

test("mungebox-linux-x64 works in a root directory with nothing but glibc", {
  skip: NOT_ROOT || process.arch !== "x64" && "needs an x64 machine",
}, () => {
  const libraries = "/lib/x86_64-linux-gnu";
  smokeTest(makeRoot("x64", "linux-x64", libraries, "ld-linux-x86-64.so.2"));
});

test("mungebox-linux-arm64 works in a root directory with nothing but glibc, emulated", {
  skip: NOT_ROOT || !existsSync(`${ARM64_LIBC}/lib/libc.so.6`) && "needs libc6-arm64-cross" ||
    !existsSync("/usr/bin/qemu-aarch64-static") && "needs qemu-user-static",
}, () => {
  const root = makeRoot("arm64", "linux-arm64", `${ARM64_LIBC}/lib`, "ld-linux-aarch64.so.1");
  succeed("cp", "/usr/bin/qemu-aarch64-static", join(root, "usr/bin/qemu"));
  smokeTest(root, "/usr/bin/qemu");
});

test("files and variables of the user who starts it can't make it run other code", () => {
  const mungebox = join(builds, `mungebox-${process.platform}-${process.arch}`);
  const hostile = join(directory, "hostile");
  mkdirSync(hostile);
  const evil = join(hostile, "evil.js");
  writeFileSync(evil, 'require("fs").writeSync(2, "EVIL"); process.exit(66);');
  const bunfig = `preload = ["${evil}"]\n`;
  for (const name of ["bunfig.toml", ".bunfig.toml"]) writeFileSync(join(hostile, name), bunfig);
  writeFileSync(join(hostile, ".env"), `BUN_OPTIONS="--preload ${evil}"\nLD_PRELOAD=EVIL\n`);
  writeFileSync(join(hostile, "package.json"), `{"main": "${evil}"}`);
  const environments: readonly Record<string, string>[] = [
    {},
    { HOME: hostile, XDG_CONFIG_HOME: hostile },
    { BUN_OPTIONS: `--preload ${evil}` },
    { BUN_OPTIONS: `--config=${hostile}/bunfig.toml` },
    { BUN_OPTIONS: `--require ${evil}`, BUN_BE_BUN: "1" },
    { BUN_BE_BUN: "1" },
    { BUN_INSPECT: `ws+unix://${hostile}/inspector`, BUN_INSPECT_PRELOAD: evil },
    { NODE_OPTIONS: `--require ${evil}` },
    { NODE_PATH: hostile },
  ];
  for (const env of environments) {
    const { status, stdout, stderr } = spawnSync(mungebox, ["munge", "--version"], {
      encoding: "utf8",
      cwd: hostile,
      env: { PATH: "/usr/bin:/bin", ...env },
      timeout: 60_000,
    });
    assert.equal(stderr, "", JSON.stringify(env));
    assert.equal(status, 0);
    assert.match(stdout, /^munge-[\d.]+ \(mungebox [\d.]+\)\n$/);
  }
  assert.ok(!existsSync(join(hostile, "inspector")));
});
