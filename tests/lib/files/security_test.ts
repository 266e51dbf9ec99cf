// Which files may be trusted.
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import assert from "node:assert/strict";
import { checkFile, type TrustedFile } from "../../../lib/files/security.ts";
import { isRoot } from "../../harness/programs.ts";
import { withDirectory } from "../../harness/scratch.ts";
import { memoryLogger } from "../../daemon/memory_logger.ts";

const uid = process.geteuid!();

interface Case {
  readonly name: string;
  readonly kind: TrustedFile;
  readonly prepare: (path: string, directory: string) => void;
  /** The message, with P for the file and D for its directory; undefined if all is well. */
  readonly breach?: string;
  readonly evenForced?: true;
  readonly needsRoot?: true;
  readonly trustedGroup?: number;
}

const write = (mode: number) => (path: string) => {
  writeFileSync(path, "x");
  chmodSync(path, mode);
};
const directoryMode = (mode: number) => (path: string, directory: string) => {
  write(0o600)(path);
  chmodSync(directory, mode);
};

const CASES: Case[] = [
  { name: "a private key", kind: "key", prepare: write(0o600) },
  {
    name: "a key the group reads",
    kind: "key",
    prepare: write(0o640),
    breach: 'Keyfile is insecure: "P" should not be readable or writable by group (perms=0640)',
  },
  {
    name: "a key others write",
    kind: "key",
    prepare: write(0o602),
    breach: 'Keyfile is insecure: "P" should not be readable or writable by other (perms=0602)',
  },
  {
    name: "another user's key",
    kind: "key",
    needsRoot: true,
    prepare: (path) => {
      write(0o600)(path);
      chownSync(path, 1, 0);
    },
    breach: `Keyfile is insecure: "P" should be owned by UID ${uid} instead of UID 1`,
  },
  {
    name: "a link to a key",
    kind: "key",
    prepare: (path) => {
      write(0o600)(`${path}2`);
      symlinkSync(`${path}2`, path);
    },
    breach: 'Keyfile is insecure: "P" should not be a symbolic link',
  },
  {
    name: "a directory as a key",
    kind: "key",
    prepare: (path) => mkdirSync(path, { mode: 0o755 }),
    breach: 'Keyfile is insecure: "P" must be a regular file (type=0040000)',
    evenForced: true,
  },
  {
    name: "a missing key",
    kind: "key",
    prepare: () => {},
    breach: 'Failed to find keyfile "P": No such file or directory (Did you run mungekey?)',
    evenForced: true,
  },
  { name: "a secret that everyone reads", kind: "secret", prepare: write(0o444) },
  {
    name: "a link to a link to a secret",
    kind: "secret",
    prepare: (path, directory) => {
      mkdirSync(join(directory, "..2026"));
      write(0o440)(join(directory, "..2026", "file"));
      symlinkSync("..2026", join(directory, "..data"));
      symlinkSync("..data/file", path);
    },
  },
  {
    name: "a link of another user to a secret",
    kind: "secret",
    needsRoot: true,
    prepare: (path) => {
      write(0o440)(`${path}2`);
      symlinkSync(`${path}2`, path);
      lchownSync(path, 1, 1);
    },
    breach: 'Keyfile is insecure: invalid ownership of symbolic link "P" (uid=1)',
  },
  {
    name: "a secret that its group writes",
    kind: "secret",
    prepare: write(0o460),
    breach: 'Keyfile is insecure: "P" should not be writable by group (perms=0460)',
  },
  {
    name: "another user's secret",
    kind: "secret",
    needsRoot: true,
    prepare: (path) => {
      write(0o444)(path);
      chownSync(path, 1, 0);
    },
    breach: `Keyfile is insecure: "P" should be owned by UID ${uid} instead of UID 1`,
  },
  { name: "a missing log", kind: "log", prepare: () => {} },
  { name: "a world-readable log", kind: "log", prepare: write(0o644) },
  {
    name: "a group-writable log",
    kind: "log",
    prepare: write(0o660),
    breach: 'Logfile is insecure: "P" should not be writable by group (perms=0660)',
  },
  {
    name: "a dangling link as a log",
    kind: "log",
    prepare: (path) => symlinkSync("nowhere", path),
    breach: 'Logfile is insecure: "P" should not be a symbolic link',
  },
  { name: "a log in a group-writable directory", kind: "log", prepare: directoryMode(0o775) },
  {
    name: "a log in a world-writable directory",
    kind: "log",
    prepare: directoryMode(0o777),
    breach: 'Logfile is insecure: world-writable permissions without sticky bit set on "D"',
  },
  {
    name: "a key in a group-writable directory",
    kind: "key",
    prepare: directoryMode(0o775),
    breach: 'Keyfile is insecure: group-writable permissions without sticky bit set on "D"',
  },
  {
    name: "a key in a directory writable by the trusted group",
    kind: "key",
    trustedGroup: process.getegid!(),
    prepare: directoryMode(0o775),
  },
  { name: "a PID file in a sticky directory", kind: "pid", prepare: directoryMode(0o1777) },
  {
    name: "a seed file in another user's directory",
    kind: "seed",
    needsRoot: true,
    prepare: (_path, directory) => chownSync(directory, 1, 0),
    breach: 'PRNG seed dir is insecure: invalid ownership of "D" (uid=1)',
  },
  {
    name: "an inaccessible socket",
    kind: "socket",
    prepare: directoryMode(0o700),
    breach: 'Socket is inaccessible: execute permissions for all required on "D" (st_mode=040700)',
  },
];

for (const { name, kind, prepare, breach, evenForced, needsRoot, trustedGroup } of CASES) {
  const verb = breach === undefined ? "accepts" : "refuses";
  test(`checkFile() ${verb} ${name}`, { skip: needsRoot === true && !isRoot }, () => {
    withDirectory((root) => {
      const directory = join(root, "d");
      mkdirSync(directory);
      chmodSync(directory, 0o755);
      const path = join(directory, "file");
      prepare(path, directory);
      const expected = breach?.replaceAll('"P"', `"${path}"`).replaceAll('"D"', `"${directory}"`);
      for (const force of [false, true]) {
        const logger = memoryLogger();
        const check = () =>
          checkFile(kind, path, { force, trustedGroup: trustedGroup ?? null }, logger);
        if (expected !== undefined && (!force || evenForced === true)) {
          assert.throws(check, { name: "MungeError", message: expected, errno: 1 });
          assert.deepEqual(logger.lines, []);
        } else {
          check();
          assert.deepEqual(logger.lines, expected === undefined ? [] : [`warning: ${expected}`]);
        }
      }
    });
  });
}

test("checkFile() reports a missing directory, with and without --force", () => {
  withDirectory((directory) => {
    const path = `${directory}/./nowhere/sock`;
    const dir = `${directory}/./nowhere`;
    assert.throws(
      () => checkFile("socket", path, { force: true, trustedGroup: null }, memoryLogger()),
      {
        message: `Failed to check socket dir "${dir}": cannot canonicalize "${dir}": ` +
          "No such file or directory",
      },
    );
  });
});

const KINDS: readonly TrustedFile[] = ["key", "pid", "seed", "socket", "log", "metrics", "secret"];

/** What checkFile() reports about a file reached through a link. */
function checkThroughLink(
  kind: TrustedFile,
  prepare: (link: string, elsewhere: string) => void,
): string {
  let said = "";
  withDirectory((root) => {
    for (const name of ["real", "elsewhere"]) {
      mkdirSync(join(root, name));
      chmodSync(join(root, name), 0o755);
    }
    write(0o600)(join(root, "real", "file"));
    const elsewhere = join(root, "elsewhere");
    const link = join(elsewhere, "link");
    symlinkSync("../real", link);
    prepare(link, elsewhere);
    try {
      checkFile(kind, join(link, "file"), { force: false, trustedGroup: null }, memoryLogger());
    } catch (error) {
      said = (error as Error).message.replaceAll(root, "");
    }
  });
  return said;
}

for (const kind of KINDS) {
  test(`checkFile() refuses a ${kind} behind a link that another user owns or can replace`, {
    skip: !isRoot,
  }, () => {
    const key = { key: "Keyfile", secret: "Keyfile" };
    const subject = { ...key, socket: "Socket", pid: "PIDfile", log: "Logfile" };
    const names = {
      ...subject,
      seed: "PRNG seed dir",
      metrics: "Metrics file",
      config: "",
      auksCache: "CacheDir",
      password: "",
    };
    assert.equal(checkThroughLink(kind, () => {}), "");
    const owned = checkThroughLink(kind, (link) => lchownSync(link, 1, 0));
    assert.equal(
      owned,
      `${names[kind]} is insecure: invalid ownership of symbolic link "/elsewhere/link" (uid=1)`,
    );
    const open = checkThroughLink(kind, (_link, elsewhere) => chmodSync(elsewhere, 0o757));
    assert.equal(
      open,
      `${
        names[kind]
      } is insecure: world-writable permissions without sticky bit set on "/elsewhere"`,
    );
    // Others can add files there, but can't replace root's link.
    assert.equal(checkThroughLink(kind, (_link, elsewhere) => chmodSync(elsewhere, 0o1777)), "");
    const planted = checkThroughLink(kind, (link, elsewhere) => {
      chmodSync(elsewhere, 0o1777);
      lchownSync(link, 1, 0);
    });
    assert.equal(planted, owned);
  });
}

test("checkFile() follows relative links, links to links and .. to what they really lead through", {
  skip: !isRoot,
}, () => {
  const said = checkThroughLink("key", (link, elsewhere) => {
    rmSync(link);
    mkdirSync(join(elsewhere, "deep"));
    symlinkSync("deep/../second", link);
    symlinkSync(join(elsewhere, "..", "real"), join(elsewhere, "second"));
    lchownSync(join(elsewhere, "second"), 1, 0);
  });
  assert.match(said, /invalid ownership of symbolic link "\/elsewhere\/second" \(uid=1\)/);
});

test(
  "checkFile() accepts a metrics directory that belongs to the collector",
  { skip: !isRoot },
  () => {
    withDirectory((root) => {
      chownSync(root, 1, 1);
      chmodSync(root, 0o775);
      const path = join(root, "munged.prom");
      const rules = { force: false, trustedGroup: null };
      checkFile("metrics", path, rules, memoryLogger());
      chmodSync(root, 0o777);
      assert.throws(() => checkFile("metrics", path, rules, memoryLogger()), /world-writable/);
    });
  },
);
