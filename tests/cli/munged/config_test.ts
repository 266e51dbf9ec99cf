// munge.conf and the environment: what they set, what overrides what, and which lines are errors.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { formatValue, parseValue } from "../../../cli/munged/config.ts";
import { parseConfig } from "../../../cli/munged/munged.ts";
import { withDirectory } from "../../harness/scratch.ts";
import { MAIN } from "../../harness/programs.ts";

/** Calls `use` with the path of a configuration file with this text. */
function withFile(text: string, use: (path: string) => void): void {
  withDirectory((directory) => {
    const path = join(directory, "munge.conf");
    writeFileSync(path, text, { mode: 0o644 });
    use(path);
  });
}

function parse(path: string, args: string[] = [], environment: Record<string, string> = {}) {
  return parseConfig("munged", [`--config=${path}`, ...args], environment);
}

test("the file sets options by their names and by those of the environment", () => {
  const text = `# a comment
max-ttl = 600
max-payload = 8M
MUNGE_TTL=60   # its default
  MUNGE_KEY_ROTATION_SECONDS="90"
syslog=yes
benchmark=no
MUNGE_TIMESTAMP_DRIFT_MAX=30

realm=a=/keys/a
realm=b.c=/keys/b
realm-allow=a=user:0,group:7
`;
  withFile(text, (path) => {
    const config = parse(path);
    assert.equal(config.maxTtl, 600);
    assert.equal(config.maxPayload, 2 ** 23);
    assert.equal(config.defaultTtl, 60);
    assert.equal(config.keyRotationTime, 90);
    assert.equal(config.timestampDriftMax, 30);
    assert.deepEqual([config.syslog, config.benchmark], [true, false]);
    assert.deepEqual(config.realms, [
      { name: "a", keyFile: "/keys/a" },
      { name: "b.c", keyFile: "/keys/b" },
    ]);
    assert.deepEqual(config.realmAllow, [{ realm: "a", uids: [0], gids: [7] }]);
  });
});

test("the command line overrides the environment, which overrides the file, which overrides the default", () => {
  withFile("max-ttl=600\nnum-threads=3\nsyslog=1\nttl=7\n", (path) => {
    const environment = {
      MUNGEBOX_MAX_TTL: "700",
      MUNGEBOX_NUM_THREADS: "4",
      MUNGEBOX_SYSLOG: "0",
    };
    const config = parse(path, ["--max-ttl=800"], environment);
    assert.equal(config.maxTtl, 800);
    assert.equal(config.numThreads, 4);
    assert.equal(config.syslog, false);
    assert.equal(config.defaultTtl, 7);
    assert.equal(config.groupUpdateTime, 3600);
  });
});

for (
  const [line, complaint] of [
    ["max-ttl=0", 'Invalid value "0" for max-ttl'],
    ["MUNGEBOX_MAX_TTL=x", 'Invalid value "x" for max-ttl'],
    ["no-such-option=1", 'Unknown key "no-such-option"'],
    ["stop=1", 'Unknown key "stop"'],
    ["help=1", 'Unknown key "help"'],
    ["syslog=maybe", 'Invalid value "maybe" for syslog'],
    ["syslog", "Not of the form KEY=VALUE"],
    ["realm=bad name=/k", 'Invalid value "bad name=/k" for realm'],
    ["realm=a=", 'Invalid value "a=" for realm'],
    ["realm-allow=a=root", 'Invalid value "a=root" for realm-allow'],
    ["security=strict", 'Invalid value "strict" for security'],
    ["security=a b=modern", 'Invalid value "a b=modern" for security'],
    [
      "allow-ciphers=decode:aes128,des",
      'Invalid value "decode:aes128,des" for allow-ciphers: ' +
      '"des" is not one of aes128, aes256, blowfish, cast5, none',
    ],
    [
      "allow-macs=a=encode:",
      'Invalid value "a=encode:" for allow-macs: "" is not one of sha256, sha512, sha1, ripemd160, md5',
    ],
    ["allow-macs=default", /"default" is not one of sha256/],
    ["allow-zips=", /Invalid value "" for allow-zips: "" is not one of none, zlib, bzlib/],
    ["allow-encode=root", 'Invalid value "root" for allow-encode'],
    ["allow-decode=a=", 'Invalid value "a=" for allow-decode'],
    [
      "accept-origin=10.0.0.0/8,host",
      'Invalid value "10.0.0.0/8,host" for accept-origin: ' +
      '"host" is not an IPv4 network, such as 10.1.0.0/16',
    ],
    ["timestamp-drift-max=3601", 'Invalid value "3601" for timestamp-drift-max'],
  ] as const
) {
  test(`the line ${line} is an error that names file and line`, () => {
    withFile(`# first\n${line}\n`, (path) => {
      const message = typeof complaint === "string" ? `${path}:2: ${complaint}` : complaint;
      assert.throws(() => parse(path), { errno: 1, message });
    });
  });
}

test("a value that is not UTF-8 is refused, a comment is not", () => {
  withFile("", (path) => {
    writeFileSync(path, Buffer.from("# caf\xe9\nmax-ttl=600 # caf\xe9\n", "latin1"));
    assert.equal(parse(path).maxTtl, 600);
    writeFileSync(path, Buffer.from("ttl=60\nkey-file=/caf\xe9/key\n", "latin1"));
    assert.throws(() => parse(path), {
      errno: 1,
      message: `${path}:2: "key-file" is not in UTF-8`,
    });
    writeFileSync(path, "key-file=/\ufffd/key\n");
    assert.equal(parse(path).keyFile, "/\ufffd/key");
  });
});

test("a value ends at a comment, a quoted one at its quote", () => {
  const values = {
    "/a": "/a",
    "/a # b": "/a",
    "/a#b": "/a#b",
    "": "",
    "# b": "",
    '"/a"': "/a",
    '"/a" # was "/b"': "/a",
    '"/a # b"': "/a # b",
    '"/a # b" # "c"': "/a # b",
    '"  "': "  ",
    '"a\\"b\\\\c"': 'a"b\\c',
    'a"b': 'a"b',
  };
  for (const [text, value] of Object.entries(values)) assert.equal(parseValue(text), value, text);
  for (const text of ['"/a', '"/a" b', '"/a"b', '"/a"# b', '"a\\"']) {
    assert.equal(parseValue(text), undefined, text);
    withFile(`key-file=${text}\n`, (path) => {
      assert.throws(() => parse(path), {
        message: `${path}:1: Text after a quoted value, or no closing quote`,
      });
    });
  }
  withFile('key-file = "/a" # was "/b"\n', (path) => assert.equal(parse(path).keyFile, "/a"));
});

test("every value survives being written and read", () => {
  for (const value of ["/a", "/a # b", '"', '"a"', "\\", 'a "b" # c \\', " a ", "#", "", "a#"]) {
    assert.equal(parseValue(formatValue(value)), value, value);
  }
});

test("variables of other programs that look like ours have no effect", () => {
  withFile("", (path) => {
    const others = {
      MUNGE_KEY_FILE: "x",
      MUNGE_MAX_TTL: "x",
      MUNGE_SOCKET: "x",
      MUNGE_ORIGIN: "x",
    };
    assert.deepEqual(parse(path, [], others), parse(path));
    const ours = {
      MUNGE_TTL: "7",
      MUNGE_TIMESTAMP_DRIFT_MAX: "8",
      MUNGE_KEY_ROTATION_SECONDS: "9",
    };
    const { defaultTtl, timestampDriftMax, keyRotationTime } = parse(path, [], ours);
    assert.deepEqual([defaultTtl, timestampDriftMax, keyRotationTime], [7, 8, 9]);
  });
});

test("a bad value in the environment names its variable", () => {
  withFile("", (path) => {
    assert.throws(() => parse(path, [], { MUNGE_TTL: "-1" }), {
      message: 'environment variable MUNGE_TTL: Invalid value "-1" for ttl',
    });
  });
});

test("a file that others may write is refused, and so is a missing one", () => {
  withFile("max-ttl=1\n", (path) => {
    chmodSync(path, 0o664);
    assert.throws(() => parse(path), /insecure: .* writable by group or other \(perms=0664\)/);
    chmodSync(path, 0o644);
    assert.equal(parse(path).maxTtl, 1);
    assert.throws(() => parse(`${path}.not`), /Failed to open configuration file .*No such file/);
  });
});

test("munged --check-config prints each value and its source, in the form of a file", () => {
  withFile("max-ttl=600\nrealm=a=/keys/a\n", (path) => {
    const run = (config: string) =>
      spawnSync(process.execPath, [
        MAIN,
        "munged",
        `--config=${config}`,
        "--check-config",
        "--num-threads=5",
      ], { env: { PATH: process.env["PATH"], MUNGE_TTL: "42" }, encoding: "utf8" });
    const { status, stdout } = run(path);
    assert.equal(status, 0);
    const lines = stdout.split("\n").map((line) => line.replace(/ +/g, " "));
    assert(lines.includes(`max-ttl=600 # ${path}:1`));
    assert(lines.includes(`realm=a=/keys/a # ${path}:2`));
    assert(lines.includes("ttl=42 # environment variable MUNGE_TTL"));
    assert(lines.includes("num-threads=5 # command line"));
    assert(lines.includes("key-file=/etc/munge/munge.key # default"));
    writeFileSync(path, stdout);
    assert.equal(run(path).status, 0);
    writeFileSync(path, "nonsense\n");
    const failure = run(path);
    assert.equal(failure.status, 1);
    assert.equal(failure.stderr, `munged: Error: ${path}:1: Not of the form KEY=VALUE\n`);
  });
});
