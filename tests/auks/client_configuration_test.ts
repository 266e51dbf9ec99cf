// What `auks` makes of every recorded configuration file: its values as -vvv shows them, or its error.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { libkrb5 } from "../../lib/krb5/library.ts";
import { printable } from "../../lib/printable.ts";
import { MAIN } from "../harness/programs.ts";
import { suite } from "../suite.ts";

const CONFIGS = join(import.meta.dirname, "reference/configs");

interface Recorded {
  readonly file: string;
  readonly description: string;
  readonly auks?: {
    readonly accepted: boolean;
    readonly values?: Readonly<Record<string, string | number | boolean>>;
    readonly status?: number;
    readonly "standard error"?: string;
  };
}

/** The original's name for each value in its log. */
const NAMES: Readonly<Record<string, string>> = {
  PrimaryHost: "primary daemon is",
  PrimaryAddress: "primary daemon address is",
  PrimaryPort: "primary daemon port is",
  PrimaryPrincipal: "primary daemon principal is",
  SecondaryHost: "secondary daemon is",
  SecondaryAddress: "secondary daemon address is",
  SecondaryPort: "secondary daemon port is",
  SecondaryPrincipal: "secondary daemon principal is",
  CrossRealm: "cross realm is",
  LogFile: "logfile is",
  LogLevel: "loglevel is",
  DebugFile: "debugfile is",
  DebugLevel: "debuglevel is",
  Retries: "retry number is",
  Timeout: "timeout is",
  Delay: "delay is",
  NAT: "NAT traversal mode is",
  "renewer.LogFile": "renewer_logfile is",
  "renewer.LogLevel": "renewer_loglevel is",
  "renewer.DebugFile": "renewer_debugfile is",
  "renewer.DebugLevel": "renewer_debuglevel is",
  "renewer.Delay": "renewer delay is",
  "renewer.MinLifeTime": "renewer min cred lifetime is",
};
/** The original logs to /tmp by default, where the first user would own the file; ours has no default. */
const NO_DEFAULT = "/tmp/auksapi.log";
/** Files that make the original crash or read stray memory; ours reports the mistake. */
const REFUSED: Readonly<Record<string, number>> = {
  "bare-value-of-1100.conf": 63,
  "value-of-1024.conf": 63,
};

function hasKerberos(): boolean {
  try {
    libkrb5();
    return true;
  } catch {
    return false;
  }
}

const files = readdirSync(CONFIGS).filter((name) => name.endsWith(".conf.json"));

suite("auks -vvv", { "MIT Kerberos": hasKerberos() }, () => {
  assert(files.length > 30);
  for (const name of files) {
    const recorded = JSON.parse(readFileSync(join(CONFIGS, name), "utf8")) as Recorded;
    const { file, auks } = recorded;
    if (auks === undefined) continue;
    it(`${file}: ${recorded.description}`, () => {
      // Renewing nothing reads the configuration and ends before it uses Kerberos.
      const args = [
        MAIN,
        "auks",
        "-vvv",
        "-f",
        join(CONFIGS, file),
        "-R",
        "once",
        "-C",
        "FILE:/nowhere/none",
      ];
      const { status, stdout, stderr } = spawnSync(process.execPath, args, {
        env: { ...process.env, LC_ALL: "C", KRB5_CONFIG: "/dev/null" },
        encoding: "latin1",
      });
      const lines = stdout.split("\n").map((line) => line.replace(/^.* auks_engine: engine /, ""));
      if (!auks.accepted || REFUSED[file] !== undefined) {
        const crashed = auks.status === 139 || auks.status === undefined;
        assert.equal(status, REFUSED[file] ?? (crashed ? 62 : auks.status), stderr);
        assert.match(stderr, /^Auks API init failed : [^(]+ \(.+\)\n$/);
        return;
      }
      assert.match(stderr, /^Auks API request failed : krb5 cred : unable to read/, stderr);
      for (const [key, value] of Object.entries(auks.values!)) {
        const text = value === true ? "enabled" : value === false ? "disabled" : `${value}`;
        // No value may forge a log line.
        const shown = Buffer.from(printable(text), "utf8").toString("latin1");
        const line = `${NAMES[key]} ${key.endsWith("Host") ? `'${shown}'` : shown}`
          .replace(/^(\w+ daemon address is) (.*)$/, "$1 '$2'");
        const alternative = value === NO_DEFAULT ? `${NAMES[key]} ` : line;
        assert(lines.includes(line) || lines.includes(alternative), `${line}; ${stdout}`);
      }
    });
  }
});
