// Clients that send all but the end of long requests and then wait.
//   slow_clients.ts SOCKET SECONDS UID
import { createConnection, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const [, , path, seconds, uid] = process.argv;
const CLIENTS = 60;
const LENGTH = 1_000_000;
/** munged gives up on them after two seconds. */
const PATIENCE_MS = 2_500;

process.setuid!(Number(uid));
const request = Buffer.alloc(LENGTH);
request.writeUInt32BE(0x00606d4b); // the header: magic number, version, type (a request to encode), retries, length
request.set([4, 2, 0], 4);
request.writeUInt32BE(LENGTH, 7);

for (const end = performance.now() + 1000 * Number(seconds); performance.now() < end;) {
  const clients: Socket[] = [];
  for (let count = 0; count < CLIENTS; count++) {
    const client = createConnection(path!);
    client.on("error", () => {}); // munged disconnects some, to make room
    client.write(request);
    clients.push(client);
  }
  await sleep(PATIENCE_MS);
  for (const client of clients) client.destroy();
}
process.exit(0);
