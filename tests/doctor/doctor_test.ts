// mungebox doctor on broken set-ups, each built for real: it names the cause first, and the command it prints
// fixes it. It finds nothing wrong with healthy ones, whether munged is ours or the C one.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
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
import { suite } from "../suite.ts";
import { MUNGEBOX, REFERENCE_MUNGED, Site } from "./site.ts";

const isRoot = process.geteuid!() === 0;
const hasReference = existsSync(REFERENCE_MUNGED);
/** faketime needs semaphores, which not every user may create everywhere. */
const hasFaketime = spawnSync("faketime", ["-f", "+0s", "true"]).status === 0;
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
  readonly fix: RegExp;
  /** False where the command does not fix it by itself and is therefore not run. */
  readonly fixes?: false;
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
    fix: /^munged --stop .*&& munged /,
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
    fixes: false,
  },
  {
    name: "others may read the key",
    break: (site) => chmodSync(site.keyFile, 0o644),
    check: "key",
    text: /Keyfile is insecure: .* should not be readable or writable by group \(perms=0644\)/,
    fix: /^chmod 0600 /,
    fixes: false, // munged is not running yet
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
    fix: /^chown root /,
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
    fix: /^cp --remove-destination /,
  },
  {
    name: "there is no key",
    break: (site) => rmSync(site.keyFile),
    check: "key",
    text: /Failed to find keyfile ".*": No such file or directory/,
    fix: /^(sudo -u \S+ )?mungekey --create --keyfile=/,
    fixes: false,
  },
  {
    name: "the key is too short",
    break: (site) => truncateSync(site.keyFile, 31),
    check: "key",
    text: /Keyfile must be at least 32 bytes/,
    fix: /mungekey --create .* --force$/,
    fixes: false,
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
    fix: /^kill \d+$/,
    fixes: false,
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
    fixes: false,
  },
  {
    name: "the socket's path is not a socket",
    break: (site) => writeFileSync(site.socket, ""),
    check: "socket",
    text: /is not a socket$/,
    fix: /^rm -r .*socket$/,
    fixes: false,
  },
  {
    name: "munged's clock is 10 minutes behind",
    break: (site) => site.startAt("-600s"),
    needs: hasFaketime,
    check: "munged's clock",
    text: /^munged's clock is (599|600|601) s behind this host's$/,
    fix: /\/environ$/,
    fixes: false,
  },
  {
    name: "the C munged's clock is 10 minutes ahead",
    break: (site) => site.startAt("+600s", REFERENCE_MUNGED),
    needs: hasFaketime && hasReference,
    check: "munged's clock",
    text: /^munged's clock is (599|600|601) s ahead of this host's$/,
    fix: /\/environ$/,
    fixes: false,
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
    fix: /^df -h /,
    fixes: false,
  },
  {
    name: "the user munged runs as is unknown",
    break: () => {},
    words: () => ["--user=nosuchuser"],
    check: "user",
    text: /^There is no user "nosuchuser" to run munged as$/,
    fix: /^useradd --system nosuchuser$/,
    fixes: false,
  },
  {
    name: "munged's directory belongs to a user unknown to the name service",
    break: (site) => chownSync(site.state, NOBODY_KNOWN, NOBODY_KNOWN),
    needs: isRoot,
    check: "user",
    text: /^munged's user, UID 41424, is unknown to the name service$/,
    fix: /^useradd --system --uid 41424 /,
    fixes: false,
  },
  {
    name: "the directory of the log is missing",
    break: () => {},
    words: (site) => [`--log-file=${site.directory}/nowhere/log`],
    check: "files",
    text: /Failed to check logfile dir ".*nowhere": cannot canonicalize/,
    fix: /^install -d -m 0755 -o \S+ .*nowhere$/,
    fixes: false,
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
    fix: /^editor .*conf$/,
    fixes: false,
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
];

/** A credential that is refused, on a healthy site. */
interface BadCredential {
  readonly name: string;
  /** A shell command that writes one. */
  readonly make: (site: Site) => string;
  readonly text: RegExp;
  readonly fix: RegExp;
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
    fix: /^munge -n$/,
  },
  {
    name: "restricted to another user",
    make: (site) => munge(site, "--restrict-uid=nobody"),
    needs: !isNobody,
    text:
      /^The credential is refused: Unauthorized .*: it is restricted to user nobody \(UID 65534\)$/,
    fix: /^sudo -u nobody unmunge$/,
  },
  {
    name: "restricted to another group",
    make: (site) => munge(site, "--restrict-gid=nogroup"),
    needs: !isNobody,
    text: /it is restricted to group nogroup \(GID 65534\)$/,
    fix: /^sg nogroup unmunge$/,
  },
  {
    name: "expired",
    make: (site) => `${munge(site, "--ttl=1")}; sleep 3`,
    text: /refused: Expired credential: it is \d s old and was valid for 1 s/,
    fix: /^munge --ttl=/,
  },
  {
    name: "made with a different key",
    make: (site) =>
      `${
        munge(site)
      } | sed 's/^MUNGE:\\(.\\{60\\}\\)./MUNGE:\\1A/; s/^MUNGE:\\(.\\{61\\}\\)./MUNGE:\\1B/'`,
    text: /refused: Invalid credential: it was made with a different key .* or altered on the way$/,
    fix: /^mungebox doctor HOST/,
  },
  {
    name: "truncated",
    make: (site) => `${munge(site)} | head -c 100`,
    text: /This is not a credential, or only part of one/,
    fix: /^munge -n$/,
  },
  {
    name: "by a user this host does not know",
    make: (site) => `setpriv --reuid=${NOBODY_KNOWN} --clear-groups ${munge(site)}`,
    needs: isRoot,
    text: /is good, but its user, UID 41424, is unknown to the name service on this host/,
    fix: /^getent passwd 41424$/,
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
  const child = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "ignore", "inherit"] });
  for (let tries = 0; !existsSync(`${path}.held`) && tries < 200; tries++) {
    spawnSync("sleep", ["0.1"]);
  }
  assert(existsSync(`${path}.held`));
  return child;
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
        const { status, report } = site.doctor(...words);
        const { cause } = report;
        assert.equal(cause?.check, setUp.check, JSON.stringify(report, null, 2));
        assert.match(cause.text, setUp.text);
        assert.match(cause.fix ?? "", setUp.fix);
        assert.equal(cause.verdict, "problem");
        assert.equal(status, 2);
        if (setUp.fixes === false) return;
        const fixed = site.shell(cause.fix!);
        assert.equal(fixed.status, 0, fixed.err);
        assert.deepEqual(site.doctor(...words).report.cause, null);
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

    for (const { name, make, text, fix, needs } of CREDENTIALS) {
      it(`explains why a credential is refused: ${name}`, { skip: needs === false }, () => {
        const made = site.shell(make(site));
        assert.match(made.out, /^MUNGE:/, made.err);
        writeFileSync(join(site.directory, "credential"), made.out);
        const { status, report } = site.doctor(`--credential=${site.directory}/credential`);
        assert.equal(report.cause?.check, "credential", JSON.stringify(report, null, 2));
        assert.match(report.cause.text, text);
        assert.match(report.cause.fix ?? "", fix);
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

  it("ends with status 3 for a mistake on its command line", () => {
    const { status, stderr } = spawnSync(MUNGEBOX, ["doctor", "--nonsense"], { encoding: "utf8" });
    assert.equal(status, 3);
    assert.equal(stderr, 'doctor: Error: Invalid option "--nonsense"\n');
  });
});

describe("the table of causes", () => {
  const place = { socketPath: "/s", keyFile: "/k", user: "munge", start: "munged" };

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
