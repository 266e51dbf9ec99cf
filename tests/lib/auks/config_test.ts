// auks.conf: how the real programs interpret each reference file, and where ours differs on purpose.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  clientConfig,
  type CommonConfig,
  daemonConfig,
  daemonRole,
} from "../../../lib/auks/config.ts";
import { AuksError } from "../../../lib/auks/errors.ts";
import { parseBlocks } from "../../../lib/auks/grammar.ts";

const FOLDER = join(import.meta.dirname, "../../auks/reference/configs");

interface Recorded {
  readonly accepted: boolean;
  readonly status?: number;
  readonly values?: Readonly<Record<string, string | number | boolean>>;
  readonly role?: string;
  readonly "log at -vvv"?: readonly string[];
  readonly "log at -vvvv"?: readonly string[];
}

const bytesOf = (text: string) => new TextEncoder().encode(text);
const client = (text: string) => clientConfig(parseBlocks(bytesOf(text), "FILE"), { file: "FILE" });
const daemon = (text: string) => daemonConfig(parseBlocks(bytesOf(text), "FILE"), { file: "FILE" });

/** The error that `run` throws. */
function failure(run: () => unknown): AuksError {
  try {
    run();
  } catch (error) {
    if (error instanceof AuksError) return error;
    throw error;
  }
  assert.fail("it should have failed");
}

function commonValues({ primary, secondary, ...common }: CommonConfig) {
  return {
    PrimaryHost: primary.host,
    PrimaryAddress: primary.address,
    PrimaryPort: primary.port,
    PrimaryPrincipal: primary.principal,
    // Ours has no secondary by default.
    SecondaryHost: secondary?.host ?? "localhost",
    SecondaryAddress: secondary?.address ?? "localhost",
    SecondaryPort: secondary?.port ?? "12345",
    SecondaryPrincipal: secondary?.principal ?? "",
    NAT: common.nat,
  };
}

function clientValues(bytes: Uint8Array) {
  const config = clientConfig(parseBlocks(bytes, "FILE"), { file: "FILE" });
  const { api, renewer } = config;
  return {
    ...commonValues(config),
    CrossRealm: config.crossRealm,
    Retries: config.retries,
    Timeout: config.timeout,
    Delay: config.delay,
    // Ours has no log in /tmp by default.
    LogFile: api.logFile ?? "/tmp/auksapi.log",
    LogLevel: api.logLevel,
    DebugFile: api.debugFile ?? "/tmp/auksapi.log",
    DebugLevel: api.debugLevel,
    "renewer.LogFile": renewer.logFile,
    "renewer.LogLevel": renewer.logLevel,
    "renewer.DebugFile": renewer.debugFile,
    "renewer.DebugLevel": renewer.debugLevel,
    "renewer.Delay": renewer.delay,
    "renewer.MinLifeTime": renewer.minLifeTime,
  };
}

function daemonValues(bytes: Uint8Array) {
  const config = daemonConfig(parseBlocks(bytes, "FILE"), { file: "FILE" });
  const { auksd } = config;
  return {
    ...commonValues(config),
    PrimaryKeytab: auksd.primaryKeytab,
    SecondaryKeytab: auksd.secondaryKeytab,
    CacheDir: auksd.cacheDir,
    LogFile: auksd.logFile,
    LogLevel: auksd.logLevel,
    DebugFile: auksd.debugFile,
    DebugLevel: auksd.debugLevel,
    Workers: auksd.workers,
    QueueSize: auksd.queueSize,
    RepoSize: auksd.repoSize,
    CleanDelay: auksd.cleanDelay,
    ReplayCache: auksd.replayCache,
  };
}

/** The original reads stray memory after such values. */
const TOO_LONG = ["value-of-1024.conf", "bare-value-of-1100.conf"];
/** SIGSEGV as a shell's exit status. */
const CRASHED = 139;

function compare(
  file: string,
  bytes: Uint8Array,
  recorded: Recorded,
  values: (bytes: Uint8Array) => object,
): void {
  if (TOO_LONG.includes(file)) {
    const { error, reason = "" } = failure(() => values(bytes));
    assert.equal(error, "CONFIG_PARSE");
    assert.match(reason, /^FILE : line \d+: the value of PrimaryPrincipal has \d+ bytes/);
    return;
  }
  if (recorded.values !== undefined) {
    assert.deepEqual(values(bytes), recorded.values);
    return;
  }
  // acl_test.ts tests the ACL.
  if (recorded.accepted || recorded.status === 150) return;
  const error = failure(() => values(bytes));
  assert.equal(error.status, recorded.status === CRASHED ? 62 : recorded.status);
  const log = recorded["log at -vvv"] ?? recorded["log at -vvvv"] ?? [];
  const line = log.find((each) => each.includes("unable to parse configuration file FILE"));
  if (line === undefined) return;
  const said = `${error.text} ${error.reason}`.replace(/ at its end, line \d+$/, "");
  assert.equal(said, line.replace(/^\[INFO\d\] \w+: /, ""));
}

describe("every file of the reference is read as the real programs do", () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".conf"));
  assert(files.length > 60);
  for (const file of files) {
    const bytes = readFileSync(join(FOLDER, file));
    const recorded = JSON.parse(readFileSync(join(FOLDER, `${file}.json`), "utf8"));
    test(`${file} by auks`, () => compare(file, bytes, recorded.auks, clientValues));
    test(`${file} by auksd`, () => compare(file, bytes, recorded.auksd, daemonValues));
    const { role, status } = recorded.auksd as Recorded;
    if (role === undefined && status !== 30) continue;
    test(`${file} gives auksd its role on host mngt`, () => {
      const config = daemonConfig(parseBlocks(bytes, file), { file });
      const find = () => daemonRole(config, "mngt");
      if (role === undefined) assert.equal(failure(find).status, status);
      else assert.equal(`${find()} server`, role);
    });
  }
});

describe("where ours differs from the original", () => {
  for (
    const [text, reason] of [
      ["common { }", 'FILE : there is no block "api"'],
      ["common { }\napi { }\napi { }", 'FILE : line 3: a second block "api"'],
      ["common {\n", "FILE :  (syntax error) at its end, line 2"],
      [`common { x = ${"y".repeat(1024)} ; }`, /line 1: the value of x has 1024 bytes/],
      [`common { x = "${"y".repeat(1024)}" ; }`, /line 1: the value of x has 1024 bytes/],
      ["# nothing\n", "FILE has no block"],
      ["", "FILE has no block"],
    ] as const
  ) {
    test(`${JSON.stringify(text.slice(0, 40))} is refused with file and line`, () => {
      const found = failure(() => client(text)).reason ?? "";
      if (typeof reason === "string") assert.equal(found, reason);
      else assert.match(found, reason);
    });
  }

  test("a secondary exists if any of its keys does", () => {
    assert.equal(client("common { } api { }").secondary, undefined);
    const { secondary } = client("common { SecondaryPrincipal = auks/m2@R ; } api { }");
    assert.deepEqual(secondary, {
      host: "localhost",
      address: "localhost",
      port: "12345",
      principal: "auks/m2@R",
    });
  });

  test("the api has no default log file, and missing keys are off", () => {
    const { api } = client("common { } api { }");
    assert.deepEqual(api, {
      logFile: undefined,
      logLevel: 0,
      debugFile: undefined,
      debugLevel: 0,
      useSyslog: false,
      helperScript: undefined,
    });
    assert.equal(client("common { } api { UseSyslog = 2 ; }").api.useSyslog, true);
  });

  test("the path of auks.acl comes from the file or the caller", () => {
    const blocks = parseBlocks(bytesOf("common { } auksd { }"), "FILE");
    assert.equal(daemonConfig(blocks, { file: "FILE" }).auksd.aclFile, "/etc/auks/auks.acl");
    const elsewhere = daemonConfig(blocks, { file: "FILE", aclFile: "/opt/auks.acl" });
    assert.equal(elsewhere.auksd.aclFile, "/opt/auks.acl");
  });

  test("a duplicate key and a value that is not UTF-8 cause warnings", () => {
    const { warnings } = client("common { NAT = yes ;\n nat = no ; } api { }");
    assert.deepEqual(warnings, ["FILE : line 2: nat is given twice; the first one applies"]);
    const latin1 = readFileSync(join(FOLDER, "latin1.conf"));
    const read = clientConfig(parseBlocks(latin1, "FILE"), { file: "FILE" });
    assert(read.warnings.some((warning) => warning.includes("PrimaryHost is not UTF-8")));
  });

  for (
    const [text, expected] of [
      ["common { Retries = 5abc ; } api { }", 'line 1: Retries "5abc" is read as 5'],
      ["common { } api { LogLevel = high ; }", 'line 1: LogLevel "high" is read as 0'],
      ["common { } api { } renewer {\n Delay = -5 ; }", "line 2: Delay -5 is less than 0"],
      ["common { NAT = true ; } api { }", 'line 1: NAT "true" means no, like everything but yes'],
      [
        "common { PrimaryHots = x ; } api { }",
        "line 1: PrimaryHots is not a key of this block and is ignored",
      ],
      [
        "common { } api { Retries = 1 ; }",
        "line 1: Retries is not a key of this block and is ignored",
      ],
      [
        "common { } api { } renewer { x = 1 ; }",
        "line 1: x is not a key of this block and is ignored",
      ],
      ["common { } api { }\nApi { }", 'line 2: block "Api" is not known, and is ignored'],
    ] as const
  ) {
    test(`the warning is given: ${expected}`, () => {
      assert.deepEqual(client(text).warnings, [`FILE : ${expected}`]);
    });
  }

  test("a file with every key causes no warning in any program", () => {
    const text = readFileSync(join(FOLDER, "every-key.conf"), "utf8");
    assert.deepEqual(client(text).warnings, []);
    assert.deepEqual(daemon(text).warnings, []);
    assert.deepEqual(daemon("common { } auksd { Wrokers = 1 ; }").warnings.length, 1);
  });

  test("PrimaryPrincipal may be in the notation of the HOWTO if its realm is known", () => {
    const text = "common {\n PrimaryPrincipal = host/mngt.realm.a/REALM.A ; } api { }";
    const read = (...knownRealms: string[]) =>
      clientConfig(parseBlocks(bytesOf(text), "FILE"), { file: "FILE", knownRealms });
    assert.equal(read("REALM.B").primary.principal, "host/mngt.realm.a/REALM.A");
    const { primary, warnings } = read("REALM.B", "REALM.A");
    assert.equal(primary.principal, "host/mngt.realm.a@REALM.A");
    assert.deepEqual(warnings, [
      'FILE : line 2: PrimaryPrincipal "host/mngt.realm.a/REALM.A" is read as ' +
      '"host/mngt.realm.a@REALM.A", which is the correct notation',
    ]);
  });
});

describe("the block mungebox", () => {
  const withOwn = (own: string) => daemon(`common { } auksd { } mungebox { ${own} }`).own;

  test("has defaults, and takes values in any case", () => {
    const presets = {
      dialect: "auto",
      replicate: false,
      sync: true,
      lockMemory: false,
      pidFile: "",
      metricsFile: "",
    };
    assert.deepEqual(daemon("common { } auksd { }").own, presets);
    assert.deepEqual(
      withOwn(
        "DIALECT = Head ; replicate = YES ; sync = no ; LOCKMEMORY = yes ; PidFile = /run/a ;",
      ),
      {
        ...presets,
        dialect: "head",
        replicate: true,
        sync: false,
        lockMemory: true,
        pidFile: "/run/a",
      },
    );
    for (const dialect of ["auto", "0.4", "0.5", "head"]) {
      assert.equal(withOwn(`Dialect = ${dialect} ;`).dialect, dialect);
    }
  });

  for (
    const [own, reason] of [
      ["Dialekt = head ;", 'FILE : line 1: block mungebox has no key "Dialekt"'],
      ["Dialect = 0.6 ;", /can't be "0.6", only one of auto, 0.4, 0.5, head/],
      ["Dialect = toString ;", /can't be "toString"/],
      ["Replicate = 1 ;", /can't be "1", only yes or no/],
      ["Replicate = constructor ;", /can't be "constructor"/],
      ["MetricsFile = auksd.prom ;", /can't be "auksd.prom", only an absolute path/],
      ["} mungebox { ", /a second block "mungebox"/],
    ] as const
  ) {
    test(`${own} is refused`, () => {
      const found = failure(() => withOwn(own)).reason ?? "";
      if (typeof reason === "string") assert.equal(found, reason);
      else assert.match(found, reason);
    });
  }
});
