// AUKS's formats as fuzzing targets. Accepted input must survive parsing and formatting.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAcl, roleOf } from "../../lib/auks/acl.ts";
import { parseCcache, tgtsOf } from "../../lib/auks/ccache.ts";
import { formatCcache } from "../../lib/auks/ccache_writer.ts";
import { clientConfig, daemonConfig } from "../../lib/auks/config.ts";
import { AuksError } from "../../lib/auks/errors.ts";
import { parseBlocks } from "../../lib/auks/grammar.ts";
import { formatKrbCred } from "../../lib/auks/krb_cred_writer.ts";
import { MAX_KRB_CRED_LENGTH, parseKrbCred } from "../../lib/auks/krb_cred.ts";
import { nonTgtReason, summarizeKrbCred } from "../../lib/auks/krb_cred_summary.ts";
import { formatAddReply, formatErrorReply, parseReply } from "../../lib/auks/reply.ts";
import { formatRequest, parseRequest } from "../../lib/auks/request.ts";
import {
  type Dialect,
  packCredential,
  unpackCredential,
} from "../../lib/auks/packed_credential.ts";
import { formatPrincipal, parsePrincipal } from "../../lib/auks/principal.ts";
import { formatSendFile, parseSendFile } from "../../lib/auks/send_file.ts";
import type { Target } from "./target.ts";

const REFERENCE = join(import.meta.dirname, "../auks/reference");
const isRefusal = (error: unknown) => error instanceof AuksError;
const file = (name: string) => new Uint8Array(readFileSync(join(REFERENCE, "files", name)));
const sent = () => ["send-bob", "send-carol-two-tgts"].map(file);
const stored = () => sent().map(parseSendFile);
const DIALECTS: readonly Dialect[] = ["0.4", "0.5", "head"];

/** Reference configuration files that the real parser accepts, and ours as well. */
function configurations(extension: string, read: (bytes: Uint8Array) => void): Uint8Array[] {
  const folder = join(REFERENCE, "configs");
  return readdirSync(folder).filter((name) => name.endsWith(extension))
    .map((name) => new Uint8Array(readFileSync(join(folder, name))))
    .filter((bytes) => {
      try {
        read(bytes);
        return true;
      } catch (error) {
        if (isRefusal(error)) return false;
        throw error;
      }
    });
}

function readKrbCred(bytes: Uint8Array): void {
  const cred = parseKrbCred(bytes);
  const zero = cred.timestamp === 0 ||
    cred.credentials.some(({ authtime, starttime, renewTill, flags }) =>
      [authtime, starttime, renewTill, flags].includes(0)
    );
  // Fields that AUKS does not use are read but not written.
  const again = formatKrbCred(cred);
  if (!zero && again.length === bytes.length) assert.deepEqual(again, bytes);
  assert.deepEqual(parseKrbCred(again).credentials, cred.credentials);
  nonTgtReason(cred);
  summarizeKrbCred(cred);
}

function readConfiguration(bytes: Uint8Array): void {
  const blocks = parseBlocks(bytes, "FILE");
  const context = { file: "FILE", knownRealms: ["REALM.A"] };
  const failures: unknown[] = [];
  for (const read of [clientConfig, daemonConfig]) {
    try {
      read(blocks, context);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      failures.push(error);
    }
  }
  if (failures.length === 2) throw failures[0];
}

function readAcl(bytes: Uint8Array): void {
  const acl = parseAcl(bytes, "FILE", ["REALM.A"]);
  for (
    const principal of ["bob@REALM.A", "host/mngt.realm.a@REALM.A", `${"a".repeat(119)}@REALM.A`]
  ) {
    roleOf(acl, principal, Uint8Array.of(127, 0, 0, 1));
  }
}

/** AUKS's formats. */
export const AUKS_TARGETS: readonly Target[] = [
  {
    name: "auks-krb-cred",
    corpus: () => stored().map(({ krbCred }) => krbCred.slice()),
    read: readKrbCred,
    isRefusal,
  },
  {
    name: "auks-ccache",
    corpus: () =>
      ["ccache-bob", "ccache-bob-addresses", "ccache-carol-two-tgts", "cachedir-head/aukscc_2002"]
        .map(file),
    read: (bytes) => {
      const ccache = parseCcache(bytes);
      const again = formatCcache(ccache.principal, ccache.credentials);
      assert.deepEqual(parseCcache(again), ccache);
      assert(tgtsOf(ccache).length <= 2);
    },
    isRefusal,
  },
  {
    name: "auks-packed-credential",
    corpus: () =>
      DIALECTS.flatMap((dialect) => stored().map((each) => packCredential(each, dialect, true))),
    read: (bytes) => {
      const { credential, length } = unpackCredential(bytes);
      assert(length <= bytes.length && credential.krbCred.length <= MAX_KRB_CRED_LENGTH);
    },
    isRefusal,
  },
  {
    name: "auks-send-file",
    corpus: sent,
    read: (bytes) => {
      const credential = parseSendFile(bytes);
      assert.deepEqual(parseSendFile(formatSendFile(credential)), credential);
    },
    isRefusal,
  },
  {
    name: "auks-request",
    corpus: () => [
      ...(["ping", "list", "close", "dump"] as const).map((type) => formatRequest({ type })),
      formatRequest({ type: "get", uid: 2000, anyDialect: true }),
      formatRequest({ type: "remove", uid: 2000, replicated: true }),
      ...stored().map(({ krbCred }) => formatRequest({ type: "add", krbCred, replicated: true })),
    ],
    read: (bytes) => {
      const request = parseRequest(bytes);
      assert.deepEqual(parseRequest(formatRequest(request)), request);
    },
    isRefusal,
  },
  {
    name: "auks-reply",
    corpus: () => [
      formatAddReply({ outcome: "kept", uid: 2000, endtime: 1, renewTill: 2 }),
      formatErrorReply("notFound"),
      ...stored().map((each) =>
        Uint8Array.from([0, 0, 0, 24, ...packCredential(each, "head", true)])
      ),
      Uint8Array.from([
        ...[0, 0, 0, 26, 0, 0, 0, 2],
        ...stored().flatMap((each) => [...packCredential(each, "0.5", true)]),
      ]),
    ],
    read: (bytes) => void parseReply(bytes),
    isRefusal,
  },
  {
    name: "auks-conf",
    corpus: () => configurations(".conf", readConfiguration),
    tokens: [
      ...["common", "api", "auksd", "renewer", "mungebox", "Dialect", "Replicate", "head"],
      ...["{", "}", "=", ";", '"', "'", "#", "\\", "\n", "\r", " yes ", " 99999999999 "],
    ],
    read: readConfiguration,
    isRefusal,
  },
  {
    name: "auks-acl",
    corpus: () => configurations(".acl", readAcl),
    tokens: [
      ...[
        "rule { principal = ",
        "host = * ;",
        "role = user ; }",
        "/REALM.A$",
        "*",
        "^",
        "$",
        "(",
        ")",
      ],
      ..."|?+.[]{}",
      ...["{2,9}", "[[:alnum:]]", "\\1", "\\b", "\\w", "(a*)*", "{99}", "[a-z]"],
    ],
    read: readAcl,
    isRefusal,
  },
  {
    name: "auks-principal",
    corpus: () =>
      ["bob@REALM.A", "host/mngt.realm.a@REALM.A", "a\\/b\\n@R\\@S"].map((name) =>
        new Uint8Array(Buffer.from(name))
      ),
    tokens: ["/", "@", "\\", "\\n", "\\0"],
    read: (bytes) => {
      const principal = parsePrincipal(new TextDecoder().decode(bytes));
      assert.deepEqual(parsePrincipal(formatPrincipal(principal)), principal);
    },
    isRefusal,
  },
];
