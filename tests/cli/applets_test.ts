// The commands' help, messages and exit statuses beside those of the C programs.
import assert from "node:assert/strict";
import { spawnSync, type SpawnSyncReturns } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { MAIN } from "../harness/programs.ts";
import { suite } from "../suite.ts";

const reference = spawnSync("munged", ["--version"]).status === 0;

interface Result {
  status: number | null;
  out: string;
  err: string;
}

function result({ status, stdout, stderr }: SpawnSyncReturns<Buffer>): Result {
  return { status, out: stdout.toString("latin1"), err: stderr.toString("latin1") };
}

let directory: string;
let socket: string;

function ours(args: readonly string[], input = ""): Result {
  return result(spawnSync(process.execPath, [MAIN, ...args], { input, cwd: directory }));
}

function theirs(args: readonly string[], input = ""): Result {
  return result(spawnSync(args[0]!, args.slice(1), { input, cwd: directory }));
}

before(() => {
  directory = mkdtempSync(join(tmpdir(), "mungebox-cli-"));
  socket = join(directory, "socket");
  spawnSync("chmod", ["755", directory]);
  if (!reference) return;
  const key = join(directory, "key");
  writeFileSync(key, crypto.getRandomValues(new Uint8Array(128)), { mode: 0o600 });
  const files = ["log", "pid", "seed"].map((name) => `--${name}-file=${join(directory, name)}`);
  const args = ["--force", `--socket=${socket}`, `--key-file=${key}`, ...files];
  assert.equal(spawnSync("munged", args).status, 0);
});

after(() => {
  if (reference) spawnSync("munged", ["--stop", `--socket=${socket}`]);
  rmSync(directory, { recursive: true, force: true });
});

/** Command lines that need no daemon, on which both must agree to the byte. */
const SAME: readonly string[][] = [
  ["remunge", "--help"],
  ["munge", "-x"],
  ["munge", "--no-input=x"],
  ["munge", "-n", "stray"],
  ["munge", "-s"],
  ["munge", "-C"],
  ["munge", "-M"],
  ["munge", "-Z"],
  ["munge", "-c", "foo"],
  ["munge", "-m", "none"],
  ["munge", "-t", "-2"],
  ["munge", "-t", "4294967296"],
  ["munge", "-t", "99999999999999999999"],
  ["munge", "-u", "no such user"],
  ["munge", "-G", "-1"],
  ["munge", "-i", "nosuch"],
  ["munge", "-n", "-S", "nosuch"],
  ["munge", "-n", "-S", "."],
  ["munge", "-n", "-S", ""],
  ["unmunge", "--li"],
  ["unmunge", "-S", "nosuch"],
  ["mungekey", "--force=x"],
  ["mungekey", "-b"],
  ["mungekey", "-b", "255"],
  ["mungekey", "stray"],
  ["mungekey", "-c", "-k", "nosuch/key"],
  ["remunge", "-N", "1x"],
  ["remunge", "-D", "0"],
  ["remunge", "-T", "0"],
  ["remunge", "-l", "5000000000"],
];

/** Commands with options that the reference lacks. */
const EXTENDED: readonly string[] = ["munge", "mungekey"];

suite("command lines", { "the reference": reference }, () => {
  for (const name of EXTENDED) {
    it(`${name} --help has every line of the reference's, in the same order`, () => {
      const lines = ours([name, "--help"]).out.split("\n");
      for (const line of theirs([name, "--help"]).out.split("\n")) {
        while (lines.length > 0 && lines[0] !== line) lines.shift();
        assert.equal(lines.shift(), line);
      }
    });
  }

  for (const args of SAME) {
    it(`${args.join(" ")} is answered as by the reference`, () => {
      assert.deepEqual(ours(args), theirs(args));
    });
  }
});

suite("munge and unmunge", { "the reference": reference }, () => {
  const munge = (...args: string[]) => ["munge", "-S", socket, ...args];
  const unmunge = (...args: string[]) => ["unmunge", "-S", socket, ...args];

  it("munge's credentials are opened by the reference, and vice versa", () => {
    const made = ours(munge("-s", "hello", "-t", "77", "-c", "aes256", "-m", "sha512"));
    assert.equal(made.err, "");
    const opened = theirs(unmunge("-k", "TTL,CIPHER,MAC,LENGTH"), made.out);
    assert.match(
      opened.out,
      /TTL: +77\nCIPHER: +aes256 \(5\)\nMAC: +sha512 \(6\)\nLENGTH: +5\n\nhello$/,
    );
    const back = ours(unmunge(), theirs(munge("-s", "hello")).out);
    assert.equal(back.status, 0);
    assert.match(back.out, /^STATUS: {10}Success \(0\)\nENCODE_HOST: +.*LENGTH: +5\n\nhello$/s);
  });

  it("unmunge prints a replayed credential as the reference does", () => {
    const credential = theirs(munge("-s", "x", "-u", `${process.getuid!()}`)).out;
    theirs(unmunge(), credential);
    const expected = theirs(
      unmunge("-k", "status,uid,gid_restriction,uid_restriction"),
      credential,
    );
    assert.deepEqual(
      ours(unmunge("-k", "status,uid,gid_restriction,uid_restriction"), credential),
      expected,
    );
    assert.equal(expected.status, 17);
    assert.equal(ours(unmunge("--ignore-replay"), credential).status, 0);
    assert.equal(ours(unmunge("--ignore-ttl"), credential).status, 0);
    assert.match(ours(unmunge("--ignore-ttl"), credential).out, /^STATUS: +Success \(0\)\n/);
  });

  it("unmunge -K lists the reference's keys, and the realm", () => {
    const lines = ours(["unmunge", "-K"]).out.split("\n").filter((line) => line !== "  REALM");
    assert.equal(lines.join("\n"), theirs(["unmunge", "-K"]).out);
  });

  it("unmunge prints each key it lists, without a value if there is none", () => {
    const keys: readonly string[] = ours(["unmunge", "-K"]).out.match(/(?<=^ {2})\w+$/gm) ?? [];
    assert.ok(keys.includes("REALM"));
    const restricted = ["-u", `${process.getuid!()}`, "-g", `${process.getgid!()}`];
    for (const key of keys) {
      const { out, status } = ours(unmunge("-k", key), ours(munge("-n", ...restricted)).out);
      assert.equal(status, 0);
      assert.match(out, new RegExp(`^${key}:(?: .+)?\n\n?$`));
    }
  });

  it("unmunge reports malformed credentials as the reference does", () => {
    for (const text of ["", "junk", "MUNGE:!!!:", "\0abc", "MUNGE:AwQFAAD"]) {
      assert.deepEqual(ours(unmunge(), text), theirs(unmunge(), text));
    }
  });

  it("unmunge refuses to write over its input", () => {
    const file = join(directory, "credential");
    assert.equal(ours(munge("-n", "-o", file)).status, 0);
    const before = readFileSync(file);
    assert.deepEqual(
      ours(unmunge("-i", file, "-o", file)),
      theirs(unmunge("-i", file, "-o", file)),
    );
    assert.deepEqual(readFileSync(file), before);
  });

  it("munge leaves an output file untouched if there is no credential", () => {
    const file = join(directory, "kept");
    writeFileSync(file, "kept", { mode: 0o640 });
    assert.equal(ours(["munge", "-n", "-S", "nosuch", "-o", file]).status, 6);
    assert.equal(readFileSync(file, "utf8"), "kept");
    assert.equal(ours(munge("-n", "-o", file)).status, 0);
    assert.equal(statSync(file).mode & 0o777, 0o640);
    assert.match(readFileSync(file, "utf8"), /^MUNGE:.*:\n$/);
  });

  it("remunge counts credentials and errors", () => {
    const { out, status } = ours(["remunge", "-S", socket, "-N", "20", "-T", "2", "-d"]);
    assert.equal(status, 0);
    assert.match(out, /Spawning 2 threads for encoding\/decoding\n.*Processing 20 credentials\n/);
    assert.match(out, /Processed 20 credentials in \d+\.\d{3}s \(\d+ creds\/sec\)\n\nWARNING/);
    assert.match(ours(["remunge", "-S", "nosuch", "-N", "2"]).out, /Generated 2 encoding errors\n/);
  });
});

describe("mungekey", () => {
  it("creates a key that only its owner can read, and never overwrites one", () => {
    const key = join(directory, "new.key");
    const made = ours(["mungekey", "-v", "-b", "257", "-k", key]);
    assert.equal(made.err, `mungekey: Info: Created "${key}" with 264-bit key\n`);
    assert.equal(statSync(key).mode & 0o7777, 0o600);
    const bytes = readFileSync(key);
    assert.equal(bytes.length, 33);
    const again = ours(["mungekey", "-k", key]);
    assert.equal(again.status, 1);
    assert.equal(again.err, `mungekey: Error: Failed to create "${key}": File exists\n`);
    assert.deepEqual(readFileSync(key), bytes);
    assert.equal(ours(["mungekey", "-f", "-k", key]).status, 0);
    assert.notDeepEqual(readFileSync(key), bytes);
  });

  it("replaces a symbolic link, not its target", () => {
    const target = join(directory, "target");
    const link = join(directory, "link.key");
    writeFileSync(target, "precious");
    symlinkSync(target, link);
    assert.equal(ours(["mungekey", "-k", link]).status, 1);
    assert.equal(ours(["mungekey", "-f", "-k", link]).status, 0);
    assert.equal(readFileSync(target, "utf8"), "precious");
  });
});

describe("mungekey --fingerprint", () => {
  it("needs nothing but the key, not even a valid configuration of munged", () => {
    const key = join(directory, "printed.key");
    assert.equal(ours(["mungekey", "-k", key]).status, 0);
    const { out, status } = ours(["mungekey", "--fingerprint", "-k", key]);
    assert.equal(status, 0);
    assert.match(out, /^[0-9a-f]{16}\n$/);
    const command = [MAIN, "mungekey", "--fingerprint", "-k", key];
    const env = { ...process.env, MUNGE_TTL: "invalid" };
    const again = spawnSync(process.execPath, command, { encoding: "latin1", env });
    assert.deepEqual([again.status, again.stdout], [0, out]);
  });
});

describe("mungebox", () => {
  const COMMANDS = ["munged", "munge", "unmunge", "remunge", "mungekey", "create-munge-key"];

  it("--list names the commands that --install links", () => {
    assert.deepEqual(ours(["--list"]), { status: 0, out: `${COMMANDS.join("\n")}\n`, err: "" });
  });

  it("refuses an unknown or missing name, and lists the commands", () => {
    // Every object has the last two.
    const names = ["nosuch", "constructor", "__proto__"];
    const cases = names.map((name) => [[name], `Unknown command "${name}"`] as const);
    for (const [args, text] of [...cases, [[], "Missing command"] as const]) {
      const { status, out, err } = ours(args);
      assert.deepEqual([status, out], [1, ""]);
      assert(
        err.startsWith(`mungebox: Error: ${text}; the commands are ${COMMANDS.join(", ")}`),
        err,
      );
    }
  });

  it("--help lists its options and commands", () => {
    const { status, out } = ours(["--help"]);
    assert.equal(status, 0);
    for (const word of ["--list", "--install=DIR", "--force", ...COMMANDS]) {
      assert.match(out, new RegExp(`^ +${word} {2,}\\S`, "m"));
    }
  });

  it("--install makes and replaces its own links, and replaces other files only with --force", () => {
    const bin = join(directory, "bin");
    mkdirSync(bin);
    const self = realpathSync(process.execPath);
    for (let run = 0; run < 2; run++) {
      assert.deepEqual(ours(["--install", bin]), { status: 0, out: "", err: "" });
      assert.deepEqual(readdirSync(bin).sort(), COMMANDS.toSorted());
    }
    const link = join(bin, "unmunge");
    assert.equal(readlinkSync(link), self);
    unlinkSync(link);
    symlinkSync("/nowhere/mungebox", link); // an older version, elsewhere
    assert.equal(ours(["--install", bin]).status, 0);
    assert.equal(readlinkSync(link), self);

    for (const name of COMMANDS) unlinkSync(join(bin, name));
    for (
      const obstruct of [() => writeFileSync(link, "mine"), () => symlinkSync("/bin/sh", link)]
    ) {
      obstruct();
      const err = `mungebox: Error: Failed to create "${link}": File exists\n`;
      assert.deepEqual(ours(["--install", bin]), { status: 1, out: "", err });
      assert.deepEqual(readdirSync(bin), ["unmunge"], "nothing is half installed");
      unlinkSync(link);
    }
    writeFileSync(link, "mine");
    assert.equal(ours(["--install", bin, "--force"]).status, 0);
    assert.equal(readlinkSync(link), self);
    assert.match(ours(["--install", join(bin, "nosuch")]).err, /No such file or directory\n$/);
  });

  it("--install on a read-only file system says so", {
    skip: process.getuid!() !== 0 && "needs root",
  }, () => {
    const bin = join(directory, "read-only");
    mkdirSync(bin);
    const script = 'mount -t tmpfs -o ro none "$1" && exec "$2" "$3" --install "$1"';
    const words = ["--mount", "sh", "-c", script, "sh", bin, process.execPath, MAIN];
    assert.deepEqual(theirs(["unshare", ...words]), {
      status: 1,
      out: "",
      err: `mungebox: Error: Failed to create "${join(bin, "munged")}": Read-only file system\n`,
    });
  });

  it("-V prints the version of MUNGE first", () => {
    assert.equal(ours(["unmunge", "-V"]).out, "munge-0.5.18 (mungebox 0.1.0)\n");
    assert.match(ours(["munge", "-L"]).out, /GNU General Public License/);
  });
});
