import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import assert from "node:assert/strict";
import { checkFile, type TrustedFile } from "../../../lib/files/security.ts";
import { isRoot, memoryLogger, withDirectory } from "../../daemon/scratch.ts";

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
    name: "somebody else's key",
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
    name: "a directory for a key",
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
  { name: "a missing log", kind: "log", prepare: () => {} },
  { name: "a log everybody reads", kind: "log", prepare: write(0o644) },
  {
    name: "a log the group writes",
    kind: "log",
    prepare: write(0o660),
    breach: 'Logfile is insecure: "P" should not be writable by group (perms=0660)',
  },
  {
    name: "a dangling link for a log",
    kind: "log",
    prepare: (path) => symlinkSync("nowhere", path),
    breach: 'Logfile is insecure: "P" should not be a symbolic link',
  },
  { name: "a log in a group's directory", kind: "log", prepare: directoryMode(0o775) },
  {
    name: "a log in everybody's directory",
    kind: "log",
    prepare: directoryMode(0o777),
    breach: 'Logfile is insecure: world-writable permissions without sticky bit set on "D"',
  },
  {
    name: "a key in a group's directory",
    kind: "key",
    prepare: directoryMode(0o775),
    breach: 'Keyfile is insecure: group-writable permissions without sticky bit set on "D"',
  },
  {
    name: "a key in the trusted group's directory",
    kind: "key",
    trustedGroup: process.getegid!(),
    prepare: directoryMode(0o775),
  },
  { name: "a PID file in a sticky directory", kind: "pid", prepare: directoryMode(0o1777) },
  {
    name: "a seed file in somebody's directory",
    kind: "seed",
    needsRoot: true,
    prepare: (_path, directory) => chownSync(directory, 1, 0),
    breach: 'PRNG seed dir is insecure: invalid ownership of "D" (uid=1)',
  },
  {
    name: "a socket nobody reaches",
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
