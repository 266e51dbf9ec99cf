// A client of soak.ts: makes and opens credentials, opens them again, damages them, sends nonsense, and knows the right
// answer to each. Every second it prints its counts as a line of JSON.
//   bun soak_client.ts SOCKET
import { writeSync } from "node:fs";
import { ERRNO, MungeError } from "../../lib/errors.ts";
import { CIPHERS } from "../../lib/credential/cipher.ts";
import { MACS } from "../../lib/credential/mac.ts";
import { ANY_ID, formatDecodeRequest, formatEncodeRequest } from "../../lib/protocol/message.ts";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { fixedMemory, ptr } from "../../lib/os/libc.ts";
import { close, receive } from "../../lib/os/socket.ts";
import { ZIPS } from "../../lib/credential/zip.ts";
import { encodeRequest } from "../requests.ts";
import { connect, endSending, sendSome } from "./connection.ts";

/** What a client did since its last report. */
export interface SoakCounts {
  encodes: number;
  decodes: number;
  replays: number;
  /** Damaged credentials and malformed messages. */
  garbage: number;
  /** Requests not answered in time. */
  unanswered: number;
  /** Descriptions of wrong answers. */
  wrong: string[];
}

/** Pause between two rounds; the load is meant to be long, not heavy. */
const PAUSE_MS = 10;
const REPORT_MS = 1_000;
const TTL = 60;
const LENGTHS = [0, 1, 16, 100, 100, 1_000, 4_000, 30_000];
const LARGE_LENGTH = 1_048_576;
/** One round in this many has the largest possible payload. */
const LARGE_EVERY = 500;

const numbers = (table: readonly { readonly name: string; readonly number: number }[]) =>
  table.filter(({ name }) => name !== "default").map(({ number }) => number);
/** A MAC must be at least as long as the cipher's key. */
const TYPES = numbers(CIPHERS).flatMap((cipher) =>
  numbers(MACS).filter((mac) => mac !== 0 && MACS[mac]!.length >= CIPHERS[cipher]!.keyLength)
    .map((mac) => ({ cipher, mac }))
);
const ZIP_NUMBERS = numbers(ZIPS);

const [uid, gid] = [process.geteuid!(), process.getegid!()];
const noise = new Uint8Array(LARGE_LENGTH);
for (let at = 0; at < noise.length; at += 65_536) {
  globalThis.crypto.getRandomValues(noise.subarray(at, at + 65_536));
}
const answer = new Uint8Array(fixedMemory(65_536));
const answerAddress: number = ptr(answer);

function below(limit: number): number {
  return Math.floor(Math.random() * limit);
}

function pick<T>(list: readonly T[]): T {
  return list[below(list.length)]!;
}

function newCounts(): SoakCounts {
  return { encodes: 0, decodes: 0, replays: 0, garbage: 0, unanswered: 0, wrong: [] };
}

/** The first bytes of the answer to a message; none if the daemon hangs up. */
function talk(path: string, message: Uint8Array, ending: "half-close" | "close"): Uint8Array {
  const fd = connect(path, 0);
  sendSome(fd, message);
  if (ending === "half-close") endSending(fd);
  const count = ending === "close" ? 0 : receive(fd, answerAddress, answer.length);
  close(fd);
  return answer.subarray(0, Math.max(0, count));
}

function round(path: string, client: BlockingClient, number: number, counts: SoakCounts): void {
  const expect = (what: string, got: unknown, wanted: unknown) => {
    if (got !== wanted) counts.wrong.push(`${what}: ${got} instead of ${wanted}`);
  };
  const length = number % LARGE_EVERY === LARGE_EVERY - 1 ? LARGE_LENGTH : pick(LENGTHS);
  const start = below(noise.length - length + 1);
  const payload = noise.subarray(start, start + length);
  const { cipher, mac } = pick(TYPES);
  const isForUs = below(4) === 0;
  const made = client.encode({
    cipher,
    mac,
    zip: pick(ZIP_NUMBERS),
    realm: "",
    ttl: TTL,
    uidRestriction: isForUs ? uid : ANY_ID,
    gidRestriction: isForUs ? gid : ANY_ID,
    payload,
  });
  counts.encodes++;
  expect("encode", made.errno, 0);
  const credential = made.credential.slice();

  // The damaged one first: it must not make the intact one a replay.
  const damaged = credential.slice();
  const at = 6 + below(damaged.length - 7);
  damaged[at]! ^= 1 << below(5);
  counts.garbage++;
  const refused = client.decode({ credential: damaged });
  // Some bits of base64 are unused, and "=" may be moved; then it is still the intact credential.
  const isOpened = refused.errno === 0;
  if (isOpened) expect("damaged payload", Buffer.compare(refused.payload, payload), 0);

  const opened = client.decode({ credential });
  counts.decodes++;
  expect("decode", opened.errno, isOpened ? ERRNO.EMUNGE_CRED_REPLAYED : 0);
  expect("payload", Buffer.compare(opened.payload, payload), 0);
  expect("UID", opened.uid, uid);
  expect("GID", opened.gid, gid);
  expect("cipher", opened.cipher, cipher);
  expect("MAC", opened.mac, mac);
  expect("TTL", opened.ttl, TTL);

  counts.replays++;
  expect("replay", client.decode({ credential }).errno, ERRNO.EMUNGE_CRED_REPLAYED);

  counts.garbage++;
  const request = formatDecodeRequest({ credential }, 0);
  switch (number % 5) {
    case 0:
      expect("noise", talk(path, noise.subarray(start, start + 100), "half-close").length, 0);
      break;
    case 1:
      expect("half a message", talk(path, request.subarray(0, -1), "half-close").length, 0);
      break;
    case 2:
      talk(path, request, "close"); // no client waits for the answer
      break;
    case 3: {
      const endless = request.slice();
      endless.fill(0xff, 7, 11);
      expect("length", talk(path, endless, "half-close").length, 0);
      break;
    }
    case 4: {
      const strange = formatEncodeRequest(encodeRequest({ cipher: 200, mac }), 0);
      expect("unknown cipher", talk(path, strange, "half-close")[11] === 0, false);
      break;
    }
  }
}

function run(path: string): void {
  const client = new BlockingClient(path);
  let counts = newCounts();
  let reported = performance.now();
  for (let number = 0;; number++) {
    try {
      round(path, client, number, counts);
    } catch (error) {
      if (!(error instanceof MungeError)) throw error;
      counts.unanswered++;
    }
    if (performance.now() - reported > REPORT_MS) {
      writeSync(1, `${JSON.stringify(counts)}\n`);
      counts = newCounts();
      reported = performance.now();
    }
    Bun.sleepSync(PAUSE_MS);
  }
}

if (import.meta.main) run(process.argv[2]!);
