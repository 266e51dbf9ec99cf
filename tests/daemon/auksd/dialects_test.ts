// How auksd packs credentials, by Dialect and by client.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Accounts } from "../../../daemon/auksd/accounts.ts";
import { CacheDirectory } from "../../../daemon/auksd/cache_directory.ts";
import { InProgress } from "../../../daemon/auksd/in_progress.ts";
import { answerRequest, type RequestContext } from "../../../daemon/auksd/requests.ts";
import { Store } from "../../../daemon/auksd/store.ts";
import { DIALECT_SETTINGS, type DialectSetting } from "../../../lib/auks/own_config.ts";
import { formatKrbCred } from "../../../lib/auks/krb_cred_writer.ts";
import { parseKrbCred } from "../../../lib/auks/krb_cred.ts";
import { formatRequest, type Request } from "../../../lib/auks/request.ts";
import { parseReply, type Reply } from "../../../lib/auks/reply.ts";
import { parseSendFile } from "../../../lib/auks/send_file.ts";
import { referenceFile } from "../../lib/auks/reference.ts";

const ADMIN = {
  principal: "host/mngt.realm.a@REALM.A",
  role: "admin",
  address: "127.0.0.1",
} as const;

/** Bob's ticket, its session key long enough for a KRB-CRED of this size. */
function sized(length: number): Uint8Array {
  const cred = parseKrbCred(parseSendFile(referenceFile("send-bob")).krbCred);
  const made = (bytes: number) => {
    const key = { enctype: 18, bytes: new Uint8Array(bytes) };
    return formatKrbCred({ ...cred, credentials: [{ ...cred.credentials[0]!, key }] });
  };
  return made(1000 + length - made(1000).length);
}

let folder = "";
let directory: CacheDirectory;
let store: Store;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "auksd-dialects-"));
  directory = new CacheDirectory(folder, false);
  store = new Store(directory);
});
after(async () => {
  await store.stop();
  rmSync(folder, { recursive: true });
});

/** Asks a daemon that maps every principal to user 2000. */
async function ask(dialect: DialectSetting, request: Request): Promise<Reply> {
  const context: RequestContext = {
    store,
    accounts: { uidOf: () => Promise.resolve(2000) } as unknown as Accounts,
    packing: DIALECT_SETTINGS[dialect],
    acl: { rules: [], warnings: [] },
    replication: undefined,
    inProgress: new InProgress(1),
    finished: () => {},
  };
  const answer = await answerRequest(formatRequest(request), ADMIN, context);
  return parseReply(typeof answer === "function" ? answer() : answer!);
}

const dialectOf = (reply: Reply) => "dialect" in reply ? reply.dialect : reply.type;

describe("a small ticket", () => {
  for (
    const [dialect, foreign, ours] of [
      ["auto", "0.5", "head"],
      ["0.4", "0.4", "0.4"],
      ["0.5", "0.5", "0.5"],
      ["head", "head", "head"],
    ] as const
  ) {
    test(`Dialect = ${dialect}: a client of the original gets ${foreign}, one of ours ${ours}`, async () => {
      await ask(dialect, { type: "add", krbCred: sized(2000) });
      for (const anyDialect of [false, true]) {
        const expected = anyDialect ? ours : foreign;
        assert.equal(
          dialectOf(await ask(dialect, { type: "get", uid: 2000, anyDialect })),
          expected,
        );
        assert.equal(dialectOf(await ask(dialect, { type: "dump", anyDialect })), expected);
      }
      await ask(dialect, { type: "remove", uid: 2000 });
    });
  }
});

describe("a ticket larger than AUKS 0.5 takes", () => {
  const large = { type: "add", krbCred: sized(4097) } as const;

  test("Dialect = auto: our clients get it, the original's get a reason for the refusal", async () => {
    assert.equal((await ask("auto", large)).type, "add");
    const ours = await ask("auto", { type: "get", uid: 2000, anyDialect: true });
    assert(ours.type === "get" && ours.credential.krbCred.length === 4097);
    const foreign = await ask("auto", { type: "get", uid: 2000 });
    assert(foreign.type === "error" && foreign.reason === "tooLarge");
    const counts = await Promise.all([false, true].map(async (anyDialect) => {
      const reply = await ask("auto", { type: "dump", anyDialect });
      return reply.type === "dump" ? reply.credentials.length : undefined;
    }));
    assert.deepEqual(
      counts,
      [0, 1],
      "what a client can't read is left out, so that it can read the rest",
    );
    await ask("auto", { type: "remove", uid: 2000 });
  });

  test("Dialect = 0.5: it is refused, and one of 4096 bytes is not", async () => {
    const refused = await ask("0.5", large);
    assert(refused.type === "error" && refused.reason === "tooLarge");
    assert.equal((await ask("0.5", { type: "add", krbCred: sized(4096) })).type, "add");
  });
});
