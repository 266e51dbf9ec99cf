// A root directory with musl's loader, the C++ library built by libstdcxx and our executable for musl, and nothing else of a
// system but its users, groups and hosts. For another processor than this machine's, an emulator is in it, too.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { type Daemon, startDaemon } from "../harness/daemon.ts";
import type { Outcome } from "../harness/programs.ts";

/** What musl calls the processors of our executables. */
const PROCESSORS = { x64: "x86_64", arm64: "aarch64" } as const;

/** A processor that an executable for musl is built for. */
export type Architecture = keyof typeof PROCESSORS;

/** The emulator of a processor that is not this machine's. */
const EMULATOR: Readonly<Record<Architecture, string>> = {
  x64: "/usr/bin/qemu-x86_64-static",
  arm64: "/usr/bin/qemu-aarch64-static",
};

/** Files of Debian's packages that a system for `architecture` is made from. */
export function needed(architecture: Architecture): string[] {
  const processor = PROCESSORS[architecture];
  return [
    `/usr/bin/${processor}-linux-gnu-g++`,
    `/lib/ld-musl-${processor}.so.1`,
    `/usr/lib/${processor}-linux-musl/musl-gcc.specs`,
    "/usr/share/doc/gcc-12-source/copyright",
    "/usr/bin/make",
    ...architecture === process.arch ? [] : [EMULATOR[architecture]],
  ];
}

/** Users besides root, whom only this system knows; their groups have the same names and numbers. */
export const USERS = { alice: 1234, bob: 1235, carol: 1236 } as const;

/** The first lines of the system's /etc/group. */
export const GROUPS: string = ["root:x:0:"]
  .concat(Object.entries(USERS).map(([name, id]) => `${name}:x:${id}:`))
  .join("\n");

function succeed(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  assert.equal(status, 0, `${command}: ${stdout}${stderr}`);
  return stdout;
}

/** Who runs a program, and with what input. */
interface Circumstances {
  readonly user?: keyof typeof USERS;
  readonly input?: string;
}

/** The system; its files are removed by {@linkcode close}. */
export class MuslSystem {
  readonly root: string = mkdtempSync("/tmp/mungebox-musl-");
  /** What comes before a program's path. */
  readonly #emulator: readonly string[];

  constructor(architecture: Architecture) {
    const system = `linux-${architecture}-musl`;
    const library = succeed("tests/musl/libstdcxx", architecture).trim();
    succeed("scripts/build"); // the one for glibc, which the tests compare it with
    succeed("scripts/build", "--system", system);
    chmodSync(this.root, 0o755);
    const names = ["dev", "etc/munge", "lib", "proc", "run/munge", "tmp", "usr/bin"];
    for (const name of [...names, "var/lib/munge", "var/log/munge"]) {
      mkdirSync(join(this.root, name), { recursive: true });
    }
    for (const name of ["etc/munge", "var/lib/munge", "var/log/munge"]) {
      chmodSync(join(this.root, name), 0o700);
    }
    succeed("mknod", "-m", "666", join(this.root, "dev/null"), "c", "1", "3");
    const loader = `/lib/ld-musl-${PROCESSORS[architecture]}.so.1`;
    copyFileSync(loader, join(this.root, loader));
    copyFileSync(library, join(this.root, "lib/libstdc++.so.6"));
    copyFileSync(`dist/mungebox-${system}`, join(this.root, "usr/bin/mungebox"));
    if (architecture === process.arch) {
      this.#emulator = [];
    } else {
      copyFileSync(EMULATOR[architecture], join(this.root, "usr/bin/qemu"));
      this.#emulator = ["/usr/bin/qemu"];
    }
    const users = Object.entries(USERS).map(([name, id]) => `${name}:x:${id}:${id}::/:/bin/sh\n`);
    this.write("etc/passwd", ["root:x:0:0::/:/bin/sh\n", ...users].join(""));
    this.write("etc/group", `${GROUPS}\n`);
    this.write("etc/hosts", `127.0.0.1 localhost ${hostname()}\n`);
    this.run(["mungebox", "--install", "/usr/bin"]);
  }

  /** Writes one of its files. */
  write(name: string, contents: string | Uint8Array, mode = 0o644): void {
    writeFileSync(join(this.root, name), contents, { mode });
  }

  /** The words of a command that becomes one of its programs. */
  command([name, ...args]: readonly string[], user?: keyof typeof USERS): string[] {
    const as = user === undefined ? [] : [`--userspec=+${USERS[user]}:+${USERS[user]}`];
    return ["chroot", ...as, this.root, ...this.#emulator, `/usr/bin/${name}`, ...args];
  }

  /** Runs one of its programs to its end. */
  run(words: readonly string[], { user, input = "" }: Circumstances = {}): Outcome {
    const [command, ...args] = this.command(words, user);
    const { status, stdout, stderr } = spawnSync(command!, args, {
      encoding: "latin1",
      timeout: 300_000,
      input,
    });
    return { status, out: stdout, err: stderr };
  }

  /** Like {@linkcode run}, for a program that must succeed. @returns its output. */
  check(words: readonly string[], circumstances?: Circumstances): string {
    const { status, out, err } = this.run(words, circumstances);
    assert.equal(status, 0, `${words.join(" ")}: ${out}${err}`);
    return out;
  }

  /**
   * Starts its munged.
   *
   * @param hasProc whether it sees /proc.
   */
  async startMunged({ hasProc }: { hasProc: boolean }): Promise<Daemon> {
    const munged = this.command(["munged", "--foreground", "--num-threads=2"]);
    const mount = 'mount --bind /proc "$0"/proc && exec "$@"'; // in a namespace that ends with munged
    const wrapper = hasProc ? ["unshare", "--mount", "sh", "-c", mount, this.root] : [];
    return await startDaemon(
      [...wrapper, ...munged],
      (log) => log.includes("Created 2 work threads"),
    );
  }

  /** Removes its files. */
  close(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
