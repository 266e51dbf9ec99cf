// The recorded command lines of the real AUKS (reference/commands.json) on three nodes with a real KDC and our auksd:
// each prints what the original prints, followed by a reason if it fails, and exits with the same status. DIFFERENT
// lists the deliberate exceptions, with reasons.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ChildProcess } from "node:child_process";
import { after, before, it } from "node:test";
import { suite } from "../suite.ts";
import { type Difference, DIFFERENT } from "./command_differences.ts";
import { answers } from "./auksd.ts";
import { freePort, Kdc, KDC_NEEDS, PASSWORD } from "./kdc.ts";
import { type CommandResult, Node, NODE_NEEDS, type Output } from "./nodes.ts";
import { until } from "../harness/until.ts";

interface Row {
  readonly n: number;
  readonly section: string;
  readonly node: "mngt" | "login" | "compute";
  readonly account: string;
  readonly KRB5CCNAME?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly command: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
  readonly seconds?: number;
  readonly "ended by"?: string;
  readonly "auksd log"?: readonly string[];
  readonly afterwards?: Readonly<Record<string, string>>;
}

const { commands } = JSON.parse(
  readFileSync(join(import.meta.dirname, "reference/commands.json"), "utf8"),
) as { commands: readonly Row[] };

const RULE = "RULE:[2:$1/$2@$0](^host/.*@REALM\\.A$)s/.*/root/";
/** The ports of the recorded daemon. */
const RECORDED_PORT = /(primary daemon port is |mngt:)12345/;
/** The port of other configurations. */
const OTHER_PORT = 12_347;
/** How long a program that prints nothing runs before it gets a signal. */
const SILENT_S = 1.6;
/** After the last line that it prints before a signal. */
const SETTLED_S = 0.3;

/** Typing errors in the original's usage that ours corrects. */
const USAGE_CORRECTIONS: readonly (readonly [string, string])[] = [
  ["[-r|--remove [-D|--dump]", "[-r|--remove] [-D|--dump]"],
  [
    "-C --ccache ccache\tConfiguration file",
    "-C --ccache ccache\tCredential cache to read or to fill",
  ],
  ["forground", "foreground"],
];

suite("command lines of AUKS", { ...KDC_NEEDS, ...NODE_NEEDS }, () => {
  let kdc: Kdc;
  let port: number;
  const nodes: Record<Row["node"], Node> = Object.create(null);
  let daemon: ChildProcess | undefined;
  let daemonLog = "";

  before(async () => {
    kdc = await Kdc.start({
      realmLines: [`auth_to_local = ${RULE}`, "auth_to_local = DEFAULT"],
      users: ["bob/admin", "bob-x"],
    });
    port = await freePort();
    const files = configurations(port, readFileSync(join(kdc.directory, "krb5.conf"), "utf8"));
    for (const name of ["mngt", "login", "compute"] as const) {
      nodes[name] = await Node.start(name, kdc, files);
      nodes[name].write("/tmp/secret.conf", files["/etc/auks/auks.conf"]!, 0o600);
      for (const [path, script] of Object.entries(SCRIPTS)) nodes[name].write(path, script, 0o755);
      await root(name, "mkdir -m 700 /tmp/cache");
      await root(name, `kinit -k -c /tmp/krb5cc_0 host/${name}.realm.a`);
    }
  });

  after(async () => {
    daemon?.kill("SIGKILL");
    for (const node of Object.values(nodes)) node.stop();
    await kdc?.stop();
  });

  /** Runs a command that the test itself needs. */
  async function root(node: Row["node"], command: string, account = "root"): Promise<string> {
    const { status, out, err } = await nodes[node].run(command, { account });
    assert.equal(status, 0, `${command}: ${err}`);
    return out;
  }

  /** Gets a ticket into a cache of the login node. */
  async function ticket(cache: string, principal: string, account: string, options = "") {
    const password = `echo '${PASSWORD}' |`;
    await root("login", `${password} kinit -c /tmp/${cache} ${options} ${principal}`, account);
  }

  async function startDaemon(): Promise<void> {
    daemonLog = "";
    daemon = nodes.mngt.start("exec auksd -F", { account: "root" });
    daemon.stderr!.on("data", (text) => daemonLog += text);
    for (let i = 0; i < 2000 && !daemonLog.includes("listening queue"); i++) await pause(0.05);
    assert.match(daemonLog, /listening queue/);
  }

  async function stopDaemon(): Promise<void> {
    const ended = new Promise((resolve) => daemon!.once("exit", resolve));
    daemon!.kill("SIGTERM");
    await ended;
    daemon = undefined;
  }

  /** Prepares what a section needs. */
  const PREPARE: Readonly<Record<string, () => Promise<void>>> = {
    "auks without a ccache": startDaemon,
    "auks with a ticket": () => ticket("krb5cc_bob", "bob", "bob"),
    "two users, an admin": async () => {
      await ticket("krb5cc_alice", "alice", "alice");
      await root("login", "install -m 644 /tmp/krb5cc_alice /tmp/readable");
    },
    "tickets that do not do": async () => {
      await ticket("krb5cc_short", "bob", "bob", "-l 1");
      await ticket("krb5cc_svc", "bob", "bob", "-S host/mngt.realm.a@REALM.A");
      await ticket("krb5cc_ghost", "ghost", "root");
      await ticket("krb5cc_badm", "bob/admin", "root");
      await ticket("krb5cc_bobx", "bob-x", "root");
      await pause(2);
    },
    "renewing": async () => {
      await ticket("krb5cc_500", "bob", "bob", "-l 500");
      await ticket("fresh_603", "bob", "bob", "-l 603");
      await root("login", "cp /tmp/krb5cc_bob /tmp/longer", "bob");
      await ticket("krb5cc_nr", "bob", "bob", "-l 603 -r 603");
      await pause(4);
    },
    "no daemon": async () => {
      await stopDaemon();
      // The recording does not show how long they wait from here on.
      await root("login", `sed -i 's/Delay = "3"/Delay = "1"/' /etc/auks/auks.conf /tmp/*.conf`);
    },
    "auksdrenewer": async () => {
      await root("mngt", "cp /tmp/krb5cc_0 /tmp/krb5cc_priv");
    },
  };

  const seen = new Set<string>();

  async function prepare(row: Row): Promise<void> {
    if (!seen.has(row.section)) await PREPARE[row.section]?.();
    seen.add(row.section);
    if (row.command.includes("krb5cc_603")) {
      await root("login", "cp /tmp/fresh_603 /tmp/krb5cc_603", "bob");
    }
    if (row.n === 176) await startDaemon();
    if (row.n === 178 || row.n === 182) await stopDaemon();
    if (row.n === 181) await startDaemon();
    if (row.section === "auksdrenewer") await prepareRenewer(row.n);
  }

  /** For the renewer's rows, the daemon has bob's ticket and, from row 195 on, one of alice's that is due. */
  async function prepareRenewer(n: number): Promise<void> {
    if (n === 187) {
      await startDaemon();
      await root("login", "KRB5CCNAME=/tmp/krb5cc_bob auks -a", "bob");
    }
    if (n === 195) {
      await ticket("krb5cc_alice", "alice", "alice", "-l 602");
      await root("login", "KRB5CCNAME=/tmp/krb5cc_alice auks -a", "alice");
      await pause(3);
    }
  }

  /** Whether a program has done what it does before its next signal, which is number `at`. */
  async function isDue(row: Row, at: number, { out, err }: Output): Promise<boolean> {
    const said = out + err;
    if (row.section === "auksd") {
      if (at === 0) {
        return await answers(row.command.includes("quiet.conf") ? OTHER_PORT : port);
      }
      return (said.match(/repo cleaned|connections pending/g)?.length ?? 0) > at;
    }
    return said.split("\n").length > linesBefore(row, at);
  }

  async function perform(row: Row, log: () => string): Promise<CommandResult> {
    const { account, KRB5CCNAME, environment = {} } = row;
    const ending = DIFFERENT[row.n]?.endedBy ?? row["ended by"] ?? "";
    const signals = ending.split("+").filter((name) => name.startsWith("SIG"));
    const isSilent = row.section !== "auksd" && linesBefore(row, 0) === 0;
    const settle = async () => {
      await pause(isSilent ? SILENT_S : SETTLED_S);
      return true;
    };
    // Signals go to the program, not to the shell.
    const command = signals.length === 0
      ? row.command
      : row.command.replace(/^((?:\w+=\S+ )*)/, "$1exec ");
    const result = await nodes[row.node].run(command, {
      account,
      environment: {
        ...KRB5CCNAME === undefined ? {} : { KRB5CCNAME },
        ...environment,
        [MARK]: mark(row),
      },
      signals: signals.map((name, at) => ({
        name: name as NodeJS.Signals,
        isDue: async (output) =>
          await isDue(row, at, output) && requestsOf(row).every((said) => log().includes(said)) &&
          await settle(),
      })),
    });
    if (!Object.keys(environment).some((name) => name.endsWith("_INT"))) return result;
    // It may have reported once more before it got the signal.
    const lines = result.out.split("\n").slice(0, linesBefore(row, 0));
    return { ...result, out: lines.map((line) => `${line}\n`).join("") };
  }

  for (const row of commands) {
    it(`${row.n}: ${row.command}`, async () => {
      await prepare(row);
      const from = daemonLog.length;
      const log = () => daemonLog.slice(from);
      const result = await perform(row, log);
      if (row.section === "auksd") checkAuksd(row, result);
      else check(row, result, port);
      await endBackground(row);
      for (const said of requestsOf(row)) await until(said, () => log().includes(said));
      for (const [command, expected] of Object.entries(row.afterwards ?? {})) {
        const different = DIFFERENT[row.n]?.afterwards;
        if (different === "not compared") continue;
        const { KRB5CCNAME = "" } = row;
        const { out } = await nodes[row.node].run(command, {
          account: row.account,
          environment: { KRB5CCNAME },
        });
        assert.equal(
          out.replace(/\d\d\/\d\d\/\d\d \d\d:\d\d:\d\d/g, "DATE-AND-TIME")
            .replace("Flags: FRIA", "Flags: FRI"), // this KDC requires pre-authentication
          different ?? expected,
          command,
        );
      }
    });
  }
});

/** Marks the processes of a row. */
const MARK = "MUNGEBOX_TEST_ROW";
const mark = ({ n }: Row) => `${process.pid}-${n}`;

/** Ends what a row left in the background: one process where the original leaves one. */
async function endBackground(row: Row): Promise<void> {
  const later = (row as { "a moment later"?: { running?: number } })["a moment later"];
  if (later === undefined) return;
  await until("processes in the background", () => processesOf(mark(row)).length === later.running);
  await pause(1); // exactly these stay
  const pids = processesOf(mark(row));
  assert.equal(pids.length, later.running, "processes in the background");
  for (const pid of pids) process.kill(pid, "SIGTERM");
  for (let i = 0; i < 2000 && processesOf(mark(row)).length > 0; i++) await pause(0.05);
  assert.deepEqual(processesOf(mark(row)), [], "it ends on SIGTERM");
}

function processesOf(value: string): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, "latin1").includes(`${MARK}=${value}\0`);
    } catch {
      return false; // it has ended
    }
  }).map(Number);
}

/** Lines about threads and sockets, which differ in ours. */
const OF_THREADS =
  /worker|stacksize|stream created|listening queue|connections pending|connections dispatched/;

/** Compares auksd's status, and the log lines about its progress and why it ended. */
function checkAuksd(row: Row, { status, out, err }: CommandResult): void {
  const expected = DIFFERENT[row.n]?.status ?? row.status;
  assert.equal(status, expected, err);
  const said = masked(out + err);
  if (DIFFERENT[row.n] !== undefined) return;
  const lines = (row.stdout + row.stderr).split("\n").filter((line) => line !== "");
  if (expected !== 0) {
    const reason = / exiting : (.*)$/.exec(lines.at(-1) ?? "")?.[1];
    assert(said.includes(reason ?? "auksd: Error: "), said);
    return;
  }
  for (const line of lines) {
    if (OF_THREADS.test(line)) continue;
    const known = corrected(line).replace(/:? ?12345.*$/, "");
    assert(said.includes(known), `${known}; ${said}`);
  }
}

/** Compares a command's outcome with the recorded one, or with the deliberate difference. */
function check(row: Row, result: CommandResult, port: number): void {
  const different: Partial<Difference> = DIFFERENT[row.n] ?? {};
  const recorded = corrected(row.stdout).replace(RECORDED_PORT, `$1${port}`);
  const out = different.out?.replace(/^succeeds$/, `${recorded}Auks API request succeed\n`) ??
    recorded;
  const err = different.err ?? row.stderr;
  const usage = row.stdout.includes("Usage") ? upTo(out) : (text: string) => text;
  assert.equal(usage(masked(result.out)), out, `standard output; standard error: ${result.err}`);
  if (err instanceof RegExp) assert.match(masked(result.err), err);
  else assert.equal(withoutReasons(masked(result.err)), err, "standard error");
  assert.equal(result.status, different.status ?? row.status, `status; ${result.err}`);
  if (row.seconds !== undefined && row.section !== "no daemon") {
    assert(result.seconds < row.seconds, `the original waits, ours need not: ${result.seconds} s`);
  }
}

/** Our usage has additional options after the original's. */
function upTo(expected: string): (text: string) => string {
  const known = expected.split("\n").filter((line) => line.trim() !== "");
  return (text) => known.every((line) => text.split("\n").includes(line)) ? expected : text;
}

function corrected(usage: string): string {
  return USAGE_CORRECTIONS.reduce((text, [wrong, right]) => text.replaceAll(wrong, right), usage);
}

function masked(text: string): string {
  return text
    .replace(/^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?:\S+ )?\d{4}(?= \[)/gm, "TIME")
    .replace(/pid=\d+/g, "pid=PID")
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}/g, "ISO-TIME")
    .replace(/(?<= in ~)\d+(?=s$)/gm, "0"); // as recorded, in less than a second
}

/** Our messages add a reason to the original's. */
function withoutReasons(text: string): string {
  return text.replace(/^((?:Auks API|TIME) .*?) \((?!client side).*\)$/gm, "$1");
}

/** What the daemon logs about a row's requests, which scripts look for. */
function requestsOf(row: Row): string[] {
  if (DIFFERENT[row.n] !== undefined || row.section === "auksd") return [];
  return (row["auksd log"] ?? []).flatMap((line) =>
    /worker\[\d+(\] : .* request (?:succeed|failed : .*))$/.exec(line)?.[1] ?? []
  );
}

/** The number of lines that a program prints before signal number `at`. */
function linesBefore(row: Row, at: number): number {
  const { out = row.stdout, err = row.stderr } = DIFFERENT[row.n] ?? {};
  const text = out + (typeof err === "string" ? err : "");
  const ends = [...text.matchAll(/^.* ending main loop$/gm)];
  return text.slice(0, ends[at]?.index).split("\n").length - 1;
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

const SCRIPTS: Readonly<Record<string, string>> = {
  "/tmp/helper-true": "#!/bin/sh\n" +
    '{ echo "arguments: $#"; echo "KRB5CCNAME=$KRB5CCNAME"; id -u; pwd; } >/tmp/helper.out\n',
};

/** The files of the nodes (commands.json, "setting"). */
function configurations(port: number, krb5: string): Record<string, string> {
  const common = {
    PrimaryHost: "mngt",
    PrimaryPort: `${port}`,
    PrimaryPrincipal: "host/mngt.realm.a@REALM.A",
    NAT: "yes",
    Retries: "3",
    Timeout: "10",
    Delay: "3",
  };
  const api = {
    LogFile: "/tmp/auksapi.log",
    LogLevel: "0",
    DebugFile: "/tmp/auksapi.log",
    DebugLevel: "0",
  };
  const auksd = {
    PrimaryKeytab: "/etc/krb5.keytab",
    LogFile: "/tmp/auksd.log",
    LogLevel: "2",
    DebugFile: "/tmp/auksd.log",
    DebugLevel: "0",
    CacheDir: "/tmp/cache",
    ACLFile: "/etc/auks/auksd.acl",
    QueueSize: "500",
    RepoSize: "1000",
    Workers: "4",
    CleanDelay: "300",
    ReplayCache: "no",
  };
  const renewer = {
    LogFile: "/tmp/auksdrenewer.log",
    LogLevel: "1",
    DebugFile: "/tmp/auksdrenewer.log",
    DebugLevel: "0",
    Delay: "60",
    MinLifeTime: "600",
  };
  type Blocks = Record<string, Record<string, string> | undefined>;
  const format = (blocks: Blocks) =>
    Object.entries(blocks).filter(([, block]) => block !== undefined).map(([name, block]) =>
      `${name} {\n${
        Object.entries(block!).map(([key, value]) => ` ${key} = "${value}" ;\n`).join("")
      }}\n`
    ).join("");
  const conf = (changes: Blocks = {}, left: readonly string[] = []) => {
    const blocks: Blocks = { common, api, auksd, renewer };
    for (const [name, block] of Object.entries(changes)) {
      blocks[name] = { ...blocks[name], ...block };
    }
    for (const name of left) blocks[name] = undefined;
    return format(blocks);
  };
  const { PrimaryPrincipal: _principal, ...unnamed } = common;
  const rule = (principal: string, role: string) =>
    `rule { principal = ${principal} ; host = * ; role = ${role} ; }\n`;
  return {
    "/etc/auks/auks.conf": conf(),
    "/etc/auks/auksd.acl": rule("^host/mngt.realm.a@REALM.A$", "admin") +
      rule("^host/compute.realm.a@REALM.A$", "admin") + rule("^[[:alnum:]]*@REALM.A$", "user"),
    "/tmp/wrong-port.conf": conf({ common: { PrimaryPort: "9" } }),
    "/tmp/one-try.conf": conf({ common: { Retries: "1" } }),
    "/tmp/retries-0.conf": conf({ common: { Retries: "0" } }),
    "/tmp/timeout-0.conf": conf({ common: { Timeout: "0" } }),
    "/tmp/wrong-host.conf": conf({ common: { PrimaryHost: "nowhere.invalid" } }),
    "/tmp/no-route.conf": conf({ common: { PrimaryHost: "192.0.2.1" } }),
    "/tmp/wrong-princ.conf": conf({ common: { PrimaryPrincipal: "host/nobody.realm.a@REALM.A" } }),
    "/tmp/other-princ.conf": conf({ common: { PrimaryPrincipal: "host/login.realm.a@REALM.A" } }),
    "/tmp/seed-princ.conf": conf({ common: { PrimaryPrincipal: "host/mngt.realm.a/REALM.A" } }),
    "/tmp/no-princ.conf": format({ common: unnamed, api, auksd, renewer }),
    "/tmp/nat-no.conf": conf({ common: { NAT: "no" } }),
    "/tmp/broken.conf": "common { a = ; }\n",
    "/tmp/no-api.conf": conf({}, ["api"]),
    "/tmp/empty.conf": "",
    "/tmp/loud.conf": conf({ api: { LogFile: "/tmp/loud.log", LogLevel: "5" } }),
    "/tmp/helper-true.conf": conf({ api: { HelperScript: "/tmp/helper-true" } }),
    "/tmp/helper-false.conf": conf({ api: { HelperScript: "/bin/false" } }),
    "/tmp/helper-missing.conf": conf({ api: { HelperScript: "/nowhere" } }),
    // Recorded with 86300, with which a ticket of 24 hours is due after 100 s, as long as this test may take to get there.
    "/tmp/min25h.conf": conf({ renewer: { MinLifeTime: "82800" } }),
    "/tmp/min1.conf": conf({ renewer: { MinLifeTime: "0" } }),
    "/tmp/bad-acl.conf": conf({ auksd: { ACLFile: "/tmp/bad.acl" } }),
    "/tmp/bad.acl": rule("*", "boss"),
    "/tmp/no-acl.conf": conf({ auksd: { ACLFile: "/nowhere/auks.acl" } }),
    "/tmp/other-host.conf": conf({
      common: { PrimaryHost: "elsewhere", SecondaryHost: "elsewhere2" },
    }),
    "/tmp/no-cachedir.conf": conf({
      common: { PrimaryPort: `${OTHER_PORT}` },
      auksd: { CacheDir: "/nowhere/cache" },
    }),
    "/tmp/quiet.conf": conf({ common: { PrimaryPort: `${OTHER_PORT}` }, auksd: { LogLevel: "0" } }),
    "/tmp/no-keytab.conf": conf({ auksd: { PrimaryKeytab: "/nowhere/krb5.keytab" } }),
    "/tmp/ren3.conf": conf({ renewer: { LogLevel: "3" } }),
    "/tmp/k5.norule": krb5.replace(/\n.*RULE.*/, ""),
    "/tmp/k5.nokdc": krb5.replace(/\bkdc = \d.*/, "kdc = 127.0.0.1:9"),
  };
}
