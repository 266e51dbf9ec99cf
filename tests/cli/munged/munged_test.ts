// munged's command line: defaults, values and errors.
import { test } from "node:test";
import assert from "node:assert/strict";
import { parseArguments } from "../../../cli/munged/munged.ts";
import { formatStore } from "../../../cli/munged/store_values.ts";
import { DEFAULTS } from "../../../daemon/munged/config.ts";
import { scopeOf } from "../../../daemon/munged/replay_store/scope.ts";

// Independent of the environment and of the machine's configuration file.
const parse = (...args: string[]) => parseArguments("munged", args);

test("munged without options has the defaults", () => {
  assert.deepEqual(parse(), DEFAULTS);
});

test("paths are relative to the start directory; the replay cache is beside the seed file, and realms are beside the key", () => {
  const config = parse("-S", "./sock", "--seed-file=/x/y/seed", "--key-file", "k");
  assert.equal(config.socketPath, `${process.cwd()}/./sock`);
  assert.equal(config.keyFile, `${process.cwd()}/k`);
  assert.equal(config.replayDir, "/x/y/munged.replay");
  assert.equal(config.realmDir, `${process.cwd()}/realms`);
  assert.equal(parse("--key-file=/k/key", "--realm-dir=/r").realmDir, "/r");
  assert.equal(parse("--replay-dir=/r", "--seed-file=/x/seed").replayDir, "/r");
  assert.equal(parse("--no-replay-dir").replayDir, null);
});

test("flags and numbers are accepted", () => {
  const config = parse("-fFMsv", "--max-ttl= 5", "--num-threads=+3", "--group-update-time=-1");
  const { force, foreground, mlockall, stop, verbose, maxTtl, numThreads, groupUpdateTime } =
    config;
  assert.deepEqual([force, foreground, mlockall, stop, verbose], [true, true, true, true, true]);
  assert.deepEqual([maxTtl, numThreads, groupUpdateTime], [5, 3, -1]);
  assert.equal(parse("--group-check-mtime=0").groupCheckMtime, false);
  assert.equal(parse("--group-check-mtime=-1").groupCheckMtime, true);
  assert.equal(parse("--listen-backlog=-1").listenBacklog, -1);
  assert.equal(parse().maxPayload, 2 ** 20);
  for (const [size, bytes] of [["1048576", 2 ** 20], ["8M", 2 ** 23], ["2000k", 2e6]] as const) {
    assert.equal(parse(`--max-payload=${size}`).maxPayload, bytes);
  }
  assert.equal(parse("--max-payload=65536K").maxPayload, 64 * 2 ** 20);
  assert.equal(parse("--trusted-group=0").trustedGroup, 0);
});

for (
  const [option, ...values] of [
    ["max-ttl", "", "x", "0", "3601", "-1", "10x", "99999999999999999999"],
    ["max-payload", "", "0", "-8M", "1048575", "1M1", "8MiB", "8 M", "65M", "67108865", "M", "1G"],
    ["num-threads", "0", "-1", "99999999999"],
    ["group-update-time", "2147483648", "x"],
    ["group-check-mtime", "yes", ""],
    ["listen-backlog", "-2", "x"],
    ["trusted-group", "no such group", "-1", "4294967295", ""],
  ] as const
) {
  test(`a bad value for ${option} is refused`, () => {
    for (const value of values) {
      assert.throws(() => parse(`--${option}=${value}`), {
        errno: 1,
        message: `Invalid value "${value}" for ${option}`,
      });
    }
  });
}

test("the URLs of a replay store say what kind of store it is", () => {
  const store = (value: string) => parse(`--replay-store=${value}`).replayStore!;
  const plain = { kind: "single", tls: false, user: "", master: "" };
  assert.deepEqual(store("redis://h"), { ...plain, servers: [{ host: "h", port: 6379 }] });
  assert.deepEqual(store("rediss://m%40x@[::1]:7"), {
    ...plain,
    tls: true,
    user: "m@x",
    servers: [{ host: "::1", port: 7 }],
  });
  assert.deepEqual(store("redis+sentinel://a/m,redis+sentinel://b:1/m"), {
    ...plain,
    kind: "sentinel",
    servers: [{ host: "a", port: 26379 }, { host: "b", port: 1 }],
    master: "m",
  });
  assert.equal(store("rediss+cluster://a,rediss+cluster://b").kind, "cluster");
  for (const text of ["redis://h:6379", "rediss+sentinel://u%2Fv@[fe80::1]:1/m"]) {
    assert.equal(formatStore(store(text)), text);
  }
});

test("a bad URL of a replay store is refused, and never printed", () => {
  for (
    const [value, reason] of [
      ["redis://u:hunter2@h", "It contains a password; use --replay-store-password-file"],
      ["redis://:hunter2@h", "It contains a password; use --replay-store-password-file"],
      ["redis://h,redis://g", "Several stand-alone servers"],
      ["redis+cluster://h,rediss+cluster://g", "differ in more than host and port"],
      ["redis+sentinel://h", "No master name"],
      ["redis://h/0", "Text after the host"],
      ["http://hunter2", "Not of the form redis|rediss|"],
      ["redis://h:0", "Not of the form"],
      ["redis://h:65536", "Not of the form"],
      ["redis://%zz@h", "not valid percent-encoding"],
      ["", "Not of the form"],
    ]
  ) {
    assert.throws(() => parse(`--replay-store=${value}`), ({ message }: Error) => {
      assert.match(message, /^Invalid value for replay-store: /);
      assert(message.includes(reason!), message);
      return !message.includes("hunter2");
    });
  }
});

test("the scope of replays is set for all realms, or for one", () => {
  const scopes = (...args: string[]) =>
    parse(...args.map((value) => `--replay-scope=${value}`)).replayScopes;
  assert.equal(scopeOf([], "x"), "realm");
  assert.equal(scopeOf(scopes("host"), "x"), "host");
  const some = scopes("host", "x=host", "x=realm");
  assert.deepEqual(["x", "y", ""].map((realm) => scopeOf(some, realm)), ["realm", "host", "host"]);
  for (const bad of ["realms", "x=", "=host", "x=y=host", "x=all"]) {
    assert.throws(() => scopes(bad), new RegExp(`Invalid value "${bad}" for replay-scope`));
  }
  assert.throws(() => parse("--replay-store-policy=accept"), /for replay-store-policy/);
  assert.throws(() => parse("--replay-store-timeout=1501"), /for replay-store-timeout/);
});
