// mungebox doctor HOST...: sends a credential to another host and fetches one back over ssh, and judges the
// host's key, clock and munged by what becomes of them.
import { spawn } from "node:child_process";
import { ERRNO, errorText } from "../../lib/errors.ts";
import type { DecodeResponse } from "../../lib/protocol/message.ts";
import { BlockingClient } from "../../lib/os/blocking_client.ts";
import { quote } from "./causes.ts";
import { CLOCK_PROBLEM } from "./checks.ts";
import { type Finding, ok, problem, skipped, warning } from "./finding.ts";
import { encodeCredential, type Node } from "./node.ts";

/** What was found about a host. */
export interface HostFinding extends Finding {
  readonly host: string;
  /** Seconds by which the host's clock is ahead of ours, negative if behind; undefined if unknown. */
  readonly skewSeconds: number | undefined;
  /** Of its key file, if its mungebox may read it. */
  readonly fingerprint: string | undefined;
  readonly version: string | undefined;
}

/** Seconds of skew that the time-to-live still hides. */
const SKEW_WARNING = 30;
/** Connections at a time. */
const MAX_CONNECTIONS = 16;
const TIMEOUT_MS = 60_000;
const STATUS_NOT_FOUND = 127;
const SSH_FAILED = 255;

/** Examines hosts, several at a time; in the order given. */
export async function examineHosts(
  hosts: readonly string[],
  ssh: string,
  node: Node,
): Promise<HostFinding[]> {
  const findings: HostFinding[] = [];
  const rest = [...hosts.entries()];
  const work = async () => {
    for (let next = rest.shift(); next !== undefined; next = rest.shift()) {
      const [index, host] = next;
      findings[index] = await examineHost(host, ssh, node);
    }
  };
  await Promise.all(Array.from({ length: MAX_CONNECTIONS }, work));
  return blameOurs(findings, node);
}

/** If all hosts share a key that is not ours, ours is the wrong one. */
function blameOurs(findings: HostFinding[], { keyFile, key }: Node): HostFinding[] {
  const fingerprints = new Set(findings.map(({ fingerprint }) => fingerprint));
  const [theirs] = fingerprints;
  const isOurs = key.state !== "read" || theirs === undefined || theirs === key.fingerprint;
  if (findings.length < 2 || fingerprints.size !== 1 || isOurs) return findings;
  return findings.map((finding) => ({
    ...finding,
    text: `${finding.text}; all the other hosts agree, so this host has the wrong one`,
    fix: `scp -p ${finding.host}:${quote(keyFile)} ${quote(keyFile)}`,
  }));
}

/** The other host's answer, one field per line. */
interface Answer {
  readonly time: number | undefined;
  readonly version: string | undefined;
  readonly report: Report | undefined;
  readonly encode: { readonly status: number; readonly text: string } | undefined;
  readonly decode: { readonly status: number; readonly text: string } | undefined;
}

/** The part of another doctor's report that is used here. */
interface Report {
  readonly fingerprint?: string | null;
  readonly cause?:
    | { readonly verdict: string; readonly text: string; readonly fix?: string }
    | null;
}

async function examineHost(host: string, ssh: string, node: Node): Promise<HostFinding> {
  if (node.exchange.state !== "answered") {
    const unknown = { fingerprint: undefined, version: undefined, skewSeconds: undefined };
    return {
      host,
      ...unknown,
      ...skipped("Not checked, because munged does not work on this host"),
    };
  }
  const client = new BlockingClient(node.socketPath);
  const made = encodeCredential(client);
  const credential = new TextDecoder("latin1").decode(made.credential);
  const madeAt = Math.floor(Date.now() / 1000);
  const { status, output, complaint } = await runThere(host, ssh, farScript(node, credential));
  const answer = parseAnswer(output);
  const about = {
    host,
    fingerprint: answer.report?.fingerprint ?? undefined,
    version: answer.version,
    skewSeconds: undefined,
  };
  const there = (command: string) => `ssh ${host} ${quote(command)}`;
  if (status === SSH_FAILED || answer.time === undefined) {
    const reason = complaint === "" ? `ssh ended with status ${status}` : complaint;
    return {
      ...about,
      ...problem(`${host} can't be reached over ssh: ${reason}`, `ssh ${host} date`),
    };
  }
  if (answer.version === undefined) {
    return {
      ...about,
      ...problem(
        `${host} has neither mungebox nor munge`,
        `scp ${quote(process.execPath)} ${host}:/usr/local/bin/mungebox`,
      ),
    };
  }
  const date = skewByDate(answer.time, madeAt);
  if (answer.encode?.status !== 0 || answer.decode === undefined) {
    const cause = answer.report?.cause;
    const reason = cause?.verdict === "problem" ? cause.text : answer.encode?.text ?? "no answer";
    const fix = cause?.verdict === "problem" && cause.fix !== undefined
      ? cause.fix
      : "systemctl restart munge";
    return {
      ...about,
      skewSeconds: date,
      ...problem(`munged on ${host} is down: ${reason}`, there(fix)),
    };
  }
  const opened = client.decode({ credential: new TextEncoder().encode(answer.encode.text) });
  return judge({ ...about, skewSeconds: date }, answer.decode, opened, answer.report, node, there);
}

/** Judges by both directions: what became of our credential there, and of theirs here. */
function judge(
  about: Omit<HostFinding, keyof Finding>,
  there: { readonly status: number; readonly text: string },
  here: DecodeResponse,
  report: Report | undefined,
  node: Node,
  command: (words: string) => string,
): HostFinding {
  const { host, fingerprint } = about;
  const { EMUNGE_CRED_INVALID, EMUNGE_CRED_EXPIRED, EMUNGE_CRED_REWOUND } = ERRNO;
  const invalid = [there.status, here.errno].map((errno) => errno === EMUNGE_CRED_INVALID);
  if (invalid.some(Boolean)) {
    const ours = node.key.state === "read" ? `, here ${node.key.fingerprint}` : "";
    const prints = fingerprint === undefined ? "" : ` (fingerprint there ${fingerprint}${ours})`;
    const text = invalid.every(Boolean)
      ? `${host} has a different key${prints}`
      : invalid[0]
      ? `${host} does not know the key that this host encodes with${prints}`
      : `This host does not know the key that ${host} encodes with${prints}`;
    const skew = about.skewSeconds ?? 0;
    const clock = Math.abs(skew) < SKEW_WARNING ? "" : `; also, ${describeSkew(host, skew)}`;
    return { ...about, ...problem(text + clock, keyFix(host, invalid, report, node)) };
  }
  const skewSeconds = skewByCredentials(there.text, here) ?? about.skewSeconds;
  const known = { ...about, skewSeconds };
  const skew = Math.abs(skewSeconds ?? 0);
  const isTime = [there.status, here.errno].some((errno) =>
    errno === EMUNGE_CRED_EXPIRED || errno === EMUNGE_CRED_REWOUND
  );
  if (isTime || skew >= SKEW_WARNING) {
    const make = isTime || skew >= CLOCK_PROBLEM ? problem : warning;
    const effect = isTime ? ", so credentials are refused" : "";
    const text = `${describeSkew(host, skewSeconds ?? 0)}${effect}`;
    return { ...known, ...make(text, command("chronyc makestep")) };
  }
  const refused = there.status !== 0 ? there.status : here.errno;
  if (refused !== 0) {
    const [by, of] = there.status !== 0 ? [host, "this host"] : ["This host", host];
    const text = `${by} refuses credentials from ${of}: ${errorText(refused)}`;
    return { ...known, ...problem(text, command("mungebox doctor")) };
  }
  const cause = report?.cause;
  if (cause?.verdict === "problem" || cause?.verdict === "warning") {
    const make = cause.verdict === "problem" ? problem : warning;
    return {
      ...known,
      ...make(`On ${host}: ${cause.text}`, cause.fix && command(cause.fix)),
    };
  }
  return { ...known, ...ok(`Credentials work both ways, clocks ${skew} s apart`) };
}

/** A host that lacks only the other's newest key stages it; one without a key ring, or with no key in common, copies it. */
function keyFix(
  host: string,
  [thereLacks, hereLacks]: readonly boolean[],
  report: Report | undefined,
  { keyFile }: Node,
): string {
  const path = quote(keyFile);
  const stage = `mungekey --keyfile=${path} --stage --from=-`;
  if (thereLacks && hereLacks) return `scp -p ${path} ${host}:${path}`;
  if (hereLacks) return `ssh ${host} ${quote(`cat ${path}`)} | ${stage}`;
  return report === undefined
    ? `scp -p ${path} ${host}:${path}`
    : `ssh ${host} ${quote(stage)} <${path}`;
}

function describeSkew(host: string, skew: number): string {
  const seconds = Math.abs(skew);
  return `the clock of ${host} is ${seconds} s ${skew > 0 ? "ahead of" : "behind"} this host's`;
}

/**
 * Skew by munged's own clocks: no credential is decoded before it is made, so the two directions bound the skew
 * from above and from below. If the bounds allow 0, it is 0; otherwise it is the middle of the two.
 */
function skewByCredentials(text: string, here: DecodeResponse): number | undefined {
  const seconds = (key: string) => {
    const found = new RegExp(`^${key}:.*?\\((\\d+)\\)`, "m").exec(text)?.[1];
    return found === undefined ? undefined : Number(found);
  };
  const encoded = seconds("ENCODE_TIME");
  const decoded = seconds("DECODE_TIME");
  if (encoded === undefined || decoded === undefined || here.encodeTime === 0) return undefined;
  const most = decoded - encoded;
  const least = here.encodeTime - here.decodeTime;
  return least <= 0 && most >= 0 ? 0 : Math.round((least + most) / 2);
}

/** Skew by the hosts' own clocks; the other host's was read between the start of ssh and now. */
function skewByDate(time: number, madeAt: number): number {
  const now = Math.floor(Date.now() / 1000);
  return time < madeAt ? time - madeAt : time > now ? time - now : 0;
}

/** A script for any POSIX shell, passed on standard input so that no process list shows it. */
function farScript({ args, socketPath }: Node, credential: string): string {
  const words = args.map(quote).join(" ");
  return `PATH=$PATH:/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin
echo "time $(date +%s)"
if command -v mungebox >/dev/null; then
  echo "version $(mungebox --version)"
  echo "doctor $(mungebox doctor --json ${words} 2>/dev/null)"
  box=mungebox
elif command -v munge >/dev/null; then
  echo "version $(munge --version)"
  box=
else
  exit ${STATUS_NOT_FOUND}
fi
text=$($box munge -n --socket=${quote(socketPath)} 2>&1)
echo "encode $? $text"
text=$(echo '${credential}' | $box unmunge --socket=${quote(socketPath)} -n -m - 2>&1)
echo "decode $? $text"
`;
}

function parseAnswer(output: string): Answer {
  const line = (name: string) => new RegExp(`^${name} (.*)$`, "m").exec(output)?.[1];
  const result = (name: string) => {
    const [, status, text = ""] = new RegExp(`^${name} (\\d+) ([^]*)`, "m").exec(output) ?? [];
    return status === undefined ? undefined : { status: Number(status), text };
  };
  const time = line("time");
  const encode = result("encode");
  let report: Report | undefined;
  try {
    report = JSON.parse(line("doctor") ?? "null") ?? undefined;
  } catch {
    // an older mungebox without doctor
  }
  return {
    time: time === undefined ? undefined : Number(time),
    version: line("version"),
    report,
    encode: encode && { ...encode, text: encode.text.split("\n")[0]!.trim() },
    decode: result("decode"),
  };
}

/** Runs a script on a host; returns its output and the last line of ssh's own messages. */
function runThere(
  host: string,
  ssh: string,
  script: string,
): Promise<{ status: number; output: string; complaint: string }> {
  const [name = "", ...words] = ssh.split(/\s+/).filter((word) => word !== "");
  return new Promise((resolve) => {
    const child = spawn(name, [...words, "--", host, "sh -s"], { timeout: TIMEOUT_MS });
    let output = "";
    let complaint = "";
    child.stdout.setEncoding("latin1").on("data", (text: string) => output += text);
    child.stderr.setEncoding("latin1").on("data", (text: string) => complaint += text);
    const end = (status: number) =>
      resolve({ status, output, complaint: complaint.trim().split("\n").at(-1)!.trim() });
    child.once("error", (error) => {
      complaint = error.message;
      end(SSH_FAILED);
    });
    child.once("close", (status) => end(status ?? SSH_FAILED));
    child.stdin.on("error", () => {}); // ssh's own message says more
    child.stdin.end(script);
  });
}
