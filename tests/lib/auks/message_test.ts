// Requests and replies: those of the real programs, our additions, and invalid ones.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { AUKS_ERRORS, AuksError } from "../../../lib/auks/errors.ts";
import {
  type AddReport,
  formatAddReply,
  formatDumpReply,
  formatErrorReply,
  formatGetReply,
  formatPlainReply,
  parseReply,
} from "../../../lib/auks/reply.ts";
import {
  formatRequest,
  MAX_REQUEST_LENGTH,
  parseRequest,
  type Request,
} from "../../../lib/auks/request.ts";
import { type Reason, reasonOfError, reasonOfNumber, REASONS } from "../../../lib/auks/reasons.ts";
import { packedCredential, record, seconds } from "./arbitraries.ts";
import { plainBytes, transcripts } from "./reference.ts";

const bytesOf = (...numbers: number[]) => Uint8Array.from(numbers);
const isError = (name: string) => (error: unknown) =>
  error instanceof AuksError && error.error === name;

const request: fc.Arbitrary<Request> = fc.oneof(
  fc.constantFrom("ping", "list", "close").map((type) => ({ type } as const)),
  record({ type: fc.constant("dump" as const), anyDialect: fc.boolean() }),
  record({
    type: fc.constant("add" as const),
    krbCred: fc.uint8Array({ minLength: 1, maxLength: 900 }),
    replicated: fc.boolean(),
    resent: fc.boolean(),
  }),
  record({
    type: fc.constant("get" as const),
    uid: seconds,
    anyDialect: fc.boolean(),
    claim: fc.boolean(),
  }),
  record({ type: fc.constant("remove" as const), uid: seconds, replicated: fc.boolean() }),
  record({
    type: fc.constant("remove" as const),
    uid: seconds,
    replicated: fc.constant(true),
    removedAt: seconds,
  }),
);

describe("requests", () => {
  /** How the real daemon interprets each message, by its name in the reference. */
  const TYPES: Readonly<Record<string, string>> = {
    PING: "ping",
    LIST: "list",
    ADD: "add",
    GET: "get",
    REMOVE: "remove",
    CLOSE: "close",
    DUMP: "dump",
  };
  /** Messages that the real daemon refuses outright. */
  const REFUSED: Readonly<Record<string, string>> = {
    "msg-add-length-negative.json": "CRED_TOO_LARGE",
    "msg-add-length-too-large.json": "CRED_TOO_LARGE",
    "msg-add-without-body.json": "CRED_NULL",
  };
  const sent = transcripts().flatMap(({ name, priv }) =>
    priv.filter(({ from }) => from === "client").map(({ plain, meaning }) => ({
      name,
      bytes: plainBytes(plain),
      meaning,
    }))
  );
  assert(sent.length > 300, `${sent.length}`);

  test(`the ${sent.length} of real programs are read as they were meant, and written the same`, () => {
    for (const { name, bytes, meaning } of sent) {
      const type = TYPES[meaning.name];
      const refused = type === undefined ? "AUKSD_UNKNOWN_REQUEST" : REFUSED[name];
      if (refused !== undefined && type !== "close") {
        assert.throws(() => parseRequest(bytes), isError(refused), name);
        continue;
      }
      const parsed = parseRequest(bytes);
      assert.equal(parsed.type, type, name);
      if (parsed.type === "get" || parsed.type === "remove") {
        assert.equal(parsed.uid, meaning["uid"] ?? 0, name);
      }
      if (parsed.type === "add") assert.equal(parsed.krbCred.length, meaning["length"], name);
      // Ours sends what the real client sent.
      if (!/^(head|0\.5\.4)-/.test(name)) continue;
      assert.deepEqual(formatRequest(parsed), bytes, name);
    }
  });

  test("any request survives formatting and parsing", () => {
    fc.assert(fc.property(request, (each) => {
      assert.deepEqual(parseRequest(formatRequest(each)), each);
    }));
  });

  test("truncated numbers are padded with zeros", () => {
    assert.deepEqual(parseRequest(bytesOf()), { type: "ping" });
    assert.deepEqual(parseRequest(bytesOf(0, 0)), { type: "ping" });
    assert.deepEqual(parseRequest(bytesOf(0, 0, 0, 3)), {
      type: "get",
      uid: 0,
      anyDialect: false,
      claim: false,
    });
    const cut = parseRequest(bytesOf(0, 0, 0, 3, 1));
    assert.deepEqual(cut, { type: "get", uid: 0x0100_0000, anyDialect: false, claim: false });
    assert.throws(() => parseRequest(bytesOf(1)), isError("AUKSD_UNKNOWN_REQUEST"));
  });

  test("anything after a request is ignored, unless it is our addition", () => {
    const behind = (...numbers: number[]) =>
      parseRequest(Uint8Array.from([...formatRequest({ type: "remove", uid: 7 }), ...numbers]));
    const mark = [0x6d, 0x62, 0x6f, 0x78];
    const isReplicated = (parsed: Request) => "replicated" in parsed && parsed.replicated;
    assert.equal(isReplicated(behind(...mark, 0, 0, 0, 1)), true);
    assert.equal(isReplicated(behind(...mark, 0, 0, 0, 3)), true, "with what a later one says");
    for (
      const tail of [
        [],
        [1],
        mark,
        [...mark, 0, 0, 0],
        [...mark, 0, 0, 0, 2],
        [...mark, 0, 0, 0, 1, 0],
        [0, ...mark, 0, 0, 0, 1],
      ]
    ) assert.equal(isReplicated(behind(...tail)), false, `${tail}`);
  });

  test("an ADD truncated anywhere is refused", () => {
    const bytes = formatRequest({ type: "add", krbCred: new Uint8Array(50) });
    for (let length = 4; length < bytes.length; length++) {
      assert.throws(
        () => parseRequest(bytes.subarray(0, length)),
        (error) =>
          isError("CRED_NULL")(error) || isError("CRED_READ")(error) ||
          isError("CRED_TOO_LARGE")(error),
        `${length}`,
      );
    }
  });

  test("any bytes are a request or refused", () => {
    fc.assert(fc.property(fc.nat(30), fc.uint8Array({ maxLength: 40 }), (type, rest) => {
      try {
        parseRequest(Uint8Array.from([0, 0, 0, type, ...rest]));
      } catch (error) {
        assert(error instanceof AuksError, `${error}`);
      }
    }));
  });
});

test("the largest request is an ADD of the largest KRB-CRED that is passed on", () => {
  const krbCred = new Uint8Array(32_768);
  assert.equal(
    formatRequest({ type: "add", krbCred, replicated: true }).length,
    MAX_REQUEST_LENGTH,
  );
  assert.equal(parseRequest(formatRequest({ type: "add", krbCred })).type, "add");
  const larger = formatRequest({ type: "add", krbCred: new Uint8Array(32_769) });
  assert.throws(() => parseRequest(larger), isError("CRED_TOO_LARGE"));
});

describe("replies", () => {
  const sent = transcripts().flatMap(({ name, dialect, priv }) =>
    priv.filter(({ from }) => from === "server").map(({ plain, meaning }) => ({
      name,
      dialect,
      bytes: plainBytes(plain),
      meaning,
    }))
  );
  assert(sent.length > 150, `${sent.length}`);

  test(`the ${sent.length} of real programs are read as they were meant`, () => {
    for (const { name, dialect, bytes, meaning } of sent) {
      const reply = parseReply(bytes);
      assert.equal(`${reply.type} reply`, meaning.name.toLowerCase(), name);
      const form = dialect === "HEAD" ? "head" : "0.5";
      switch (reply.type) {
        case "add":
          assert.equal(reply.report, undefined);
          break;
        case "error":
          assert.deepEqual(reply, { type: "error", reason: undefined, text: "" });
          break;
        case "get":
          assert.equal(reply.dialect, form, name);
          assert.equal(reply.credential.krbCred.length > 600, true);
          break;
        case "dump":
          assert.equal(reply.credentials.length, meaning["count"], name);
          assert.equal(reply.dialect, reply.credentials.length === 0 ? undefined : form, name);
          break;
        default:
          assert.deepEqual(formatPlainReply(reply.type), bytes);
      }
    }
  });

  test("an ADD's report follows the original's success", () => {
    const report = record<AddReport>({
      outcome: fc.constantFrom("stored", "kept"),
      uid: seconds,
      endtime: seconds,
      renewTill: seconds,
    });
    fc.assert(fc.property(report, (each) => {
      const bytes = formatAddReply(each);
      assert.deepEqual([...bytes.subarray(0, 4)], [0, 0, 0, 23]);
      assert.deepEqual(parseReply(bytes), { type: "add", report: each });
      for (let length = 4; length < bytes.length; length++) {
        const cut = parseReply(bytes.subarray(0, length));
        assert.deepEqual(cut, { type: "add", report: undefined });
      }
    }));
    const later = formatAddReply({ outcome: "stored", uid: 1, endtime: 2, renewTill: 3 });
    later[7] = 9;
    assert.deepEqual(parseReply(later), { type: "add", report: undefined });
  });

  for (const reason of Object.keys(REASONS) as Reason[]) {
    test(`an ERROR because of ${reason} follows the original's ERROR`, () => {
      const bytes = formatErrorReply(reason);
      assert.deepEqual([...bytes.subarray(0, 4)], [0, 0, 0, 21]);
      assert.deepEqual(parseReply(bytes), { type: "error", reason, text: REASONS[reason][2] });
    });
  }

  test("an ERROR's text is bounded, and safe for a terminal", () => {
    const text = (given: string) => {
      const reply = parseReply(formatErrorReply("other", given));
      assert(reply.type === "error");
      return reply.text;
    };
    assert.equal(text("caf\u00e9"), "caf\u00e9");
    assert.equal(text("\x1b[31mred\n\x9b\0"), " [31mred   ");
    assert.equal(text("x".repeat(5000)).length, 1024);
    assert.deepEqual(parseReply(formatErrorReply("other", "")), {
      type: "error",
      reason: "other",
      text: "",
    });
    const nothing = { type: "error", reason: undefined, text: "" };
    const bytes = formatErrorReply("notFound");
    for (let length = 4; length < bytes.length; length++) {
      assert.deepEqual(parseReply(bytes.subarray(0, length)), nothing);
    }
    bytes[8] = 255;
    assert.deepEqual(parseReply(bytes), nothing);
  });

  test("a later daemon's reason is other, with its text", () => {
    const bytes = formatErrorReply("notFound", "for a reason of tomorrow");
    bytes[6] = 1;
    assert.deepEqual(parseReply(bytes), {
      type: "error",
      reason: "other",
      text: "for a reason of tomorrow",
    });
  });

  test("GET and DUMP in every packing survive formatting and parsing", () => {
    const packing = record({
      dialect: fc.constantFrom("0.4", "0.5", "head"),
      compact: fc.boolean(),
    });
    const credentials = fc.array(packedCredential, { maxLength: 5 });
    fc.assert(fc.property(credentials, packing, (list, { dialect, compact }) => {
      const stored = list.map((each) => ({
        ...each,
        crossrealm: each.crossrealm && dialect === "head",
      }));
      const dump = parseReply(formatDumpReply(stored, { dialect, compact }));
      assert(dump.type === "dump");
      assert.deepEqual(dump.credentials, stored);
      const [first] = stored;
      if (first === undefined) return;
      const get = parseReply(formatGetReply(first, { dialect, compact }));
      assert(get.type === "get");
      assert.deepEqual(get.credential, first);
    }));
  });

  test("a GET or DUMP truncated anywhere is refused", () => {
    const [credential] = fc.sample(packedCredential, { numRuns: 1, seed: 3 });
    const packing = { dialect: "head", compact: true } as const;
    for (
      const bytes of [
        formatGetReply(credential!, packing),
        formatDumpReply([credential!, credential!], packing),
      ]
    ) {
      for (let length = 4; length < bytes.length; length++) {
        const isEmptyDump = bytes[3] === 26 && length < 8;
        // A truncated count is read as 0.
        if (isEmptyDump) continue;
        const cut = () => parseReply(bytes.subarray(0, length));
        assert.throws(cut, isError("API_REPLY_CORRUPTED"), `${length}`);
      }
    }
  });

  test("a DUMP that claims billions is refused at the first missing one", () => {
    const bytes = bytesOf(0, 0, 0, 26, 255, 255, 255, 255);
    assert.throws(() => parseReply(bytes), isError("API_REPLY_CORRUPTED"));
  });

  test("messages that are not replies are refused", () => {
    for (const bytes of [bytesOf(), bytesOf(0, 0, 0, 0), bytesOf(0, 0, 0, 22), bytesOf(20)]) {
      assert.throws(() => parseReply(bytes), isError("API_REPLY_TYPE"), `${bytes}`);
    }
  });
});

describe("reasons", () => {
  test("each has a number and an error of its own", () => {
    const rows = Object.values(REASONS);
    assert.equal(new Set(rows.map(([number]) => number)).size, rows.length);
    assert.equal(new Set(rows.map(([, error]) => error)).size, rows.length);
    for (const [, error] of rows) assert(error in AUKS_ERRORS);
  });

  test("are found for an error and for a number, known or not", () => {
    assert.equal(reasonOfError(new AuksError("CRED_NO_ACCOUNT")), "noAccount");
    assert.equal(reasonOfError(new AuksError("STREAM_READ")), "other");
    assert.equal(reasonOfNumber(2), "notFound");
    assert.equal(reasonOfNumber(0), "other");
  });
});
