// The way to the store: TLS with an authority of the site's own, an ACL user with just the rights that munged needs, and a
// password that is in no place where others could see it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Host, Hosts, outcome, until } from "./hosts.ts";
import { hasRedis, Redis } from "./redis.ts";

const PASSWORD = "correct:horse@battery/staple %";
/** What docs/replays.md tells administrators to allow. */
const RULES = ["~munge:*", "+set", "+get", "+pexpire", "+wait", "+info", "+time"];
const options = { skip: !hasRedis || !existsSync("/usr/bin/openssl") };

const directory = mkdtempSync("/tmp/replay-store-tls-");
const file = (name: string) => join(directory, name);
let redis: Redis;

/** Runs openssl. */
function openssl(...args: readonly string[]): void {
  const { status, stderr } = spawnSync("openssl", args, { cwd: directory });
  assert.equal(status, 0, stderr.toString());
}

/** Makes an authority and a certificate of a server at this address. */
function makeCertificates(): void {
  for (const authority of ["ca", "other"]) {
    const names = ["-keyout", `${authority}.key`, "-out", `${authority}.crt`];
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", `/CN=${authority}`, ...names);
  }
  openssl(
    ...["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=store"],
    ...["-keyout", "server.key", "-out", "server.csr"],
  );
  writeFileSync(file("names"), "subjectAltName=IP:127.0.0.1");
  openssl(
    ...["x509", "-req", "-in", "server.csr", "-out", "server.crt", "-extfile", "names"],
    ...["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"],
  );
}

function setPassword(password: string): void {
  redis.command("ACL", "SETUSER", "munge", "reset", "on", `>${password}`, ...RULES);
  writeFileSync(file("password"), `${password}\nthe rest is not read\n`, { mode: 0o600 });
}

before(async () => {
  if (options.skip) return;
  chmodSync(directory, 0o755);
  makeCertificates();
  const tls = ["--tls-cert-file", file("server.crt"), "--tls-key-file", file("server.key")];
  const authority = ["--tls-ca-cert-file", file("ca.crt"), "--tls-auth-clients", "no"];
  redis = await Redis.start({
    tls: true,
    args: [...tls, ...authority],
    cli: ["--tls", "--cacert", file("ca.crt")],
  });
  setPassword(PASSWORD);
  redis.command(
    "ACL",
    "SETUSER",
    "default",
    "nopass",
    "-@all",
    "+ping",
    "+acl",
    "+client",
    "+config",
  );
});
after(async () => {
  await redis?.close();
  rmSync(directory, { recursive: true });
});

/** Options for that store. */
const login = (...changes: readonly string[]) => [
  `--replay-store=rediss://munge@127.0.0.1:${redis.port}`,
  `--replay-store-ca-file=${file("ca.crt")}`,
  `--replay-store-password-file=${file("password")}`,
  "--timestamp-drift-max=0",
  ...changes,
];

test("TLS, an ACL user and a password from a file", options, async () => {
  const hosts = await Hosts.start(login("--replay-store-replicas=0"));
  try {
    await hosts.connected();
    const [a, b] = hosts.hosts as [Host, Host];
    const credential = await a.munge.encode();
    assert.equal(await outcome(a, credential), "ok");
    assert.equal(await outcome(b, credential), "EMUNGE_CRED_REPLAYED");
    const doctor = (...changes: string[]) => {
      const { munged } = a;
      const args = ["doctor", `--socket=${munged.socket}`, ...login(...changes)];
      const { out } = hosts.realm.run("ours", "mungebox", args);
      assert(!out.includes("horse"));
      return out.split("\n").filter((line) => line.includes("replay store")).join("\n");
    };
    assert.match(
      doctor(),
      /^ok +replay store +The replay store .*:\d+ \(7[.\d]+\) answers in \d+ ms/,
    );
    const wrong = `--replay-store=rediss://root@127.0.0.1:${redis.port}`;
    assert.match(doctor(wrong), /problem +replay store .*WRONGPASS.*: credentials are refused/);
    assert.match(
      doctor(wrong, "--replay-store-policy=host"),
      /^warning +replay store .*WRONGPASS/m,
    );
    assert.match(doctor("--replay-store-replicas=2"), /warning .* has 0 of the 2 replicas/);
    // A new password is used for the next connection.
    setPassword("another one");
    redis.command("CLIENT", "KILL", "USER", "munge");
    await until(() =>
      [0, 1].every((host) => {
        const { connects, reachable } = hosts.status(host).replay_store!;
        return connects > 1 && reachable;
      })
    );
    assert.equal(await outcome(b, await a.munge.encode()), "ok");
    for (const { munged } of hosts.hosts) {
      const command = readFileSync(`/proc/${munged.process.pid}/cmdline`, "latin1");
      const environment = readFileSync(`/proc/${munged.process.pid}/environ`, "latin1");
      for (const text of [command, environment, munged.log(), JSON.stringify(hosts.status(0))]) {
        assert(!text.includes("horse") && !text.includes("another one"));
      }
    }
  } finally {
    setPassword(PASSWORD);
    await hosts.close();
  }
});

for (
  const [what, change, reason] of [
    ["another authority", () => [`--replay-store-ca-file=${file("other.crt")}`], /certificate/i],
    [
      "a name that is not in the certificate",
      () => [`--replay-store=rediss://munge@localhost:${redis.port}`],
      /certificate|altnames/i,
    ],
    [
      "no TLS",
      () => [`--replay-store=redis://munge@127.0.0.1:${redis.port}`],
      /closed|reset by peer/,
    ],
    ["another user", () => [`--replay-store=rediss://root@127.0.0.1:${redis.port}`], /WRONGPASS/],
  ] as const
) {
  test(`the store is not asked with ${what}, and the log says why`, options, async () => {
    const hosts = new Hosts();
    try {
      const host = await hosts.add(login(...change()));
      await until(() => /Replay store is unavailable/.test(host.munged.log()));
      assert.match(/Replay store is unavailable: .*/.exec(host.munged.log())![0], reason);
      assert.equal(await outcome(host, await host.munge.encode()), "EMUNGE_SNAFU");
      assert(!host.munged.log().includes("horse"));
    } finally {
      await hosts.close();
    }
  });
}

test(
  "a password file that others can read, and one without a password, are refused",
  options,
  async () => {
    const open = file("open");
    writeFileSync(open, "x\n", { mode: 0o644 });
    chmodSync(open, 0o644);
    writeFileSync(file("empty"), "\nx\n", { mode: 0o600 });
    const hosts = new Hosts();
    try {
      for (
        const [path, reason] of [
          [open, /Password file is insecure: .* should not be readable or writable by group/],
          [file("empty"), /No password in the first line of/],
          [file("missing"), /Failed to find password file .*: No such file or directory\n/],
        ] as const
      ) {
        await assert.rejects(hosts.add(login(`--replay-store-password-file=${path}`)), reason);
      }
    } finally {
      await hosts.close();
    }
  },
);
