// What auksd does for its connections under the configuration in force: authentication, roles, and the answers to requests.
// service.ts puts another configuration in force.
import { roleOf } from "../../lib/auks/acl.ts";
import type { AuksLog } from "../process/auks_log.ts";
import type { Accounts } from "./accounts.ts";
import type { Authenticator } from "./authenticator.ts";
import type { Connection, ConnectionFailure, ConnectionHost } from "./connection.ts";
import type { InProgress } from "./in_progress.ts";
import type { Journal } from "./journal.ts";
import { lookUpHosts, type Prepared } from "./preparation.ts";
import type { Replication } from "./replication.ts";
import { ReplyTurns } from "./reply_turns.ts";
import { answerRequest, type RequestContext, type RequestEvent } from "./requests.ts";
import type { Store } from "./store.ts";

/** What stays the same under every configuration. */
export interface HostParts {
  readonly store: Store;
  readonly accounts: Accounts;
  readonly inProgress: InProgress;
  readonly journal: Journal;
  /** The log in force. */
  readonly log: () => AuksLog;
}

/** The host of all connections. */
export class AuksdHost implements ConnectionHost {
  readonly turns = new ReplyTurns();
  /** The configuration in force. */
  prepared: Prepared;
  /** Keeps the other auksd of a pair up to date, if there is one. */
  replication: Replication | undefined;
  readonly #parts: HostParts;
  readonly #finished: (event: RequestEvent) => void;

  constructor(prepared: Prepared, parts: HostParts) {
    this.prepared = prepared;
    this.#parts = parts;
    this.#finished = (event) => parts.journal.requestFinished(event);
  }

  get authenticator(): Authenticator {
    return this.prepared.authenticator;
  }

  get nat(): boolean {
    return this.prepared.configuration.config.nat;
  }

  admits(principal: string, connection: Connection): boolean {
    const role = this.#roleOf(principal, connection);
    if (role === undefined) return false;
    this.#parts.log().info(3, `worker[1] : ${principal} role is ${role}`);
    return true;
  }

  answer(payload: Uint8Array, principal: string, connection: Connection) {
    // On each request, because the ACL may have changed since the client connected.
    const role = this.#roleOf(principal, connection);
    if (role === undefined) return undefined;
    const { remoteText: address } = connection;
    return answerRequest(payload, { principal, role, address }, this.#context());
  }

  failed(connection: Connection, failure: ConnectionFailure): void {
    this.#parts.journal.connectionFailed(connection, failure);
  }

  #roleOf(principal: string, connection: Connection) {
    const { configuration, hosts } = this.prepared;
    return roleOf(configuration.acl, principal, connection.remote, hosts);
  }

  #context(): RequestContext {
    const { store, accounts, inProgress } = this.#parts;
    const { packing, acl } = this.prepared.configuration;
    return {
      store,
      accounts,
      packing,
      acl,
      replication: this.replication,
      inProgress,
      finished: this.#finished,
    };
  }

  /** Looks up the addresses of the hosts in the ACL again. */
  async refreshHosts(): Promise<void> {
    const { acl } = this.prepared.configuration;
    const hosts = new Map(await lookUpHosts(acl, this.#parts.accounts, []));
    if (this.prepared.configuration.acl !== acl) return; // superseded by a reload
    // A momentary failure of the name service must not take any client's role away.
    for (const [host, addresses] of hosts) {
      if (addresses.length === 0) hosts.set(host, this.prepared.hosts.get(host) ?? []);
    }
    this.prepared = { ...this.prepared, hosts };
  }
}
