// auksd's log lines and counters for requests and connections: the original's lines, which administrators' scripts read,
// our own audit lines, and the counters behind the metrics.
import { AuksError } from "../../lib/auks/errors.ts";
import { reasonOfError } from "../../lib/auks/reasons.ts";
import { unexpectedText } from "../../lib/os/system_text.ts";
import type { AuksLog } from "../process/auks_log.ts";
import { AuditLimits } from "../process/audit_limits.ts";
import { createClientLimits, passClientLimit } from "../process/client_limits.ts";
import { type AuditFields, eventText, withSuppressed } from "../process/log.ts";
import { hashText } from "../process/log_limits.ts";
import type { Connection, ConnectionFailure } from "./connection.ts";
import type { Requester, RequestEvent } from "./requests.ts";

/** The original numbers its threads; we have one. */
const WORKER = "worker[1]";

/** Bytes before a line's text: time, level, user and process. */
const LINE_OVERHEAD = 64;

/** The log and the counters. */
export class Journal {
  readonly #log: () => AuksLog;
  readonly #audits = new AuditLimits();
  readonly #limits = createClientLimits();
  readonly #acceptedLimits = createClientLimits();
  /** Requests by kind and result, such as "add stored"; failed connections by cause. */
  readonly requests = new Map<string, number>();
  readonly failures = new Map<string, number>();

  /** @param log the one in force. */
  constructor(log: () => AuksLog) {
    this.#log = log;
  }

  /** Records an answered request. */
  requestFinished(event: RequestEvent): void {
    const { kind, requester, error, added, removed, replicated } = event;
    count(this.requests, `${kind} ${resultOf(event)}`);
    const who = `${WORKER} : ${requester.principal} from ${requester.address}`;
    if (error !== undefined) {
      this.#log().info(2, `${who} : ${kind} request failed : ${error.text}`);
      this.#refused(kind, reasonOfError(error), {
        client: requester.principal,
        address: requester.address,
        ...(error.reason === undefined ? {} : { reason: error.reason }),
      });
      return;
    }
    this.#log().info(2, `${who} : ${kind} request succeed`);
    const via = replicated === true ? { replicated: "yes" } : {};
    if (added !== undefined) {
      const { principal, uid, outcome } = added;
      const times = { end: utc(added.endtime), renew_till: utc(added.renewTill) };
      this.#accepted("add", requester, { principal, uid, outcome, ...times, ...via });
    } else if (removed !== undefined) {
      this.#accepted("remove", requester, { ...removed, ...via });
    }
  }

  /** Records a connection that failed outside of a request. */
  connectionFailed(connection: Connection, failure: ConnectionFailure): void {
    count(this.failures, failure.kind);
    const address = connection.remoteText;
    switch (failure.kind) {
      case "authentication": {
        const { text } = new AuksError("STREAM_RECVAUTH");
        this.#failure(
          2,
          failure.kind,
          address,
          `authentication failed on socket (${address}) : ${text}`,
        );
        this.#refused("authentication", String(failure.code ?? "other"), {
          address,
          reason: failure.reason,
        });
        break;
      }
      case "principal": {
        const { text } = new AuksError("STREAM_PRINCIPAL_TOO_LONG");
        this.#failure(2, failure.kind, address, `unable to get client principal : ${text}`);
        break;
      }
      case "denied": {
        this.#failure(2, failure.kind, address, `access denied to ${failure.principal}, aborting`);
        this.#refused("authentication", "acl", { client: failure.principal, address });
        break;
      }
      case "reception": {
        const { text } = failure.error;
        this.#failure(2, failure.kind, address, `marshalled request reception failed : ${text}`);
        break;
      }
      case "timeout": {
        const silence = `${address} sent no complete message for ${failure.seconds} s, closing`;
        this.#failure(2, failure.kind, address, silence);
        break;
      }
      case "bug": {
        const { error } = failure;
        const text = `failed to serve ${address} : ${unexpectedText(error)}`;
        this.#failure(1, failure.kind, address, text);
        break;
      }
    }
  }

  /** A line about a failed connection; limited, because anyone can cause any number of them. */
  #failure(level: number, cause: string, address: string, text: string): void {
    const suppressed = passClientLimit(
      this.#limits,
      cause,
      hashText(address),
      () => WORKER.length + text.length + LINE_OVERHEAD,
    );
    if (suppressed === null) return;
    this.#log().info(level, `${WORKER} : ${withSuppressed(text, suppressed)}`);
  }

  /** Limited for each user, who could fill the disk, but not in total: no user keeps the lines of others out. */
  #accepted(what: string, { principal, address, role }: Requester, fields: AuditFields): void {
    // An admin acts for any number of users.
    const suppressed = role === "admin"
      ? 0
      : passClientLimit(this.#acceptedLimits, what, hashText(principal), () => 0);
    if (suppressed === null) return;
    const more = suppressed === 0 ? {} : { suppressed };
    this.#audit(`Accepted ${what}`, { client: principal, address, ...fields, ...more });
  }

  #audit(event: string, fields: AuditFields): void {
    this.#log().info(1, `audit: ${eventText(event, fields)}`);
  }

  #refused(what: string, cause: string, fields: AuditFields): void {
    const suppressed = this.#audits.pass(`${what} ${cause}`);
    if (suppressed === null) return;
    const more = suppressed === 0 ? {} : { suppressed };
    this.#audit(`Refused ${what}`, { cause, ...fields, ...more });
  }
}

function resultOf({ error, added }: RequestEvent): string {
  return error === undefined ? added?.outcome ?? "success" : reasonOfError(error);
}

function count(counters: Map<string, number>, key: string): void {
  counters.set(key, (counters.get(key) ?? 0) + 1);
}

function utc(seconds: number): string {
  return seconds === 0 ? "-" : new Date(seconds * 1000).toISOString().replace(".000", "");
}
