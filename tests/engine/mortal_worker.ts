// The engine's worker with a fatal flaw: when it reads the clock and the file named by MORTAL_FLAG exists, it removes the
// file and dies with the error or exit that the file asks for.
import { existsSync, readFileSync, rmSync } from "node:fs";

const flag = process.env["MORTAL_FLAG"]!;
const now = performance.now.bind(performance);
let isDoomed = false;
performance.now = () => {
  if (existsSync(flag)) {
    const death = readFileSync(flag, "latin1");
    rmSync(flag, { force: true });
    if (death === "exit") process.exit(3);
    isDoomed = true;
  }
  if (isDoomed) throw new Error("a fatal flaw");
  return now();
};
await import("../../daemon/munged/serve/worker.ts");
