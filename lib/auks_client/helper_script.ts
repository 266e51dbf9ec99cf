// HelperScript: the site's program that runs after a ticket has arrived, for example to get AFS tokens.
import { spawn } from "node:child_process";
import { accessSync, closeSync, constants } from "node:fs";
import { isAbsolute } from "node:path";
import { openNullDevice } from "../os/null_device.ts";
import { systemText } from "../os/system_text.ts";

/** What has happened; AUKS_EVENT in the script's environment. */
export type HelperEvent = "stored" | "renewed" | "expiring";

/** How long a script may take before it is killed, because renewals, or the start of a step, wait for it. */
const LIMITS_MS: Readonly<Record<HelperEvent, number>> = {
  stored: 20_000,
  renewed: 60_000,
  expiring: 60_000,
};

/**
 * Runs the script as the current user and waits for it.
 *
 * @param path undefined for none; a file that can't be executed counts as none, as in the original.
 * @param ccache its KRB5CCNAME; undefined to leave that as it is.
 * @param streams its input and output: ours, or none.
 * @returns what went wrong, or undefined.
 */
export async function runHelperScript(
  path: string | undefined,
  ccache: string | undefined,
  event: HelperEvent,
  streams: "ours" | "none" = "ours",
): Promise<string | undefined> {
  if (path === undefined) return undefined;
  // The original would run a file of that name in the current directory, where anyone could have put it.
  if (!isAbsolute(path)) return `HelperScript ${path} is not run: it is not an absolute path`;
  if (!isExecutable(path)) return undefined;
  let stream: "inherit" | number = "inherit";
  try {
    if (streams === "none") stream = openNullDevice();
  } catch (error) {
    return `${path}: ${systemText(error)}`;
  }
  const child = spawn(path, [], {
    env: {
      ...usersVariables(),
      AUKS_EVENT: event,
      ...ccache === undefined ? {} : { KRB5CCNAME: ccache },
    },
    stdio: [stream, stream, stream],
    timeout: LIMITS_MS[event],
    killSignal: "SIGKILL",
  });
  if (stream !== "inherit") closeSync(stream);
  return await new Promise((resolve) => {
    child.on("error", (error) => resolve(`${path}: ${systemText(error)}`));
    child.on("exit", (status, signal) => {
      if (signal !== null) resolve(`${path}: ended by ${signal}`);
      else resolve(status === 0 ? undefined : `${path}: exit status ${status}`);
    });
  });
}

/** The environment without the runtime's settings, which would also apply to a script that runs Bun. */
function usersVariables(): NodeJS.ProcessEnv {
  const variables = Object.entries(process.env);
  return Object.fromEntries(variables.filter(([name]) => !/^(BUN|MIMALLOC)_/.test(name)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
