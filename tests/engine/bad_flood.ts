// Floods a daemon with credentials sealed with another key until standard input ends, in a process of its own. Each client
// makes a new connection for each request, as commands do.
//   bad_flood.ts SOCKET CLIENTS
import { formatDecodeRequest } from "../../lib/protocol/message.ts";
import { sealCredential } from "../../lib/offline/offline.ts";
import { exchange } from "../interop/raw.ts";

const [socketPath = "", clients = ""] = process.argv.slice(2);
let isOver = false;
process.stdin.on("end", () => isOver = true).resume();

const credential = await sealCredential({ uid: 0, gid: 0 }, new Uint8Array(128).fill(1));
const request = formatDecodeRequest({ credential: new TextEncoder().encode(credential) }, 0);
await exchange(socketPath, request);
process.stdout.write("on\n");
await Promise.all(Array.from({ length: Number(clients) }, async () => {
  while (!isOver) await exchange(socketPath, request);
}));
