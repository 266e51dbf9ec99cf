// Replays recorded conversations of real clients: our auksd, with the recorded keys, accounts and clock, must answer
// each as the real daemon did.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, it } from "node:test";
import { unpackCredential } from "../../lib/auks/packed_credential.ts";
import { suite } from "../suite.ts";
import { Auksd, SANDBOX_NEEDS } from "./auksd.ts";
import { type Key, krbErrorCode, openApRep, openPriv, RawConnection } from "./wire.ts";

const FOLDER = join(import.meta.dirname, "reference/transcripts");
/** One clock serves for all of them (README.md of the reference). */
const CLOCK = 1_795_689_451;
/**
 * The types of replies that differ on purpose: a principal without an account, and a ticket other than a TGT, are refused
 * (ERROR), so there is nothing to REMOVE afterwards.
 */
const BETTER: Readonly<Record<string, readonly number[]>> = {
  "msg-add-no-account": [21],
  "msg-add-service-ticket": [21, 21],
};
/** The real daemon can't read a client whose NAT setting differs from its own; ours follows the client's. */
const MIRRORED = /nat-mismatch/;
const PING_REPLY = 20;

type Plain = string | readonly (string | readonly [count: number, byte: number])[];

interface Transcript {
  readonly description: string;
  readonly dialect: "HEAD" | "0.5.4";
  readonly nat: boolean;
  readonly nat_of_the_daemon?: boolean;
  readonly principal: string;
  readonly keytab: string;
  readonly "the daemon has the keytab"?: boolean;
  readonly replay_cache?: boolean;
  readonly acl: string;
  readonly accounts: Readonly<Record<string, number>>;
  readonly auth_to_local: readonly string[];
  readonly before: readonly string[];
  readonly messages: readonly {
    readonly from: "client" | "server";
    readonly bytes: string | null;
  }[];
  readonly closed_first: "client" | "server";
  readonly decrypted: {
    readonly ticket?: { readonly session_key: Key };
    readonly authenticator?: { readonly ctime: number; readonly cusec: number };
    readonly ap_rep?: { readonly subkey?: Key };
    readonly subkey?: Key;
    readonly priv?: readonly {
      readonly from: "client" | "server";
      readonly plain: Plain;
      readonly s_address?: { readonly type: number; readonly base64: string };
      readonly r_address?: { readonly type: number; readonly base64: string };
    }[];
  };
}

const NAMES = readdirSync(FOLDER).filter((name) => name.endsWith(".json"))
  .map((name) => name.slice(0, -5)).sort();

function load(name: string): Transcript {
  return JSON.parse(readFileSync(join(FOLDER, `${name}.json`), "utf8"));
}

function plainOf(plain: Plain): Uint8Array {
  if (typeof plain === "string") return Uint8Array.fromBase64(plain);
  return Buffer.concat(
    plain.map((part) =>
      typeof part === "string" ? Uint8Array.fromBase64(part) : new Uint8Array(part[0]).fill(part[1])
    ),
  );
}

/** Starts a daemon as it was when the conversation was recorded. */
async function startDaemon(transcript: Transcript, directory: string): Promise<Auksd> {
  const keytab = join(directory, "keytab");
  const hasKeytab = transcript["the daemon has the keytab"] ?? true;
  // One without a keytab does not start, but one whose keytab is empty does.
  writeFileSync(keytab, hasKeytab ? Uint8Array.fromBase64(transcript.keytab) : Uint8Array.of(5, 2));
  const krb5Config = join(directory, "krb5.conf");
  writeFileSync(
    krb5Config,
    `[libdefaults]
  default_realm = REALM.A
  dns_lookup_kdc = false
  allow_rc4 = true
  allow_weak_crypto = true
[realms]
  REALM.A = {
${transcript.auth_to_local.map((rule) => `    auth_to_local = ${rule}\n`).join("")}  }
`,
  );
  return await Auksd.start({
    principal: transcript.principal,
    keytab,
    acl: transcript.acl,
    common: `NAT = ${transcript.nat_of_the_daemon ?? transcript.nat ? "yes" : "no"} ;`,
    auksd: `ReplayCache = ${transcript.replay_cache === true ? "yes" : "no"} ;`,
    own: `Dialect = ${transcript.dialect === "HEAD" ? "head" : "0.5"} ; Sync = no ;`,
    accounts: transcript.accounts,
    clock: CLOCK,
    env: { ...process.env, KRB5_CONFIG: krb5Config, KRB5RCACHEDIR: directory },
  });
}

interface Replayed {
  readonly replies: Uint8Array[];
  readonly serverCloses: boolean;
}

/** Sends the client's bytes, and waits for the server's between them. */
async function replay(transcript: Transcript, port: number): Promise<Replayed> {
  const connection = await RawConnection.open(port);
  const replies: Uint8Array[] = [];
  try {
    for (const { from, bytes } of transcript.messages) {
      if (from === "client") {
        connection.send(Uint8Array.fromBase64(bytes!));
        continue;
      }
      const recorded = bytes === null ? undefined : Uint8Array.fromBase64(bytes);
      replies.push(await takeReplies(connection, recorded, replies.length));
    }
    const serverCloses = transcript.closed_first === "server" && await connection.closes();
    return { replies, serverCloses };
  } finally {
    connection.close();
  }
}

/** Our answer to a recorded reply: the same number of messages, of any length. */
async function takeReplies(
  connection: RawConnection,
  recorded: Uint8Array | undefined,
  index: number,
): Promise<Uint8Array> {
  if (index === 0) return connection.take(recorded!.length);
  const count = recorded === undefined ? 1 : splitMessages(recorded).length;
  const parts: Uint8Array[] = [];
  for (let at = 0; at < count; at++) {
    const message = await connection.takeMessage();
    const head = new Uint8Array(4);
    new DataView(head.buffer).setUint32(0, message.length);
    parts.push(head, message);
  }
  return Buffer.concat(parts);
}

function splitMessages(bytes: Uint8Array): Uint8Array[] {
  const messages: Uint8Array[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let at = 0; at < bytes.length;) {
    const length = view.getUint32(at);
    messages.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return messages;
}

/** A payload without the parts that may differ: stray memory, padding, and our additions. */
function comparable(plain: Uint8Array): unknown {
  const view = new DataView(plain.buffer, plain.byteOffset, plain.byteLength);
  const type = view.getUint32(0);
  if (type === 24) return { type, credential: unpacked(plain, 4).credential };
  if (type !== 26) return { type };
  const credentials = [];
  let at = 8;
  for (let left = view.getUint32(4); left > 0; left--) {
    const { credential, length } = unpacked(plain, at);
    credentials.push(credential);
    at += length;
  }
  return { type, credentials, end: at === plain.length };
}

function unpacked(plain: Uint8Array, at: number) {
  const { credential, length, dialect } = unpackCredential(plain, at);
  return {
    credential: { ...credential, krbCred: credential.krbCred.toHex(), dialect },
    length,
  };
}

function compare(name: string, transcript: Transcript, { replies, serverCloses }: Replayed): void {
  const { messages, decrypted, closed_first } = transcript;
  const recorded = messages.filter(({ from }) => from === "server").map(({ bytes }) => bytes);
  if (recorded.length > 0) {
    assert.deepEqual([...replies[0]!], [...Uint8Array.fromBase64(recorded[0]!)], "version");
  }
  const sent = replies.slice(1).flatMap(splitMessages);
  const expected = recorded.slice(1).flatMap((bytes) =>
    bytes === null ? [undefined] : splitMessages(Uint8Array.fromBase64(bytes))
  );
  assert.equal(sent.length, expected.length, "number of messages");
  const [first, ...rest] = sent;
  if (first !== undefined && expected[0]!.length > 0) {
    assert.equal(krbErrorCode(first), krbErrorCode(expected[0]!), "KRB-ERROR");
  } else if (first !== undefined) {
    assert.equal(first.length, 0);
    compareAuthenticated(name, transcript, rest);
  }
  if (closed_first === "server") assert(serverCloses, "the server closes");
  assert(decrypted !== undefined);
}

function compareAuthenticated(name: string, transcript: Transcript, sent: Uint8Array[]): void {
  const { decrypted } = transcript;
  const sessionKey = decrypted.ticket!.session_key;
  let sequence: number | undefined;
  if (decrypted.ap_rep !== undefined) {
    const apRep = openApRep(sent.shift()!, sessionKey);
    const { ctime, cusec } = decrypted.authenticator!;
    const time = new Date(ctime * 1000).toISOString().replace(/[-:T]|\..*/g, "");
    assert.equal(apRep.time, `${time}Z`);
    assert.equal(apRep.cusec, cusec);
    assert.deepEqual(apRep.subkey, decrypted.ap_rep.subkey);
    sequence = apRep.sequence!;
    assert(sequence < 2 ** 30);
  }
  const key = decrypted.subkey ?? sessionKey;
  const expected = (decrypted.priv ?? []).filter(({ from }) => from === "server");
  assert.equal(sent.length, expected.length, "number of KRB-PRIV");
  for (const [index, message] of sent.entries()) {
    const priv = openPriv(message, key);
    const { plain, s_address, r_address } = expected[index]!;
    if (sequence !== undefined) assert.equal(priv.sequence, sequence + index);
    assert.equal(priv.hasTime, false);
    assert.equal(priv.sender, addressOf(s_address));
    assert.equal(priv.receiver, addressOf(r_address));
    const better = BETTER[name]?.[index];
    const wanted = better === undefined ? comparable(plainOf(plain)) : { type: better };
    assert.deepEqual(comparable(priv.plain), wanted);
  }
}

async function compareMirrored(transcript: Transcript, port: number): Promise<void> {
  const connection = await RawConnection.open(port);
  const { decrypted, messages } = transcript;
  const [request] = decrypted.priv!;
  for (const { from, bytes } of messages) {
    const recorded = Uint8Array.fromBase64(bytes!);
    if (from === "client") connection.send(recorded);
    else await connection.take(recorded.length);
  }
  const priv = openPriv(await connection.takeMessage(), decrypted.subkey!);
  connection.close();
  assert.deepEqual(comparable(priv.plain), { type: PING_REPLY });
  assert.equal(priv.sender, addressOf(request!.s_address));
  assert.equal(priv.receiver, addressOf(request!.r_address));
}

function addressOf(address: { type: number; base64: string } | undefined): string | undefined {
  return address && `${address.type} ${Uint8Array.fromBase64(address.base64).toHex()}`;
}

suite("transcripts", SANDBOX_NEEDS, () => {
  const directories: string[] = [];
  after(() => directories.forEach((path) => rmSync(path, { recursive: true, force: true })));

  for (const name of NAMES) {
    const transcript = load(name);
    it(`${name}: ${transcript.description}`, async () => {
      const directory = mkdtempSync(join(tmpdir(), "mungebox-transcript-"));
      directories.push(directory);
      const auksd = await startDaemon(transcript, directory);
      try {
        for (const earlier of transcript.before) await replay(load(earlier), auksd.port);
        if (MIRRORED.test(name)) await compareMirrored(transcript, auksd.port);
        else compare(name, transcript, await replay(transcript, auksd.port));
      } finally {
        await auksd.stop();
      }
    });
  }
});
