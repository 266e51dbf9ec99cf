// mungebox doctor on broken set-ups, each built for real: it names the cause first, and the command it prints
// fixes it. It finds nothing wrong with healthy ones, whether munged is ours or the C one.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { CAUSES, explain } from "../../cli/doctor/causes.ts";
import { mungedOptions } from "../../cli/doctor/lock.ts";
import type { Place } from "../../cli/doctor/place.ts";
import { suite } from "../suite.ts";
import { close, listenUnix } from "../../lib/os/socket.ts";
import { isRoot, MUNGEBOX, REFERENCE_MUNGED } from "../harness/programs.ts";
import { hasFaketime } from "../harness/clock.ts";
import { Site } from "./site.ts";

const hasReference = existsSync(REFERENCE_MUNGED);
const hasCompiler = existsSync("/usr/bin/gcc");
const isNobody = process.geteuid!() === 65_534;
/** A UID that no system has. */
const NOBODY_KNOWN = 41_424;
const NOBODY = 65_534;

/** A broken set-up. */
interface SetUp {
  readonly name: string;
  /** Breaks a site where nothing runs yet; returns a function that cleans up. */
  break(site: Site): (() => void) | void;
  /** More arguments for doctor. */
  readonly words?: (site: Site) => string[];
  /** The check that finds the cause. */
  readonly check: string;
  readonly text: RegExp;
  /** The command that fixes it; without one there is advice. */
  readonly fix?: RegExp;
  /** Whether the command only shows more. */
  readonly shows?: true;
  /** A command that runs doctor, for example in another namespace. */
  readonly wrapper?: readonly string[];
  readonly needs?: boolean;
}

const SET_UPS: readonly SetUp[] = [
  {
    name: "the key in the file is not the daemon's",
    break: (site) => {
      site.start(REFERENCE_MUNGED); // it reads its key once
      site.writeKey();
    },
    needs: hasReference,
    check: "key in force",
    text: /has a different key than the one in ".*": the file was changed after munged read it/,
    fix: /^munged --stop --socket=\S+; munged /,
  },
  {
    name: "doctor is given a different key file than the daemon's",
    break: (site) => {
      site.start();
      spawnSync(join(site.bin, "mungekey"), [`--keyfile=${site.directory}/other.key`]);
    },
    words: (site) => [`--key-file=${site.directory}/other.key`],
    check: "key in force",
    text:
      /was started with --key-file=.*etc\/munge\.key, which differs from the key in ".*other\.key"/,
    fix: /^mungebox doctor .*--key-file=.*etc\/munge\.key$/,
    shows: true,
  },
  {
    name: "others may read the key",
    break: (site) => chmodSync(site.keyFile, 0o644),
    check: "key",
    text: /Keyfile is insecure: .* should not be readable or writable by group \(perms=0644\)/,
    fix: /^chmod 0600 /,
  },
  {
    name: "others may read the key of a running munged",
    break: (site) => {
      site.start();
      chmodSync(site.keyFile, 0o604);
    },
    check: "key",
    text: /should not be readable or writable by other \(perms=0604\)/,
    fix: /^chmod 0600 /,
  },
  {
    name: "the key belongs to another user",
    break: (site) => {
      site.start();
      chownSync(site.keyFile, NOBODY, NOBODY);
    },
    needs: isRoot,
    check: "key",
    text: /should be owned by UID 0 instead of UID 65534/,
    fix: /^chown --no-dereference root /,
  },
  {
    name: "the key is a symbolic link",
    break: (site) => {
      site.start();
      renameSync(site.keyFile, `${site.keyFile}.real`);
      symlinkSync(`${site.keyFile}.real`, site.keyFile);
    },
    check: "key",
    text: /should not be a symbolic link/,
  },
  {
    name: "there is no key",
    break: (site) => rmSync(site.keyFile),
    check: "key",
    text: /Failed to find keyfile ".*": No such file or directory/,
  },
  {
    name: "the key is too short",
    break: (site) => truncateSync(site.keyFile, 31),
    check: "key",
    text: /Keyfile must be at least 32 bytes/,
  },
  {
    name: "others may write to the key's directory",
    break: (site) => {
      site.start();
      chmodSync(site.keyDirectory, 0o777);
    },
    check: "key",
    text: /group-writable permissions without sticky bit set on ".*etc"/,
    fix: /^chmod go-w .*etc$/,
  },
  {
    name: "munged is not running",
    break: () => {},
    check: "socket",
    text: /munged is not running: .*No such file or directory/,
    fix: /^munged --socket=/,
  },
  {
    name: "munged crashed and left its socket",
    break: (site) => {
      site.start();
      process.kill(Number(readFileSync(join(site.state, "pid"), "utf8")), "SIGKILL");
      spawnSync("sleep", ["0.3"]);
    },
    check: "socket",
    text: /munged is not running; the previous one left its socket behind: .*Connection refused/,
    fix: /^munged --socket=/,
  },
  {
    name: "the service manager holds the socket, but no munged starts",
    break: (site) => {
      const listener = listenUnix(site.socket, 64);
      chmodSync(site.socket, 0o777);
      return () => close(listener);
    },
    check: "socket",
    text: /socket" is open, as systemd keeps it for munge\.socket, but no munged serves it: /,
    fix: /^munged --socket=/,
  },
  {
    name: "munged is stopped by a signal",
    break: (site) => {
      site.start();
      process.kill(Number(readFileSync(join(site.state, "pid"), "utf8")), "SIGSTOP");
    },
    check: "lock",
    text: /^pid \d+ \(munged\) holds the lock but is stopped by a signal$/,
    fix: /^kill -CONT \d+$/,
  },
  {
    name: "another program holds the lock",
    break: (site) => {
      const holder = holdLock(`${site.socket}.lock`);
      return () => void holder.kill();
    },
    check: "lock",
    text: /^pid \d+ \([\w.]+\) is not munged but holds the lock of its socket, ".*socket\.lock"/,
  },
  {
    name: "munged did not make the lock file",
    break: (site) => {
      writeFileSync(`${site.socket}.lock`, "");
      chmodSync(`${site.socket}.lock`, 0o644);
    },
    check: "lock",
    text: /Failed to validate lockfile: .* \(file mode 0200\)/,
    fix: /^rm .*socket\.lock$/,
  },
  {
    name: "the socket's path is not a socket",
    break: (site) => writeFileSync(site.socket, ""),
    check: "socket",
    text: /is not a socket$/,
  },
  {
    name: "munged's clock is 10 minutes behind",
    break: (site) => site.startAt(-600),
    needs: hasFaketime,
    check: "munged's clock",
    text: /^munged's clock is (599|600|601) s behind this host's$/,
  },
  {
    name: "the C munged's clock is 10 minutes ahead",
    break: (site) => site.startAt(600, REFERENCE_MUNGED),
    needs: hasFaketime && hasReference,
    check: "munged's clock",
    text: /^munged's clock is (599|600|601) s ahead of this host's$/,
  },
  {
    name: "users cannot pass through the socket's directory",
    break: (site) => {
      site.start();
      chmodSync(site.state, 0o700);
    },
    check: "socket directory",
    text: /Socket is inaccessible: execute permissions for all required on ".*state"/,
    fix: /^chmod a\+x .*state$/,
  },
  {
    name: "the disk is full",
    break: (site) => {
      mount(site.state);
      spawnSync("dd", ["if=/dev/zero", `of=${site.state}/filler`, "bs=64k"]);
      return () => spawnSync("umount", ["--lazy", site.state]);
    },
    needs: isRoot,
    check: "disk space",
    text: /^The file system of ".*state" is full or nearly full: 0 KiB left$/,
  },
  {
    name: "the user munged runs as is unknown",
    break: () => {},
    words: () => ["--user=nosuchuser"],
    check: "user",
    text: /^There is no user "nosuchuser" to run munged as$/,
  },
  {
    name: "munged's directory belongs to a user unknown to the name service",
    break: (site) => chownSync(site.state, NOBODY_KNOWN, NOBODY_KNOWN),
    needs: isRoot,
    check: "user",
    text: /^munged's user, UID 41424, is unknown to the name service$/,
  },
  {
    name: "the directory of the log is missing",
    break: () => {},
    words: (site) => [`--log-file=${site.directory}/nowhere/log`],
    check: "files",
    text: /Failed to check logfile dir ".*nowhere": cannot canonicalize/,
    fix: /^install -d -m 0755 -o \S+ .*nowhere$/,
  },
  {
    name: "the configuration file has an unknown key",
    break: (site) => {
      site.start();
      writeFileSync(join(site.directory, "conf"), "max-ttl=60\nmax-tll=60\n");
    },
    words: (site) => [`--config=${site.directory}/conf`],
    check: "configuration",
    text: /conf:2: Unknown key "max-tll"/,
  },
  {
    name: "the configuration file is writable by others",
    break: (site) => {
      site.start();
      writeFileSync(join(site.directory, "conf"), "");
      chmodSync(join(site.directory, "conf"), 0o666);
    },
    words: (site) => [`--config=${site.directory}/conf`],
    check: "configuration",
    text: /Configuration file is insecure: .* must not be writable by group or other/,
    fix: /^chmod go-w .*conf$/,
  },
  {
    name: "the key is empty",
    break: (site) => truncateSync(site.keyFile, 0),
    check: "key",
    text: /^The key file ".*munge\.key" is empty: it was never filled$/,
  },
  {
    name: "the lock's holder is outside of doctor's container",
    break: (site) => {
      const holder = holdLock(`${site.socket}.lock`);
      return () => void holder.kill();
    },
    wrapper: ["unshare", "--pid", "--fork", "--mount-proc"],
    needs: isRoot,
    check: "lock",
    text: /^A process that cannot be seen from here holds the lock ".*socket\.lock"$/,
  },
  {
    name: "the socket's path is a directory with data",
    break: (site) => {
      mkdirSync(site.socket);
      writeFileSync(join(site.socket, "data"), "precious");
    },
    check: "socket",
    text: /is not a socket$/,
  },
  {
    name: "what is in the place of the lock file is not empty",
    break: (site) => writeFileSync(`${site.socket}.lock`, "precious", { mode: 0o644 }),
    check: "lock",
    text: /Failed to validate lockfile: /,
  },
  {
    name: "the key is in a directory that others use",
    break: (site) => {
      writeFileSync(join(site.keyDirectory, "thesis"), "precious");
      chmodSync(site.keyDirectory, 0o777);
    },
    check: "key",
    text: /group-writable permissions without sticky bit set on ".*etc"/,
  },
  {
    name: "munged's user can replace the key",
    break: (site) => {
      site.start();
      chownSync(site.keyDirectory, NOBODY, NOBODY);
      chownSync(site.keyFile, NOBODY, NOBODY);
      chmodSync(site.keyFile, 0o644);
    },
    words: () => ["--user=nobody"],
    needs: isRoot && existsSync("/usr/bin/sudo"),
    check: "key",
    text: /should not be readable or writable by group/,
    fix: /^sudo -u nobody chmod 0600 /,
  },
  {
    name: "a stranger can replace the key",
    break: (site) => {
      site.start();
      chownSync(site.keyDirectory, NOBODY_KNOWN, NOBODY_KNOWN);
      chmodSync(site.keyFile, 0o644);
    },
    needs: isRoot,
    check: "key",
    text: /should not be readable or writable by group/,
  },
  {
    name: "a path can't be printed",
    break: (site) => {
      site.start();
      writeFileSync(join(site.directory, "conf\x1b[2J"), "");
      chmodSync(join(site.directory, "conf\x1b[2J"), 0o666);
    },
    words: (site) => [`--config=${site.directory}/conf\x1b[2J`],
    check: "configuration",
    text: /must not be writable by group or other/,
  },
];

/** A credential that is refused, on a healthy site. */
interface BadCredential {
  readonly name: string;
  /** A shell command that writes one. */
  readonly make: (site: Site) => string;
  readonly text: RegExp;
  readonly needs?: boolean;
}

const munge = (site: Site, words = "") => `munge -n --socket=${site.socket} ${words}`;
const CREDENTIALS: readonly BadCredential[] = [
  {
    name: "replayed",
    make: (site) =>
      `${munge(site)} | tee ${site.directory}/used; ` +
      `unmunge -n --socket=${site.socket} <${site.directory}/used >/dev/null`,
    text:
      /^The credential is refused: Replayed credential: it has already been decoded on this host$/,
  },
  {
    name: "restricted to another user",
    make: (site) => munge(site, "--restrict-uid=nobody"),
    needs: !isNobody,
    text:
      /^The credential is refused: Unauthorized .*: it is restricted to user nobody \(UID 65534\)$/,
  },
  {
    name: "restricted to another group",
    make: (site) => munge(site, "--restrict-gid=nogroup"),
    needs: !isNobody,
    text: /it is restricted to group nogroup \(GID 65534\)$/,
  },
  {
    name: "expired",
    make: (site) => `${munge(site, "--ttl=1")}; sleep 3`,
    text: /refused: Expired credential: it is \d s old and was valid for 1 s/,
  },
  {
    name: "made with a different key",
    make: (site) =>
      `${
        munge(site)
      } | sed 's/^MUNGE:\\(.\\{60\\}\\)./MUNGE:\\1A/; s/^MUNGE:\\(.\\{61\\}\\)./MUNGE:\\1B/'`,
    text: /refused: Invalid credential: it was made with a different key .* or altered on the way$/,
  },
  {
    name: "truncated",
    make: (site) => `${munge(site)} | head -c 100`,
    text: /This is not a credential, or only part of one/,
  },
  {
    name: "by a user this host does not know",
    make: (site) => `setpriv --reuid=${NOBODY_KNOWN} --clear-groups ${munge(site)}`,
    needs: isRoot,
    text: /is good, but its user, UID 41424, is unknown to the name service on this host/,
  },
];

/** A process of another program that holds the lock of a file. */
function holdLock(path: string): ChildProcess {
  const code = `
    import { openSync, writeFileSync } from "node:fs";
    import { lockFile } from "${resolve("lib/os/file_lock.ts")}";
    writeFileSync("${path}", "", { mode: 0o200 });
    if (!lockFile(openSync("${path}", "w"))) process.exit(1);
    writeFileSync("${path}.held", "");
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["-e", code], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  for (let tries = 0; !existsSync(`${path}.held`) && tries < 200; tries++) {
    spawnSync("sleep", ["0.1"]);
  }
  assert(existsSync(`${path}.held`));
  return child;
}

/** A process that holds the lock of the site's socket, with an executable called mungebox that is something else. */
function startHolder(site: Site, args: readonly string[]): ChildProcess {
  const program = join(site.directory, "mungebox");
  const lock = `${site.socket}.lock`;
  const source = `
    #include <fcntl.h>
    #include <string.h>
    #include <unistd.h>
    int main(int argc, char **argv) {
      struct flock lock = { .l_type = F_WRLCK };
      if (argc == 2 && strstr(argv[1], "version"))
        return creat("${site.directory}/was-run", 0600) < 0;
      if (fcntl(open("${lock}", O_WRONLY | O_CREAT, 0200), F_SETLK, &lock) < 0) return 1;
      creat("${lock}.held", 0600);
      for (;;) pause();
    }`;
  const { status, stderr } = spawnSync("gcc", ["-xc", "-", "-o", program], { input: source });
  assert.equal(status, 0, stderr.toString());
  const holder = spawn(program, args, { stdio: "ignore" });
  for (let tries = 0; !existsSync(`${lock}.held`) && tries < 200; tries++) {
    spawnSync("sleep", ["0.05"]);
  }
  assert(existsSync(`${lock}.held`));
  return holder;
}

function mount(directory: string): void {
  const words = ["-t", "tmpfs", "-o", "size=1m,mode=0755", "none", directory];
  const { status, stderr } = spawnSync("mount", words, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
}

suite("mungebox doctor", { "dist/mungebox": existsSync(MUNGEBOX) }, () => {
  for (const setUp of SET_UPS) {
    it(`finds the cause: ${setUp.name}`, { skip: setUp.needs === false }, () => {
      const site = new Site();
      let undo: (() => void) | void = undefined;
      try {
        undo = setUp.break(site);
        const words = setUp.words?.(site) ?? [];
        const examine = () => site.doctorIn(setUp.wrapper ?? [], ...words);
        const { status, report } = examine();
        const { cause } = report;
        assert.equal(cause?.check, setUp.check, JSON.stringify(report, null, 2));
        assert.match(cause.text, setUp.text);
        assert.equal(cause.verdict, "problem");
        assert.equal(status, 2);
        assert.notEqual(cause.fix === undefined, cause.advice === undefined);
        if (setUp.fix === undefined) assert.equal(cause.fix, undefined);
        else assert.match(cause.fix ?? cause.advice!, setUp.fix);
        // Every command that is printed, not only the first.
        for (const { check, text, fix } of report.checks) {
          if (fix === undefined) continue;
          const fixed = site.runFix(fix);
          if (text !== cause.text) continue;
          assert.equal(fixed.status, 0, fixed.err);
          if (setUp.shows === true) continue;
          const found = examine().report.checks.filter((finding) => finding.check === check);
          assert.ok(!found.some((finding) => finding.text === text), JSON.stringify(found));
        }
      } finally {
        site.stop();
        undo?.();
        site.close();
      }
    });
  }

  for (
    const [make, program] of [["ours", undefined], ["the C munged", REFERENCE_MUNGED]] as const
  ) {
    it(`finds nothing wrong with a healthy node: ${make}`, {
      skip: program !== undefined && !hasReference,
    }, () => {
      const site = new Site();
      try {
        site.start(program);
        const { status, report } = site.doctor();
        assert.deepEqual(report.cause, null);
        assert.equal(report.verdict, "ok");
        assert.equal(status, 0);
        assert.match(report.fingerprint ?? "", /^[0-9a-f]{16}$/);
        const bad = report.checks.filter(({ verdict }) => !["ok", "note"].includes(verdict));
        assert.deepEqual(bad, []);
      } finally {
        site.close();
      }
    });
  }

  it("warns if munged's payload limit is not the configured one", {
    skip: !isRoot && "needs root, to know which program munged is",
  }, () => {
    const site = new Site();
    try {
      site.start();
      const found = (...words: string[]) =>
        site.doctor(...words).report.checks.find(({ check }) => check === "max payload");
      assert.equal(found()?.text, "munged accepts payloads of 1048576 bytes");
      const { verdict, text, fix } = found("--max-payload=4M")!;
      assert.equal(verdict, "warning");
      assert.equal(text, "munged accepts payloads of 1048576 bytes, but is configured for 4194304");
      assert.match(fix!, /munged/);
    } finally {
      site.close();
    }
  });

  it("finds nothing wrong with two munged of both makes under one key", {
    skip: !hasReference,
  }, () => {
    const [ours, theirs] = [new Site(), new Site()];
    try {
      writeFileSync(theirs.keyFile, readFileSync(ours.keyFile));
      ours.start();
      theirs.start(REFERENCE_MUNGED);
      const reports = [ours, theirs].map((site) => site.doctor().report);
      assert.deepEqual(reports.map(({ cause }) => cause), [null, null]);
      assert.equal(reports[0]!.fingerprint, reports[1]!.fingerprint);
    } finally {
      ours.close();
      theirs.close();
    }
  });

  describe("on a healthy node", () => {
    let site: Site;
    before(() => {
      site = new Site();
      site.start();
    });
    after(() => site?.close());

    for (const { name, make, text, needs } of CREDENTIALS) {
      it(`explains why a credential is refused: ${name}`, { skip: needs === false }, () => {
        const made = site.shell(make(site));
        assert.match(made.out, /^MUNGE:/, made.err);
        writeFileSync(join(site.directory, "credential"), made.out);
        const { status, report } = site.doctor(`--credential=${site.directory}/credential`);
        assert.equal(report.cause?.check, "credential", JSON.stringify(report, null, 2));
        assert.match(report.cause.text, text);
        assert.match(report.cause.advice ?? "", /./);
        assert.equal(status, 2);
      });
    }

    it("accepts a good credential on standard input", () => {
      const words = site.options.join(" ");
      const { status, out } = site.shell(
        `${munge(site)} | mungebox doctor --credential=- ${words}`,
      );
      assert.match(out, /^munge works here\.\n/);
      assert.match(out, /^ok +credential +The credential is good: UID \d+ made it \d s ago$/m);
      assert.equal(status, 0);
    });

    it("finds where a running munged has its other files", () => {
      const { status, out } = site.shell(
        `mungebox doctor --socket=${site.socket} --key-file=${site.keyFile}`,
      );
      assert.equal(status, 0, out);
    });

    it("does not blame the default key file for a munged that was started with another", () => {
      const insecure = join(site.directory, "insecure.key");
      writeFileSync(insecure, "x".repeat(32));
      chmodSync(insecure, 0o644);
      const options = site.options.filter((option) => !option.startsWith("--key-file="));
      const { status, out } = site.shell(
        `mungebox doctor ${options.join(" ")} --key-file=${insecure}`,
      );
      assert.match(out, /^ok +key +munged was started with the key ".*etc\/munge\.key"$/m);
      assert.equal(status, 0, out);
    });

    it("reports nothing wrong to an unprivileged user", { skip: !isRoot }, () => {
      chmodSync(site.keyDirectory, 0o700);
      const { status, out } = site.shell(`mungebox doctor ${site.options.join(" ")}`, {
        uid: NOBODY,
        gid: NOBODY,
      });
      chmodSync(site.keyDirectory, 0o755);
      assert.equal(status, 0, out);
      assert.match(out, /^skipped +key +You may not read the key/m);
    });

    it("prints the cause and the command that fixes it first", () => {
      chmodSync(site.keyFile, 0o644);
      const { status, out } = site.shell(`mungebox doctor ${site.options.join(" ")}`);
      chmodSync(site.keyFile, 0o600);
      assert.equal(status, 2);
      const [first, second, third] = out.split("\n");
      assert.match(first!, /^Problem: Keyfile is insecure: /);
      assert.equal(second, `  $ chmod 0600 ${site.keyFile}`);
      assert.equal(third, "");
    });
  });

  it("explains the last error in the log of a munged that is not running", () => {
    const site = new Site();
    try {
      appendFileSync(
        site.log,
        '2026-11-21 21:45:16 +0000 Error:     Failed to resolve origin "x": Host not found\n',
      );
      chmodSync(site.log, 0o640);
      const { report } = site.doctor();
      assert.equal(report.cause?.check, "socket");
      const found = report.checks.find(({ check }) => check === "log");
      assert.match(
        found!.text,
        /Failed to resolve origin .* - This host's own name does not resolve/,
      );
    } finally {
      site.close();
    }
  });

  it("finds nothing wrong in a container, whose key comes from a secret", () => {
    const site = new Site();
    const options = site.options.filter((option) => !option.startsWith("--key-file="));
    const daemon = spawn(join(site.bin, "mungebox"), ["container", ...options], {
      stdio: "ignore",
      env: { MUNGE_SECRET: site.keyFile },
    });
    try {
      const words = `--socket=${site.socket}`;
      const awaited = site.shell(
        `for try in $(seq 300); do mungebox health ${words} && exit; sleep 0.1; done; exit 1`,
      );
      assert.equal(awaited.status, 0, awaited.err);
      const { status, out } = site.shell(
        `mungebox doctor --key-file=${site.directory}/none ${options.join(" ")}`,
      );
      assert.match(out, /^ok +key +munged has its key from the container's secret$/m);
      assert.equal(status, 0, out);
    } finally {
      daemon.kill();
      site.close();
    }
  });

  it("reads nothing that a link in the key's place leads to", () => {
    const site = new Site();
    try {
      renameSync(site.keyFile, `${site.keyFile}.secret`);
      symlinkSync(`${site.keyFile}.secret`, site.keyFile);
      assert.equal(site.doctor().report.fingerprint, null);
    } finally {
      site.close();
    }
  });

  it("never runs the executable of the lock's holder", { skip: !hasCompiler }, () => {
    const site = new Site();
    const holder = startHolder(site, []);
    try {
      assert.equal(site.doctor().report.cause?.check, "socket");
      assert.ok(!existsSync(join(site.directory, "was-run")));
    } finally {
      holder.kill();
      site.close();
    }
  });

  it("reads a bounded part of a log that the lock's holder names", { skip: !hasCompiler }, () => {
    const site = new Site();
    const holder = startHolder(site, ["--log-file", "/dev/zero"]);
    try {
      const options = site.options.filter((option) => !option.startsWith("--log-file="));
      const { exitCode, stdout, resourceUsage } = Bun.spawnSync([
        "sh",
        "-c",
        'ulimit -v 2000000; exec "$@"',
        "sh",
        join(site.bin, "mungebox"),
        "doctor",
        ...options,
      ]);
      const out = stdout.toString();
      assert.equal(exitCode, 2, out);
      assert.ok(resourceUsage.maxRSS < 200 << 20, `${resourceUsage.maxRSS} bytes`);
      assert.match(out, /logfile "\/dev\/zero"|"\/dev\/zero" must be a regular file/);
    } finally {
      holder.kill();
      site.close();
    }
  });

  it("ends with status 3 for a mistake on its command line", () => {
    const { status, stderr } = spawnSync(MUNGEBOX, ["doctor", "--nonsense"], { encoding: "utf8" });
    assert.equal(status, 3);
    assert.equal(stderr, 'doctor: Error: Invalid option "--nonsense"\n');
  });
});

it("munged's options are found however they are written", () => {
  assert.deepEqual(
    mungedOptions(["-F", "--log-file", "/l", "--seed=/s", "-S/sock", "--num-threads=3", "stray"]),
    ["--foreground", "--log-file=/l", "--seed-file=/s", "--socket=/sock", "--num-threads=3"],
  );
  assert.deepEqual(mungedOptions(["container", "-v", "--nonsense", "--syslog"]), ["--verbose"]);
});

describe("the table of causes", () => {
  const place: Place = {
    socketPath: "/s",
    keyFile: "/k",
    user: "munge",
    start: "munged",
    restart: "munged",
    ownerOf: () => "root",
    isOwnDirectory: () => true,
  };

  it("matches each message to its own row", () => {
    // "..." stands for a path, a name or a number, with quotes where munged has them.
    const fillings = ['"/x/y"', "/x/y", "x", "1", "group"];
    const fill = (message: string): string[] =>
      message.includes("...")
        ? fillings.flatMap((filling) => fill(message.replace("...", filling)))
        : [message];
    const strangers = CAUSES.filter(({ message, text }) =>
      !fill(message).some((line) => explain(line, place)?.text === text)
    );
    assert.deepEqual(strangers.map(({ message }) => message), []);
  });
});
