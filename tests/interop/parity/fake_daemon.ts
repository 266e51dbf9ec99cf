// A misbehaving daemon, for cases about clients: fake_daemon.ts SOCKET FAULT
import { createServer, type Socket } from "node:net";

const [path = "", fault = ""] = process.argv.slice(2);
const MAGIC = 0x00606d4b;
const VERSION = 4;
const ENCODE_RESPONSE = 3;

/** A message of the transport protocol; `length` may be wrong. */
function message(
  body: Buffer,
  head: { magic?: number; version?: number; type?: number; length?: number } = {},
): Buffer {
  const header = Buffer.alloc(11);
  header.writeUInt32BE(head.magic ?? MAGIC, 0);
  header.writeUInt8(head.version ?? VERSION, 4);
  header.writeUInt8(head.type ?? ENCODE_RESPONSE, 5);
  header.writeUInt8(0, 6);
  header.writeUInt32BE(head.length ?? body.length, 7);
  return Buffer.concat([header, body]);
}

/** The body of an encode response. */
function response(errno: number, text: string, credential: string): Buffer {
  const error = text === "" ? Buffer.alloc(0) : Buffer.from(`${text}\0`);
  const data = Buffer.from(credential === "" ? "" : `${credential}\0`);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  return Buffer.concat([Buffer.from([errno, error.length]), error, length, data]);
}

const good = response(0, "", "MUNGE:x:");
let requests = 0;

/** The answer for each fault; undefined hangs. */
const FAULTS: Readonly<Record<string, () => Buffer | undefined>> = {
  close: () => Buffer.alloc(0),
  magic: () => message(good, { magic: 0x09606d4b }),
  version: () => message(good, { version: 9 }),
  type: () => message(good, { type: 2 }),
  "unknown-type": () => message(good, { type: 5 }),
  "second-try": () => requests === 1 ? Buffer.alloc(0) : message(good),
  "error-text": () => message(response(1, "my text", "")),
  "error-code": () => message(response(10, "", "")),
  "unknown-error": () => message(response(99, "", "")),
  empty: () => message(response(0, "", "")),
  short: () => message(good, { length: good.length + 4 }),
  extra: () => Buffer.concat([message(good), Buffer.from("more")]),
  unpack: () => message(good.subarray(0, 4)),
  huge: () => message(good, { length: 0x7fffffff }),
  hang: () => undefined,
};

createServer((client: Socket) => {
  client.once("data", () => {
    requests++;
    const answer = FAULTS[fault]!();
    if (answer !== undefined) client.end(answer);
  });
  client.on("error", () => client.destroy());
}).listen(path);
