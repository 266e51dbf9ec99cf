// MUNGE's formats as fuzzing targets: credentials, messages, configuration and command lines.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArguments, parseConfig } from "../../cli/munged/munged.ts";
import { formatMessage, parseMessage } from "../../daemon/munged/handover/messages.ts";
import { slotOf, tagIn } from "../../daemon/munged/replay_store/slots.ts";
import { shardsIn, UnexpectedAnswer } from "../../daemon/munged/replay_store/topology.ts";
import { armor, unarmor } from "../../lib/credential/armor.ts";
import { CIPHERS } from "../../lib/credential/cipher.ts";
import { openBytes } from "../../lib/credential/open.ts";
import { sealBytes } from "../../lib/credential/seal.ts";
import { MACS } from "../../lib/credential/mac.ts";
import { deriveSubkeys } from "../../lib/credential/subkeys.ts";
import { ZIPS } from "../../lib/credential/zip.ts";
import { primitives } from "../../lib/primitives/executable.ts";
import { MungeError } from "../../lib/errors.ts";
import {
  formatDecodeRequest,
  formatDecodeResponse,
  formatEncodeRequest,
  formatEncodeResponse,
  formatKeepRequest,
  formatKeepResponse,
  formatLimitsRequest,
  formatLimitsResponse,
  formatStatusRequest,
  formatStatusResponse,
  HEADER_LENGTH,
  MESSAGE_TYPE,
  parseDecodeRequest,
  parseDecodeResponse,
  parseEncodeRequest,
  parseEncodeResponse,
  parseHeader,
  parseKeepResponse,
  parseLimitsResponse,
  parseStatusResponse,
  RESET_DECODE_RESPONSE,
} from "../../lib/protocol/message.ts";
import { readVectors } from "../vectors/vectors.ts";
import type { Target } from "./target.ts";

const { key, random, vectors } = readVectors();
const subkeys = deriveSubkeys(key, primitives);
const isRefusal = (error: unknown) => error instanceof MungeError;
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));
const open = (text: string) => openBytes(unarmor(text), [subkeys], primitives);

/** The bytes of every vector; no other credentials are ever authentic. */
const authentic = new Set(vectors.map(({ credential }) => latin1(unarmor(credential))));

function isAuthentic(bytes: Uint8Array): void {
  assert(authentic.has(latin1(bytes)), "a forged credential is accepted");
}

/** OUTER and INNER of unencrypted credentials, which are covered by the MAC. */
function plainCredentials(): Uint8Array[] {
  return vectors.map(({ fields }) => {
    const mac = MACS[fields.mac]!;
    const bytes = sealBytes({ ...fields, cipher: 0 }, subkeys, random, primitives);
    const outerLength = outerLengthOf(bytes);
    return Uint8Array.from([
      ...bytes.subarray(0, outerLength),
      ...bytes.subarray(outerLength + mac.length),
    ]);
  });
}

/** Version, cipher, MAC, compression, realm's length, realm; and no IV. */
function outerLengthOf(bytes: Uint8Array): number {
  return 5 + (bytes[4] ?? 0);
}

/** Authenticates what a peer with the key may have sent. */
function readAuthenticated(bytes: Uint8Array): void {
  const outerLength = outerLengthOf(bytes);
  const mac = MACS[bytes[2] ?? 0];
  const isKnown = bytes[1] === 0 && mac !== undefined && mac.length > 0 && mac.name !== "default";
  if (outerLength > bytes.length || !isKnown) throw new MungeError("EMUNGE_BAD_CRED");
  const tag = primitives.hmac(mac, subkeys.mac, bytes);
  open(armor(Uint8Array.from([
    ...bytes.subarray(0, outerLength),
    ...tag,
    ...bytes.subarray(outerLength),
  ])));
}

const TYPES = { cipher: CIPHERS[4]!.number, mac: MACS[5]!.number, zip: ZIPS[0]!.number } as const;
const RESTRICTIONS = { uidRestriction: 0xffff_ffff, gidRestriction: 0xffff_ffff } as const;
const NAMES = new Map<number, keyof typeof MESSAGE_TYPE>(
  Object.entries(MESSAGE_TYPE).map(([name, type]) => [type, name as keyof typeof MESSAGE_TYPE]),
);

/** The parser for the body of each message. */
const BODIES: { readonly [name in keyof typeof MESSAGE_TYPE]: (body: Uint8Array) => unknown } = {
  encodeRequest: parseEncodeRequest,
  encodeResponse: parseEncodeResponse,
  decodeRequest: parseDecodeRequest,
  decodeResponse: parseDecodeResponse,
  statusRequest: () => undefined,
  statusResponse: parseStatusResponse,
  limitsRequest: () => undefined,
  keepRequest: () => undefined,
  keepResponse: parseKeepResponse,
  limitsResponse: parseLimitsResponse,
};

function messages(): Uint8Array[] {
  const payload = bytesOf("payload");
  return [
    formatEncodeRequest({ ...TYPES, ...RESTRICTIONS, realm: "a", ttl: 0, payload }, 1),
    formatEncodeResponse(
      { errno: 0, errorText: "", credential: bytesOf(vectors[0]!.credential) },
      0,
    ),
    formatEncodeResponse({ errno: 6, errorText: "failed", credential: new Uint8Array(0) }, 0),
    formatDecodeRequest({ credential: bytesOf(vectors[0]!.credential) }, 0),
    formatDecodeResponse({ ...RESET_DECODE_RESPONSE, errno: 0, errorText: "", payload }, 0),
    formatStatusRequest(0),
    formatStatusResponse('{"pid":1}', 0),
    formatLimitsRequest(0),
    formatLimitsResponse(8_388_608, 0),
    formatKeepRequest(0),
    formatKeepResponse({ idleMs: 10_000, maxLength: 16_384, maxInFlight: 64 }, 0),
  ];
}

const settingsFolder = mkdtempSync(join(tmpdir(), "fuzz-munge-"));
process.on("exit", () => rmSync(settingsFolder, { recursive: true, force: true }));
const settingsFile = join(settingsFolder, "munge.conf");

/** MUNGE's formats. */
export const MUNGE_TARGETS: readonly Target[] = [
  {
    name: "munge-credential",
    corpus: () => vectors.map(({ credential }) => bytesOf(credential)),
    tokens: ["MUNGE:", ":", "=", "A", " ", "\n"],
    read: (bytes) => {
      const text = latin1(bytes);
      open(text);
      isAuthentic(unarmor(text));
    },
    isRefusal,
  },
  {
    name: "munge-credential-bytes",
    corpus: () => vectors.map(({ credential }) => unarmor(credential)),
    read: (bytes) => {
      open(armor(bytes));
      isAuthentic(bytes);
    },
    isRefusal,
  },
  { name: "munge-inner", corpus: plainCredentials, read: readAuthenticated, isRefusal },
  {
    name: "munge-message",
    corpus: messages,
    read: (bytes) => {
      if (bytes.length < HEADER_LENGTH) throw new MungeError("EMUNGE_SOCKET");
      const name = NAMES.get(parseHeader(bytes).type);
      if (name === undefined) throw new MungeError("EMUNGE_SOCKET");
      BODIES[name](bytes.subarray(HEADER_LENGTH));
    },
    isRefusal,
  },
  {
    name: "munged-handover",
    corpus: () =>
      [
        {
          kind: "hello",
          oldest: 1,
          newest: 1,
          version: "0.1.0",
          socket: "/run/munge/munge.socket.2",
        },
        { kind: "welcome", protocol: 1, version: "0.1.0", isManagers: true, notifySocket: "@n" },
        { kind: "refused", reason: "no" },
        { kind: "go" },
      ].map((message) => bytesOf(JSON.stringify(message))),
    tokens: ['"kind":', '"go"', "__proto__", "constructor", "null", "true", "[]", "{}", "1e999"],
    read: (bytes) => {
      const message = parseMessage(bytes);
      assert.deepEqual(parseMessage(formatMessage(message)), message);
    },
    isRefusal: (error) =>
      error instanceof Error && /^Received an (?:invalid|unknown) message/.test(error.message),
  },
  {
    name: "replay-store-cluster",
    corpus: () =>
      [
        '[[0,5460,["10.0.0.1",7000,"id"],["10.0.0.2",7000,"id"]],[5461,16383,["",7001,"id"]]]',
        '[[0,16383,[null,7000,"id"]]]',
      ].map(bytesOf),
    tokens: ["[", "]", ",", '"?"', "null", "16384", "-1", "1e9", "{}"],
    read: (bytes) => {
      for (const { ranges } of shardsIn(JSON.parse(latin1(bytes)), { host: "h", port: 1 })) {
        const slot = slotOf(tagIn(ranges).slice(1, -1));
        assert(ranges.some(([first, last]) => first <= slot && slot <= last));
      }
    },
    isRefusal: (error) => error instanceof UnexpectedAnswer || error instanceof SyntaxError,
  },
  {
    name: "munge-conf",
    corpus: () =>
      [
        "# a comment\nttl = 300\nnum-threads=2\n",
        'origin = "0.0.0.0"\nMUNGE_TTL=9\n',
        "replay-store=rediss+sentinel://u@h:1/m,rediss+sentinel://u@[::1]/m\nreplay-scope=host\n",
        "security=a=modern\nallow-macs=decode:sha1,5\naccept-origin=10.0.0.0/8,192.0.2.1\n",
      ].map(bytesOf),
    tokens: [
      "replay-store=",
      "redis+cluster://",
      "@",
      "allow-ciphers=",
      "accept-origin=",
      "encode:",
      "/32",
      "ttl",
      "max-ttl",
      "key-file",
      "socket",
      "group-update-time",
      " = ",
      "#",
      '"',
      "\n",
      "-1",
      "/x",
    ],
    read: (bytes) => {
      writeFileSync(settingsFile, bytes, { mode: 0o600 });
      parseConfig("munged", [`--config=${settingsFile}`], {});
    },
    isRefusal,
  },
  {
    name: "munge-command-line",
    corpus: () => ["--ttl\x00300\x00-F", "--num-threads=2\x00--origin=127.0.0.1"].map(bytesOf),
    tokens: [
      "\0",
      "--",
      "-",
      "=",
      "--ttl",
      "--key-file",
      "--max-ttl=",
      "-v",
      "-F",
      "--realm=",
      "99999999999",
    ],
    read: (bytes) => {
      const words = latin1(bytes).split("\0");
      // Options that print and end the program are left out.
      if (words.some((word) => /^-[^-]*[hLV]|^--[hlv]/.test(word))) return;
      parseArguments("munged", words);
    },
    isRefusal,
  },
];
