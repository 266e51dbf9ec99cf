// A program for background_test.ts: goes into the background, then ends as its last argument says.
import { existsSync } from "node:fs";
import { enterBackground } from "../../../daemon/process/background.ts";
import { leadSession, STAGE } from "../../../daemon/process/session_leader.ts";

if (process.env[STAGE] === `session:${process.ppid}`) { // as cli/main.ts does
  leadSession();
  process.exit(0);
}
const [path, ending] = process.argv.slice(-2) as [string, string];
const announceReady = enterBackground({ program: "munged", commandLine: [path, ending] });
if (ending === "fail") {
  console.error("munged: Error: failed on purpose");
  process.exit(1);
}
await Bun.write(`${path}/pid`, `${process.pid}`);
announceReady();
while (existsSync(`${path}/pid`)) await Bun.sleep(20);
