// Another host's report about its munge, over ssh. It is not trusted: its size is limited while it arrives, and each field is
// used only if it is valid.
import { spawn } from "node:child_process";
import { systemText } from "../../lib/os/system_text.ts";
import { quote } from "./place.ts";

/** Another host's answer; fields that are missing or invalid are undefined. */
export interface Answer {
  /** Seconds since the epoch. */
  readonly time: number | undefined;
  readonly version: string | undefined;
  /** Of its key file, if its doctor may read it. */
  readonly fingerprint: string | undefined;
  /** The problem its own doctor found. */
  readonly cause: RemoteCause | undefined;
  /** The credential it made, or why it could not make one. */
  readonly encode: { readonly credential: string } | { readonly failure: string } | undefined;
  readonly decode: RemoteDecode | undefined;
}

/** The first problem that another doctor found. */
export interface RemoteCause {
  readonly verdict: "problem" | "warning";
  readonly text: string;
}

/** The result of our credential on the other host. */
export interface RemoteDecode {
  /** The MUNGE error, 0 for none. */
  readonly errno: number;
  /** What its unmunge said about the error. */
  readonly failure: string | undefined;
  /** Seconds since the epoch by its munged's clock, if reported. */
  readonly encodeTime: number | undefined;
  readonly decodeTime: number | undefined;
}

/** A host that could not be reached. */
export interface Unreachable {
  readonly reason: string;
}

/** Maximum size of a host's answer. */
const MAX_OUTPUT = 131_072;
/** Maximum size of ssh's own messages to keep. */
const MAX_COMPLAINT = 4096;
/** Maximum length of a text to repeat to the reader. */
const MAX_TEXT = 300;
const TIMEOUT_MS = 60_000;
const STATUS_NOT_FOUND = 127;
const SSH_FAILED = 255;

/** Asks a host to check a credential and make one. */
export async function askHost(
  host: string,
  ssh: string,
  request: {
    readonly credential: string;
    readonly socketPath: string;
    readonly args: readonly string[];
  },
): Promise<Answer | Unreachable> {
  const { status, output, complaint } = await runOverSsh(host, ssh, remoteScript(request));
  const answer = parseAnswer(output);
  if (status !== SSH_FAILED && answer.time !== undefined) return answer;
  return { reason: complaint === "" ? `ssh ended with status ${status}` : complaint };
}

/** A script for any POSIX shell, passed on standard input so that no process list shows it. */
function remoteScript({ args, socketPath, credential }: Parameters<typeof askHost>[2]): string {
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
text=$(echo ${quote(credential)} | $box unmunge --socket=${quote(socketPath)} -n -m - 2>&1)
echo "decode $? $text"
`;
}

/** The fields of an answer. */
export function parseAnswer(output: string): Answer {
  const line = (name: string) => new RegExp(`^${name} (.*)$`, "m").exec(output)?.[1];
  const result = (name: string) => {
    const [, status, text = ""] = new RegExp(`^${name} (\\d{1,3}) ?([^]*)`, "m").exec(output) ?? [];
    return status === undefined ? undefined : { status: Number(status), text };
  };
  const encode = result("encode");
  const decode = result("decode");
  return {
    time: seconds(line("time")),
    version: bounded(line("version")),
    ...parseReport(line("doctor")),
    encode: encode && parseEncode(encode.status, encode.text),
    decode: decode && {
      errno: decode.status,
      failure: bounded(/^unmunge: Error: (.+)$/m.exec(decode.text)?.[1]),
      encodeTime: timeIn(decode.text, "ENCODE_TIME"),
      decodeTime: timeIn(decode.text, "DECODE_TIME"),
    },
  };
}

function parseEncode(status: number, text: string): Answer["encode"] {
  const first = text.split("\n", 1)[0]!.trim();
  if (status === 0 && /^MUNGE:[A-Za-z0-9+/=]+:$/.test(first)) return { credential: first };
  return { failure: bounded(first) || `munge ended with status ${status}` };
}

function parseReport(json: string | undefined): Pick<Answer, "fingerprint" | "cause"> {
  let report: unknown;
  try {
    report = JSON.parse(json ?? "null");
  } catch {
    // an older mungebox without doctor
  }
  const { fingerprint, cause } = fields(report);
  const { verdict, text } = fields(cause);
  const isCause = (verdict === "problem" || verdict === "warning") && typeof text === "string";
  return {
    fingerprint: typeof fingerprint === "string" && /^[0-9a-f]{16}$/.test(fingerprint)
      ? fingerprint
      : undefined,
    cause: isCause ? { verdict, text: bounded(text) } : undefined,
  };
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}

function bounded<T extends string | undefined>(text: T): T {
  return (text !== undefined && text.length > MAX_TEXT
    ? `${text.slice(0, MAX_TEXT)}...`
    : text) as T;
}

function seconds(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,12}$/.test(text) ? Number(text) : undefined;
}

/** The time in a line of unmunge's output. */
function timeIn(text: string, key: string): number | undefined {
  return seconds(new RegExp(`^${key}:.*?\\((\\d+)\\)`, "m").exec(text)?.[1]);
}

/** Runs a script on a host; returns its output and the last line of ssh's own messages. */
function runOverSsh(
  host: string,
  ssh: string,
  script: string,
): Promise<{ status: number; output: string; complaint: string }> {
  const [name = "", ...words] = ssh.split(/\s+/).filter((word) => word !== "");
  return new Promise((resolve) => {
    const child = spawn(name, [...words, "--", host, "sh -s"], { timeout: TIMEOUT_MS });
    let output = "";
    let complaint = "";
    const end = (status: number) => {
      const last = complaint.trim().split("\n").at(-1)!.trim();
      resolve({ status, output, complaint: bounded(last) });
    };
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (output.length <= MAX_OUTPUT) return;
      output = "";
      complaint = `Its output exceeded ${MAX_OUTPUT} characters`;
      child.kill("SIGKILL");
      end(SSH_FAILED);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      complaint = (complaint + text).slice(-MAX_COMPLAINT);
    });
    child.once("error", (error) => {
      complaint = `Failed to run "${name}": ${systemText(error)}`;
      end(SSH_FAILED);
    });
    child.once("close", (status) => end(status ?? SSH_FAILED));
    child.stdin.on("error", () => {}); // ssh's own message is more informative
    child.stdin.end(script);
  });
}
