// mungebox doctor HOST...: sends a credential to another host and fetches one back over ssh, and judges the host's key,
// clock and munged by the results.
import { ERRNO, errorText } from "../../lib/errors.ts";
import type { DecodeResponse } from "../../lib/protocol/message.ts";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { explain, isByPolicy } from "./causes.ts";
import { CLOCK_PROBLEM } from "./daemon_checks.ts";
import { advise, type Finding, ok, problem, run, skipped, warning } from "./finding.ts";
import { encodeCredential, type Node } from "./node.ts";
import { quote } from "./place.ts";
import { type Answer, askHost, type RemoteDecode } from "./remote.ts";

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
  return suspectOwnKey(findings, node);
}

/** If all hosts share a key that is not ours, ours is the wrong one. */
function suspectOwnKey(findings: HostFinding[], { key }: Node): HostFinding[] {
  const fingerprints = new Set(findings.map(({ fingerprint }) => fingerprint));
  const [theirs] = fingerprints;
  const isOurs = key.state !== "read" || theirs === undefined || theirs === key.fingerprint;
  if (findings.length < 2 || fingerprints.size !== 1 || isOurs) return findings;
  return findings.map(({ fix: _fix, ...finding }) => ({
    ...finding,
    text: `${finding.text}; all the other hosts agree, so this host has the wrong one`,
    advice: "If you trust those hosts, copy the key from one of them to this host",
  }));
}

const UNKNOWN = { fingerprint: undefined, version: undefined, skewSeconds: undefined } as const;

async function examineHost(host: string, ssh: string, node: Node): Promise<HostFinding> {
  if (node.exchange.state !== "answered") {
    const text = "Not checked, because munged does not work on this host";
    return { host, ...UNKNOWN, ...skipped(text) };
  }
  try {
    return await askAndJudge(host, ssh, node);
  } catch (error) {
    return { host, ...UNKNOWN, ...skipped(`${host} could not be checked: ${systemText(error)}`) };
  }
}

async function askAndJudge(host: string, ssh: string, node: Node): Promise<HostFinding> {
  const client = new BlockingClient(node.socketPath, { waitForSocket: false });
  // Anyone who obtains it there can use it only as this user, and only through munged.
  const made = encodeCredential(client, process.geteuid!());
  const credential = new TextDecoder("latin1").decode(made.credential);
  const madeAt = Math.floor(Date.now() / 1000);
  const answer = await askHost(host, ssh, { ...node, credential });
  if ("reason" in answer) {
    const text = `${host} can't be reached over ssh: ${answer.reason}`;
    return { host, ...UNKNOWN, ...problem(text, run(`ssh ${quote(host)} date`)) };
  }
  const { fingerprint, version } = answer;
  const about = { host, fingerprint, version, skewSeconds: undefined };
  if (version === undefined) {
    const text = `${host} has neither mungebox nor munge`;
    return { ...about, ...problem(text, advise("Install mungebox there")) };
  }
  const skewSeconds = skewByDate(answer.time!, madeAt);
  const { encode, decode } = answer;
  if (encode === undefined || "failure" in encode || decode === undefined) {
    const failure = encode !== undefined && "failure" in encode ? encode.failure : "no answer";
    const reason = answer.cause?.verdict === "problem" ? answer.cause.text : failure;
    const text = `munged on ${host} is down: ${reason}`;
    return { ...about, skewSeconds, ...problem(text, remoteDoctorCommand(host)) };
  }
  const opened = client.decode({ credential: new TextEncoder().encode(encode.credential) });
  return judge({ ...about, skewSeconds }, decode, opened, answer.cause, node);
}

/** The host's own doctor knows best, but we don't repeat the commands it suggests. */
function remoteDoctorCommand(host: string) {
  return run(`ssh ${quote(host)} mungebox doctor`);
}

/** Judges by both directions: the result of our credential there, and of theirs here. */
function judge(
  about: Omit<HostFinding, keyof Finding>,
  there: RemoteDecode,
  here: DecodeResponse,
  cause: Answer["cause"],
  node: Node,
): HostFinding {
  const { host } = about;
  const { EMUNGE_CRED_INVALID, EMUNGE_CRED_EXPIRED, EMUNGE_CRED_REWOUND } = ERRNO;
  const invalid = [there.errno, here.errno].map((errno) => errno === EMUNGE_CRED_INVALID);
  if (invalid.some(Boolean)) return { ...about, ...judgeKeys(about, invalid, node) };
  const skewSeconds = skewByCredentials(there, here) ?? about.skewSeconds;
  const known = { ...about, skewSeconds };
  const skew = Math.abs(skewSeconds ?? 0);
  const isTime = [there.errno, here.errno].some((errno) =>
    errno === EMUNGE_CRED_EXPIRED || errno === EMUNGE_CRED_REWOUND
  );
  if (isTime || skew >= SKEW_WARNING) {
    const make = isTime || skew >= CLOCK_PROBLEM ? problem : warning;
    const effect = isTime ? ", so credentials are refused" : "";
    const text = `${describeSkew(host, skewSeconds ?? 0)}${effect}`;
    return { ...known, ...make(text, advise("Synchronize the clocks of both hosts")) };
  }
  // Ours is restricted to this user, who may have a different UID there.
  const isRestricted = there.errno === ERRNO.EMUNGE_CRED_UNAUTHORIZED &&
    !isByPolicy(there.failure ?? "");
  const refusedThere = isRestricted ? 0 : there.errno;
  const refused = refusedThere !== 0 ? refusedThere : here.errno;
  if (refused !== 0) {
    const [by, of, said] = refusedThere !== 0
      ? [host, "this host", there.failure]
      : ["This host", host, here.errorText];
    const isPolicy = said !== undefined && isByPolicy(said);
    const text = `${by} refuses credentials from ${of}: ${isPolicy ? said : errorText(refused)}`;
    const remedy = isPolicy ? explain(said, node)?.remedy : remoteDoctorCommand(host);
    return { ...known, ...problem(text, remedy) };
  }
  if (cause !== undefined) {
    const make = cause.verdict === "problem" ? problem : warning;
    return { ...known, ...make(`On ${host}: ${cause.text}`, remoteDoctorCommand(host)) };
  }
  return { ...known, ...ok(`Credentials work both ways, clocks ${skew} s apart`) };
}

/**
 * Hosts that don't open each other's credentials. From here it is impossible to tell which one is right, and a host may claim
 * anything, so doctor suggests no command that moves a key.
 */
function judgeKeys(
  { host, fingerprint, skewSeconds }: Omit<HostFinding, keyof Finding>,
  [thereLacks, hereLacks]: readonly boolean[],
  { key, keyFile }: Node,
): Finding {
  const ours = key.state === "read" ? key.fingerprint : undefined;
  const skew = skewSeconds ?? 0;
  const clock = Math.abs(skew) < SKEW_WARNING ? "" : `; also, ${describeSkew(host, skew)}`;
  if (thereLacks && !hereLacks && ours !== undefined && fingerprint === ours) {
    const text =
      `${host} refuses credentials from this host, though it says that it has the same key`;
    return problem(text + clock, remoteDoctorCommand(host));
  }
  const prints = fingerprint === undefined
    ? ""
    : ` (fingerprint there ${fingerprint}${ours === undefined ? "" : `, here ${ours}`})`;
  if (thereLacks && hereLacks) {
    return problem(
      `${host} has a different key${prints}${clock}`,
      advise(
        "Compare both with a third host of the realm, and copy the right key to the wrong host",
      ),
    );
  }
  const [lacking, encoding] = thereLacks ? [host, "this host"] : ["This host", host];
  return problem(
    `${lacking} does not know the key that ${encoding} encodes with${prints}${clock}`,
    advise(
      `If that is the realm's new key, stage the "${keyFile}" of ${encoding} on ${
        thereLacks ? host : "this host"
      } (mungekey --stage --from)`,
    ),
  );
}

function describeSkew(host: string, skew: number): string {
  const seconds = Math.abs(skew);
  return `the clock of ${host} is ${seconds} s ${skew > 0 ? "ahead of" : "behind"} this host's`;
}

/**
 * Skew by munged's own clocks: no credential is decoded before it is made, so the two directions bound the skew
 * from above and from below. If the bounds allow 0, it is 0; otherwise it is the middle of the two.
 */
function skewByCredentials(there: RemoteDecode, here: DecodeResponse): number | undefined {
  const { encodeTime, decodeTime } = there;
  if (encodeTime === undefined || decodeTime === undefined || here.encodeTime === 0) {
    return undefined;
  }
  const most = decodeTime - encodeTime;
  const least = here.encodeTime - here.decodeTime;
  return least <= 0 && most >= 0 ? 0 : Math.round((least + most) / 2);
}

/** Skew by the hosts' own clocks; the other host's was read between the start of ssh and now. */
function skewByDate(time: number, madeAt: number): number {
  const now = Math.floor(Date.now() / 1000);
  return time < madeAt ? time - madeAt : time > now ? time - now : 0;
}
