// A thread's fatal flaw: when it reads the clock and its flag file exists, it removes the file and dies with the error or
// exit status that the file asks for.
import { existsSync, readFileSync, rmSync } from "node:fs";

const flag = `/tmp/munged-mortal-${process.pid}`; // threads have no variables that were set after the start
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
