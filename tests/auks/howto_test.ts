// AUKS's HOWTO from top to bottom, on its three nodes, with our programs only (howto.txt has its files, commands and
// outputs).
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { suite } from "../suite.ts";
import { type NodeName, SLURM_NEEDS, SlurmCluster } from "./slurm_cluster.ts";

const PROJECT = resolve(import.meta.dirname, "../..");

/** A line after a prompt, and what is below it. */
interface Step {
  readonly user: string;
  readonly node: NodeName;
  readonly command: string;
  readonly below: readonly string[];
}

const STEPS = readSteps(readFileSync(join(import.meta.dirname, "howto.txt"), "utf8"));

suite("AUKS's HOWTO", SLURM_NEEDS, () => {
  let cluster: SlurmCluster;

  before(() => {
    cluster = new SlurmCluster({ withoutAuks: true });
    install(cluster);
    // As PAM does when bob logs in.
    cluster.login("bob", `-c ${BOBS_CACHE}`);
  });

  after(() => {
    cluster?.close();
  });

  it("works from top to bottom", async () => {
    for (const step of STEPS) await take(cluster, step);
  });
});

const BOBS_CACHE = "FILE:/tmp/krb5cc_2000_wTwNF20421";

/** Does what `yum install` would do, without packages. */
function install(cluster: SlurmCluster): void {
  const { directory } = cluster;
  mkdirSync(join(directory, "units"));
  for (const name of ["auksd", "auksdrenewer", "aukspriv"]) {
    const unit = readFileSync(join(PROJECT, `packaging/auks/${name}.service`), "utf8");
    writeFileSync(
      join(directory, `units/${name}.service`),
      unit.replaceAll("@SBINDIR@", `${directory}/bin`),
    );
  }
  writeFileSync(join(directory, "bin/service"), SERVICE, { mode: 0o755 });
  for (const node of ["login", "compute"] as const) {
    cluster.must(node, `install -m 755 ${directory}/bin/auks.so /usr/lib/*/slurm-wlm/`);
  }
}

/** Runs the command of a unit, with its settings that matter here. */
const SERVICE = `#!/bin/bash
set -e
unit=$(dirname "$0")/../units/$1.service
setting() { sed -n "s/^$1=//p" "$unit"; }
export $(setting Environment) >/dev/null
for file in $(setting EnvironmentFile); do
  set -a; test ! -f "\${file#-}" || . "\${file#-}"; set +a
done
directory=$(setting CacheDirectory)
test -z "$directory" || mkdir -p -m "$(setting CacheDirectoryMode)" "/var/cache/$directory"
eval "setsid $(setting ExecStart) </dev/null &>/var/log/$1.start &"
echo "Starting $1: [ OK ]"
`;

async function take(cluster: SlurmCluster, { user, node, command, below }: Step): Promise<void> {
  const file = /^cat (\/\S+)$/.exec(command)?.[1];
  if (file !== undefined) {
    const text = below.map((line) => `${line}\n`).join("");
    cluster.must(node, `mkdir -p $(dirname ${file}); cat >${file} <<'END'\n${text}END`);
    return;
  }
  const expected = patternOf(below);
  // A service needs a moment to be ready.
  for (const end = performance.now() + PATIENCE_MS;; await pause(200)) {
    const environment = user === "root" ? "" : `export KRB5CCNAME=${BOBS_CACHE}; `;
    const { out } = cluster.run(node, `exec 2>&1; ${environment}${command}`, user);
    // srun's messages about a task may overtake the task's own output.
    const lines = out.split("\n");
    const isSruns = (line: string) => line.startsWith("srun: ");
    const ordered = [...lines.filter((line) => !isSruns(line)), ...lines.filter(isSruns)];
    const printed = inOneLine(ordered.join("\n"));
    if (expected.test(printed)) return;
    if (!REPEATABLE.test(command) || performance.now() > end) {
      assert.match(printed, expected, `[${user}@${node}] ${command}`);
    }
  }
}

const PATIENCE_MS = 120_000;
const REPEATABLE = /^(klist|auks -p)$/;

/** Text with single spaces, because white space depends on column widths. */
function inOneLine(text: string): string {
  return text.split(/\s+/).filter((word) => word !== "").join(" ");
}

function patternOf(lines: readonly string[]): RegExp {
  const escaped = inOneLine(lines.join("\n")).replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  const pattern = escaped
    .replaceAll("\\.\\.\\.", ".*")
    .replace(/\d\d\/\d\d\/\d\d \d\d:\d\d:\d\d/g, "\\d\\d/\\d\\d/\\d\\d \\d\\d:\\d\\d:\\d\\d");
  return new RegExp(`^${pattern}$`);
}

function readSteps(page: string): Step[] {
  const steps: (Step & { below: string[] })[] = [];
  for (const line of page.split("\n")) {
    const [, user, node, command] = /^\[(\w+)@(mngt|login|compute)\][#$] (.*)$/.exec(line) ?? [];
    if (user !== undefined && command !== undefined) {
      steps.push({ user, node: node as NodeName, command, below: [] });
    } else if (!line.trimStart().startsWith("-- ") && line !== "") steps.at(-1)?.below.push(line);
  }
  return steps;
}
