// Sites that are broken, each in one way, with what doctor must find: the cause, and the command that fixes it. causes_test.ts
// breaks and examines them.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
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
import { close, listenUnix } from "../../lib/os/socket.ts";
import { hasFaketime } from "../harness/clock.ts";
import { isRoot, REFERENCE_MUNGED } from "../harness/programs.ts";
import type { Site } from "./site.ts";

const hasReference = existsSync(REFERENCE_MUNGED);
/** A UID that no system has. */
const NOBODY_KNOWN = 41_424;
const NOBODY = 65_534;
/** Half a minute on either side of ten: doctor reads this host's clock a moment after munged's. */
const TEN_MINUTES = "(5[789]|6[012])\\d s";

/** A broken site. */
export interface BrokenSite {
  readonly name: string;
  /** Breaks it, where nothing runs yet; returns a function that cleans up. */
  break(site: Site): (() => void) | void;
  /** More arguments for doctor. */
  readonly words?: (site: Site) => string[];
  /** The check that finds the cause. */
  readonly check: string;
  readonly text: RegExp;
  /** The command that fixes it; without one there is advice. */
  readonly fix?: RegExp;
  /** Whether the command only shows more information. */
  readonly shows?: true;
  /** A command that runs doctor, for example in another namespace. */
  readonly wrapper?: readonly string[];
  readonly needs?: boolean;
}

/** Every way to break one. */
export const BROKEN_SITES: readonly BrokenSite[] = [
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
      while (readFileSync("/proc/net/unix", "latin1").includes(site.socket)) Bun.sleepSync(10);
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
      const pid = Number(readFileSync(join(site.state, "pid"), "utf8"));
      process.kill(pid, "SIGSTOP");
      while (!/^State:\tT/m.test(readFileSync(`/proc/${pid}/status`, "latin1"))) Bun.sleepSync(10);
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
    text: new RegExp(`^munged's clock is ${TEN_MINUTES} behind this host's$`),
  },
  {
    name: "the C munged's clock is 10 minutes ahead",
    break: (site) => site.startAt(600, REFERENCE_MUNGED),
    needs: hasFaketime && hasReference,
    check: "munged's clock",
    text: new RegExp(`^munged's clock is ${TEN_MINUTES} ahead of this host's$`),
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
  for (let tries = 0; !existsSync(`${path}.held`) && tries < 1200; tries++) {
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
