// mungebox doctor: why munge does not work on this host, or between it and other hosts. Prints the cause first,
// with the command that fixes it. The checks themselves are in checks.ts and hosts.ts.
import { printable, printableJson } from "../../lib/printable.ts";
import { VERSION_LINE } from "../../lib/version.ts";
import { CHECKS } from "./checks.ts";
import { examineCredential } from "./credential.ts";
import { type Finding, type NamedFinding, type Verdict, worst } from "./finding.ts";
import { examineHosts, type HostFinding } from "./hosts.ts";
import { inspectNode, type Node } from "./node.ts";
import { LARGEST_MESSAGE_LENGTH } from "../../lib/protocol/message.ts";
import { readInput } from "../command_line/files.ts";
import { USAGE as MUNGED_USAGE } from "../munged/options.ts";
import {
  INFORMATION_OPTIONS,
  type Option,
  parseOptions,
  type Usage,
} from "../command_line/options.ts";
import { print, reportFailure } from "../command_line/print.ts";
import { flag, text } from "../command_line/vocabulary.ts";

interface Settings {
  /** Words of munged's options. */
  readonly munged: string[];
  readonly hosts: string[];
  credential: string | undefined;
  json: boolean;
  ssh: string;
  user: string | undefined;
  /** Whether to examine AUKS instead of MUNGE. */
  auks: boolean;
}

const DEFAULT_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=10";
const MAX_CREDENTIAL_LENGTH = LARGEST_MESSAGE_LENGTH;
/** Exit statuses of Nagios plugins. */
const STATUS: Readonly<Record<Verdict, number>> = {
  ok: 0,
  skipped: 0,
  note: 0,
  warning: 1,
  problem: 2,
};
const STATUS_UNKNOWN = 3;

/** Options of munged that configure it, as opposed to actions such as --stop. */
const MUNGED_OPTIONS: readonly Option<Settings>[] = MUNGED_USAGE.groups.flat()
  .filter((option) => !INFORMATION_OPTIONS.some(({ long }) => long === option.long))
  .filter(({ once, long }) => once !== true || long === "config")
  .map(({ set: _set, ...option }) => ({
    ...option,
    set: ({ munged }, value) => {
      munged.push(`--${option.long}${option.argument === undefined ? "" : `=${value}`}`);
    },
  }));

/** The command line of mungebox doctor. */
export const USAGE: Usage<Settings> = {
  synopsis: "[OPTIONS] [HOST...]",
  groups: [
    INFORMATION_OPTIONS,
    [
      text(
        "--credential=PATH",
        "Explain why munged refuses a credential, consuming it",
        "credential",
      ),
      flag("--auks", "Examine AUKS instead of MUNGE", "auks"),
      flag("--json", "Print the report as JSON", "json"),
      text("--ssh=COMMAND", "Specify the command that reaches hosts", "ssh"),
      text("--user=NAME", "Specify the user munged runs as", "user"),
    ],
    MUNGED_OPTIONS,
  ],
  closing: `Explains why munge does not work on this host or, given HOSTs, between it and them.
The last group are munged's own options, for a munged that does not run with the defaults.
The exit status is 0 for a healthy node, 1 for warnings, 2 for problems, 3 if doctor itself fails.`,
  takeParameter: ({ hosts }, word) => hosts.push(word),
};

/** Runs mungebox doctor; the exit status is that of a monitoring plugin. */
export async function run(program: string, args: readonly string[]): Promise<number> {
  try {
    return await examine(program, args);
  } catch (error) {
    reportFailure(program, error);
    return STATUS_UNKNOWN;
  }
}

async function examine(program: string, args: readonly string[]): Promise<number> {
  const settings: Settings = {
    munged: [],
    hosts: [],
    credential: undefined,
    json: false,
    ssh: DEFAULT_SSH,
    user: undefined,
    auks: false,
  };
  parseOptions(program, USAGE, settings, args);
  if (settings.auks) return await examineAuksOnly(settings.json);
  const { credential, hosts } = settings;
  const node = inspectNode(settings.munged, settings.user);
  const findings: NamedFinding[] = [];
  for (const { name, examine } of CHECKS) {
    for (const finding of await examine(node)) findings.push({ check: name, ...finding });
  }
  if (credential !== undefined) {
    const text = new TextDecoder("latin1").decode(readInput(credential, MAX_CREDENTIAL_LENGTH));
    findings.push({ check: "credential", ...examineCredential(text, node) });
  }
  const far = await examineHosts(hosts, settings.ssh, node);
  const found = worst([
    ...findings,
    ...far.map((finding): NamedFinding => ({ check: `host ${finding.host}`, ...finding })),
  ])!;
  const cause = STATUS[found.verdict] === 0 ? undefined : found;
  print(
    settings.json
      ? formatJson(node, cause, findings, far)
      : formatText("munge", cause, findings, far),
  );
  return STATUS[found.verdict];
}

async function examineAuksOnly(json: boolean): Promise<number> {
  const { examineAuks } = await import("./auks.ts"); // loaded only if needed, because it needs libkrb5
  const findings = await examineAuks();
  const found = worst(findings)!;
  const cause = STATUS[found.verdict] === 0 ? undefined : found;
  const report = { verdict: cause?.verdict ?? "ok", version: VERSION_LINE, checks: findings };
  print(json ? `${printableJson(report)}\n` : formatText("AUKS", cause, findings, []));
  return STATUS[found.verdict];
}

function formatJson(
  { key, config }: Node,
  cause: NamedFinding | undefined,
  checks: readonly NamedFinding[],
  hosts: readonly HostFinding[],
): string {
  const report = {
    verdict: cause?.verdict ?? "ok",
    cause: cause === undefined ? null : {
      check: cause.check,
      verdict: cause.verdict,
      text: cause.text,
      fix: cause.fix,
      advice: cause.advice,
    },
    version: VERSION_LINE,
    socket: config.socketPath,
    keyFile: config.keyFile,
    fingerprint: key.state === "read" ? key.fingerprint : null,
    checks,
    hosts,
  };
  return `${printableJson(report)}\n`;
}

function formatText(
  what: "munge" | "AUKS",
  cause: NamedFinding | undefined,
  checks: readonly NamedFinding[],
  hosts: readonly HostFinding[],
): string {
  const heading = cause === undefined
    ? `${what} works here.\n`
    : `${cause.verdict === "problem" ? "Problem" : "Warning"}: ${printable(cause.text)}\n${
      remedyLine(cause, 2)
    }`;
  const lines = [
    ...checks,
    ...hosts.map((finding) => ({ ...finding, check: finding.host })),
  ];
  const width = Math.max(...lines.map(({ check }) => check.length));
  const table = lines.map((finding) => {
    const { verdict, text } = finding;
    const check = printable(finding.check);
    const start = `${verdict.padEnd(8)} ${check.padEnd(width)}  `;
    return `${start}${printable(text)}\n${
      finding === cause ? "" : remedyLine(finding, start.length)
    }`;
  });
  return `${heading}\n${table.join("")}`;
}

/** What to do: a command as a line to copy, or advice in words. */
function remedyLine({ fix, advice }: Finding, indent: number): string {
  const line = fix !== undefined
    ? `$ ${fix}`
    : advice !== undefined
    ? `-> ${printable(advice)}`
    : "";
  return line === "" ? "" : `${" ".repeat(indent)}${line}\n`;
}
