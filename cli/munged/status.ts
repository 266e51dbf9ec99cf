// munged --status: asks a running munged for its status and prints it.
import type { Status } from "../../daemon/munged/observe/status.ts";
import { MungeError } from "../../lib/errors.ts";
import { printableJson } from "../../lib/printable.ts";
import { isHangup } from "../../lib/protocol/transaction.ts";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { print } from "../command_line/print.ts";
import { formatStatus } from "./status_text.ts";

/** Prints the status of the munged behind a socket. @throws {MungeError} if there is no answer. */
export function printStatus(socket: string, asJson: boolean): void {
  const status = parseStatus(askStatus(socket), socket);
  print(asJson ? `${printableJson(status)}\n` : formatStatus(status));
}

/** The status of the munged behind a socket, as JSON. @throws {MungeError} if there is no answer. */
export function askStatus(socket: string): string {
  try {
    return new BlockingClient(socket, { waitForSocket: false }).status();
  } catch (error) {
    if (!(error instanceof MungeError) || !isHangup(error)) throw error;
    throw new MungeError(
      error.code,
      `The munged at "${socket}" closed the connection without an answer: our munged reports its status to root ` +
        "and its own user only, and other implementations don't support this",
      { cause: error },
    );
  }
}

/** Whether an error of {@linkcode askStatus} is final: the daemon refuses its status to this user. */
export function isStatusRefused(error: unknown): boolean {
  return error instanceof MungeError && isHangup(error.cause);
}

function parseStatus(json: string, socket: string): Status {
  try {
    return JSON.parse(json) as Status;
  } catch (error) {
    throw new MungeError("EMUNGE_SNAFU", `The munged at "${socket}" gave no valid status`, {
      cause: error,
    });
  }
}
