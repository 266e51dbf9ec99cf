// auksd as a process: its checks before it serves and their exit statuses, signals, reloads without interruption, the
// background, and two daemons that want the same directory.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { after, before, it } from "node:test";
import { until } from "../harness/until.ts";
import { suite } from "../suite.ts";
import { Auksd, type AuksdOptions, PROGRAM } from "./auksd.ts";
import { AuksdSite } from "./auksd_site.ts";
import type { Speaker } from "./conversation.ts";
import { freePort, type Kdc, KDC_NEEDS } from "./kdc.ts";
import { RawConnection } from "./wire.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const ACL = "rule { principal = ^alice@REALM[.]A$ ; host = * ; role = user ; }\n";
const NOBODY = "rule { principal = ^nobody@REALM[.]A$ ; host = * ; role = user ; }\n";

suite("auksd as a process", KDC_NEEDS, () => {
  let site: AuksdSite;
  let kdc: Kdc;
  let alice: Speaker;

  before(async () => {
    site = await AuksdSite.start();
    kdc = site.kdc;
    alice = site.speakers["alice"]!;
  });

  after(() => site?.stop());

  function options(more: Partial<AuksdOptions> = {}): AuksdOptions {
    return { keytab: kdc.keytab("host/mngt.realm.a"), env: kdc.env, acl: ACL, ...more };
  }

  const ping = (auksd: Auksd) => alice.ask(auksd.port, { type: "ping" });

  it("a replay cache planted by another user is reported at startup, as it would refuse every client", async () => {
    const directory = join(kdc.directory, "replay");
    mkdirSync(directory);
    const planted = join(directory, `krb5_${process.geteuid!()}.rcache2`);
    symlinkSync("/dev/null", planted);
    const auksd = await Auksd.start(options({ env: { ...kdc.env, KRB5RCACHEDIR: directory } }));
    try {
      await auksd.logged(/krb5_\d+\.rcache2 is not a regular file: until it is removed/);
      await assert.rejects(ping(auksd), /auksd refuses/);
      rmSync(planted);
      assert.equal((await ping(auksd)).type, "ping");
      assert.doesNotMatch(auksd.run("--check-config").stderr, /rcache2/);
    } finally {
      await auksd.stop();
    }
  });

  it("mistakes in its settings are reported before it serves, each with its own status", async () => {
    const auksd = await Auksd.prepare(options());
    try {
      const refuse = (status: number, pattern: RegExp, more: Partial<AuksdOptions>) => {
        auksd.configure(options(more));
        for (const words of [["-F"], [], ["--check-config"]]) {
          const { status: found, stderr } = auksd.run(...words);
          assert.equal(found, status, `${words}: ${stderr}`);
          assert.match(stderr, pattern);
        }
      };
      refuse(63, /line \d+: .*unexpected/, { auksd: ";" });
      refuse(158, /unable to open keytab .*No such file|keytab.*not found/i, {
        keytab: join(kdc.directory, "none.keytab"),
      });
      refuse(201, /unable to open cachedir .*\/nowhere: No such file/, {
        auksd: "CacheDir = /nowhere ;",
      });
      refuse(146, /auks\.acl : line 1: "king" is not a role/, {
        acl: ACL.replace("user", "king"),
      });
      refuse(150, /\/nowhere\.acl : No such file/, { auksd: "ACLFile = /nowhere.acl ;" });
      refuse(30, /current host is not an auks server/, {
        common: "PrimaryHost = elsewhere ; SecondaryHost = elsewhere2 ;",
      });
      refuse(154, /does not set auksd's principal/, { common: 'PrimaryPrincipal = "" ;' });
      refuse(63, /block mungebox has no key "Dialekt"/, { own: "Dialekt = head ;" });
      auksd.configure(options());
      const { status, stdout } = auksd.run("--check-config");
      assert.equal(status, 0);
      assert.equal(stdout, `${auksd.config} is in order\n`);
      auksd.configure(options({ auksd: "Workers = 1000 ; RepoSize = 1000 ;" }));
      const noted = auksd.run("--check-config");
      assert.deepEqual(noted.stdout.match(/(Workers|RepoSize) has no effect/g)?.length, 2);
      assert.doesNotMatch(noted.stderr, /Workers|RepoSize/);
    } finally {
      await auksd.stop();
    }
  });

  const asRoot = { skip: process.getuid!() !== 0 };

  it(
    "a CacheDir below a directory of another user, or that belongs to one, is refused",
    asRoot,
    async () => {
      const auksd = await Auksd.prepare(options());
      const shared = join(auksd.directory, "shared");
      try {
        mkdirSync(join(shared, "cache"), { recursive: true, mode: 0o700 });
        auksd.configure(options({ auksd: `CacheDir = ${shared}/cache ;` }));
        assert.equal(auksd.run("--check-config").status, 0);
        for (const theirs of [join(shared, "cache"), shared]) {
          chownSync(theirs, 65_534, 65_534);
          for (const words of [["-F"], ["--check-config"]]) {
            const { status, stderr } = auksd.run(...words);
            assert.equal(status, 201, stderr);
            assert.match(stderr, new RegExp(`CacheDir is insecure: .*"${theirs}"`));
          }
          chownSync(theirs, 0, 0);
        }
      } finally {
        await auksd.stop();
      }
    },
  );

  it("a port in use: status 29, in the foreground and in the background", async () => {
    const auksd = await Auksd.start(options());
    try {
      for (const words of [["-F"], [], ["-v"]]) {
        const { status, stderr } = auksd.run(...words);
        assert.equal(status, 29, stderr);
        assert.match(stderr, /unable to create stream socket .*Address already in use/);
      }
      assert.deepEqual(await ping(auksd), { type: "ping" });
    } finally {
      await auksd.stop();
    }
  });

  it("only one auksd uses a directory", async () => {
    const auksd = await Auksd.start(options());
    const other = await Auksd.prepare(options({ cacheDir: auksd.cacheDir }));
    try {
      const { status, stderr } = other.run("-F");
      assert.equal(status, 201);
      assert.match(stderr, new RegExp(`pid ${auksd.pid} uses "${auksd.cacheDir}"`));
      auksd.signal("SIGTERM");
      assert.equal(await auksd.ended(), 0);
      assert(!existsSync(join(auksd.cacheDir, ".auksd.lock")));
    } finally {
      await auksd.stop();
      await other.stop();
    }
  });

  it("a start that fails late leaves no port, no lock and nothing that keeps its process alive", async () => {
    const auksd = await Auksd.prepare(options());
    const { config, port } = auksd;
    // A PID file can't be written there, which is found out after the port is bound and the directory locked.
    auksd.configure(options({ own: "PidFile = /proc/nowhere/auksd.pid ;" }));
    const start = { file: config, log: { kind: "stderr" }, background: false };
    const script = `
      import { readConfiguration } from "./daemon/auksd/configuration.ts";
      import { openListeners } from "./daemon/auksd/listeners.ts";
      import { serve } from "./daemon/auksd/service.ts";
      const start = { ...${JSON.stringify(start)}, configuration: readConfiguration("${config}") };
      const failure = await serve(start, () => console.log("serves")).catch(({ message }) => message);
      openListeners("127.0.0.1", "${port}", 1);
      console.log("free, after:", failure);`;
    try {
      const { status, signal, stdout, stderr } = spawnSync(process.execPath, ["-e", script], {
        cwd: ROOT,
        env: kdc.env,
        encoding: "utf8",
        timeout: 60_000,
      });
      assert.equal(signal, null, "it does not end by itself");
      assert.equal(status, 0, stderr);
      assert.match(stdout, /^free, after: Failed to check PIDfile dir "\/proc\/nowhere"/);
      assert.match(stderr, /stream created/);
      assert(!existsSync(join(auksd.cacheDir, ".auksd.lock")));
    } finally {
      await auksd.stop();
    }
  });

  it("TERM and INT stop it with status 0, whatever its clients are doing", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const auksd = await Auksd.start(options());
      const idle = await Promise.all(
        Array.from({ length: 20 }, () => RawConnection.open(auksd.port)),
      );
      const { connection } = await alice.connect(auksd.port);
      const begin = performance.now();
      auksd.signal(signal);
      assert.equal(await auksd.ended(), 0);
      assert(performance.now() - begin < 8_000); // idle clients are disconnected after 10 s
      assert.match(
        auksd.log,
        /asked to no longer accept requests\n.*connections dispatched\n.*connections pending\n.*auksd {5}: exiting\n$/,
      );
      for (const each of [...idle, connection]) each.close();
      await auksd.stop();
    }
  });

  it("completes its shutdown even if one step fails", async () => {
    const auksd = await Auksd.prepare(options());
    const [metricsFile, pidFile] = ["metrics", "pid"].map((name) => join(auksd.directory, name));
    auksd.configure(options({ own: `MetricsFile = ${metricsFile} ;\nPidFile = ${pidFile} ;` }));
    assert.equal(auksd.run().status, 0);
    const pid = Number(readFileSync(pidFile!, "utf8"));
    rmSync(metricsFile!);
    mkdirSync(metricsFile!);
    process.kill(pid, "SIGTERM");
    await until("auksd is gone", () => !existsSync(`/proc/${pid}`));
    const log = readFileSync(join(auksd.directory, "auksd.log"), "utf8");
    assert.match(
      log,
      /auksd {5}: Failed to remove metrics file ".*": Is a directory\n.*auksd {5}: exiting\n$/,
    );
    assert.deepEqual([pidFile!, join(auksd.cacheDir, ".auksd.lock")].filter(existsSync), []);
    await auksd.stop();
  });

  it("HUP puts a new ACL in force, even for open connections", async () => {
    const auksd = await Auksd.start(options());
    try {
      const open = await alice.connect(auksd.port);
      assert.deepEqual(await ping(auksd), { type: "ping" });
      const from = auksd.log.length;
      auksd.configure(options({ acl: NOBODY }));
      auksd.signal("SIGHUP");
      await auksd.logged(/initialization succeed[^]*creds removed/, from);
      await assert.rejects(ping(auksd), /closed/);
      open.connection.send(new Uint8Array(8));
      assert(await open.connection.closes());
    } finally {
      await auksd.stop();
    }
  });

  it("HUP with a mistake in a file changes nothing, and the port stays open", async () => {
    const auksd = await Auksd.start(options());
    try {
      const mistakes: readonly Partial<AuksdOptions>[] = [
        { auksd: ";" },
        { acl: "rule {" },
        { keytab: "/nowhere.keytab" },
        { auksd: "CacheDir = /nowhere ;" },
        { common: "PrimaryAddress = 192.0.2.1 ;" },
      ];
      for (const mistake of mistakes) {
        const from = auksd.log.length;
        auksd.configure(options(mistake));
        auksd.signal("SIGHUP");
        await auksd.logged(/SIGHUP changes nothing: /, from);
        assert.deepEqual(await ping(auksd), { type: "ping" });
      }
    } finally {
      await auksd.stop();
    }
  });

  it("HUP with another port and another CacheDir moves there", async () => {
    const auksd = await Auksd.start(options());
    try {
      const port = await freePort();
      const cacheDir = join(auksd.directory, "other");
      mkdirSync(cacheDir, { mode: 0o700 });
      const from = auksd.log.length;
      auksd.configure(options({
        common: `PrimaryPort = ${port} ;`,
        auksd: `CacheDir = ${cacheDir} ;`,
      }));
      auksd.signal("SIGHUP");
      await auksd.logged(/creds removed/, from);
      assert.deepEqual(await alice.ask(port, { type: "ping" }), { type: "ping" });
      await assert.rejects(ping(auksd), /ECONNREFUSED/);
    } finally {
      await auksd.stop();
    }
  });

  it("USR2 logs connections", async () => {
    const auksd = await Auksd.start(options());
    try {
      await ping(auksd);
      const from = auksd.log.length;
      const lines = /dispatcher: \d+ connections dispatched\n.*dispatcher: 0 connections pending/;
      // It may not have heard yet that the client is gone.
      await until("no connection is pending", () => {
        auksd.signal("SIGUSR2");
        return lines.test(auksd.log.slice(from));
      });
    } finally {
      await auksd.stop();
    }
  });

  it("in the background, it serves by the time the command returns, in CacheDir, with a PID file", async () => {
    const auksd = await Auksd.prepare(options());
    const pidFile = join(auksd.directory, "auksd.pid");
    auksd.configure(options({ own: `PidFile = ${pidFile} ;` }));
    const { status, stderr, stdout } = auksd.run();
    assert.equal(status, 0, stderr);
    assert.equal(stdout + stderr, "");
    const pid = Number(readFileSync(pidFile, "utf8"));
    try {
      assert.deepEqual(await ping(auksd), { type: "ping" });
      assert.equal(readlinkSync(`/proc/${pid}/cwd`), auksd.cacheDir);
      const limits = readFileSync(`/proc/${pid}/limits`, "utf8");
      assert.match(limits, /Max core file size +0 +0/);
      assert.match(readFileSync(join(auksd.directory, "auksd.log"), "utf8"), /stream created on/);
    } finally {
      process.kill(pid, "SIGTERM");
    }
    await until("auksd is gone", () => !existsSync(`/proc/${pid}`));
    assert(!existsSync(pidFile));
    await auksd.stop();
  });

  it("the command line: usage, and errors with a non-zero status", () => {
    const run = (...words: string[]) => {
      const [program = "", ...args] = [...PROGRAM, "auksd", ...words];
      return spawnSync(program, args, { encoding: "utf8" });
    };
    const help = run("-h");
    assert.equal(help.status, 0);
    assert.match(
      help.stdout,
      /^\nUsage : auksd \[-h\] \[-dv\] \[-F\] \[-f conffile\]\n\n\t-h\t\tshow this message\n \t-d\t\tincrease debug level/,
    );
    const wrong = run("-Z");
    assert.equal(wrong.status, 1);
    assert.equal(wrong.stderr, "auksd: invalid option -- 'Z'\n");
    assert.equal(run("-f").stderr, "auksd: option requires an argument -- 'f'\n");
  });

  it("-v reports a mistake in the configuration in the original's words", () => {
    const file = join(kdc.directory, "broken.conf");
    writeFileSync(file, ";\n");
    const [program = "", ...args] = [...PROGRAM, "auksd", "-v", "-f", file];
    const { stdout, status } = spawnSync(program, args, { encoding: "utf8", env: kdc.env });
    assert.equal(status, 63);
    assert.match(
      stdout,
      /\[INFO1\] \[euid=\d+,pid=\d+\] auksd_engine: unable to parse configuration file .*broken\.conf : line 1: ';' unexpected \(syntax error\)\n.*exiting : unable to parse configuration file\n$/,
    );
    rmSync(file);
  });
});
