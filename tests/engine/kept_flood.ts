// Floods munged over kept connections until standard input ends, in a process of its own.
//   kept_flood.ts SOCKET
import { encodeMany } from "../../mod.ts";

const [socketPath = ""] = process.argv.slice(2);
let isOver = false;
process.stdin.on("end", () => isOver = true).resume();

await encodeMany(1_000, { socketPath });
process.stdout.write("on\n");
while (!isOver) await encodeMany(1_000, { socketPath });
