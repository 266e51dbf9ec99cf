// A site for the tests of auksd: a KDC, users with tickets and roles, and their requests to a daemon.
import assert from "node:assert/strict";
import type { Reason } from "../../lib/auks/reasons.ts";
import type { Reply } from "../../lib/auks/reply.ts";
import type { Request } from "../../lib/auks/request.ts";
import { Context } from "../../lib/krb5/context.ts";
import { makeKrbCred } from "../../lib/krb5/credential.ts";
import { CredentialCache } from "../../lib/krb5/credential_cache.ts";
import type { Auksd, AuksdOptions } from "./auksd.ts";
import { Speaker } from "./conversation.ts";
import { Kdc } from "./kdc.ts";

const ACL = `
rule { principal = ^host/compute[.]realm[.]a@REALM[.]A$ ; host = * ; role = admin ; }
rule { principal = ^bob@REALM[.]A$ ; host = localhost ; role = user ; }
rule { principal = ^ghost@REALM[.]A$ ; host = 127.0.0.1 ; role = guest ; }
rule { principal = ^alice@REALM[.]A$ ; host = 192.0.2.1 ; role = admin ; }
rule { principal = ^alice@REALM[.]A$ ; host = * ; role = user ; }
`;
/** The UIDs of users. */
export const UID = { alice: 2001, bob: 2000, carol: 2002 } as const;
/** The accounts of the daemon's host. */
export const ACCOUNTS = { root: 0, ...UID };

/** A KDC, and speakers for three users and two hosts: alice, bob, ghost, admin and login. */
export class AuksdSite {
  readonly kdc: Kdc;
  readonly context: Context;
  readonly speakers: Readonly<Record<string, Speaker>>;

  private constructor(kdc: Kdc, context: Context, speakers: Record<string, Speaker>) {
    this.kdc = kdc;
    this.context = context;
    this.speakers = speakers;
  }

  /** Starts the KDC, and gets the tickets. */
  static async start(): Promise<AuksdSite> {
    const kdc = await Kdc.start();
    kdc.enter();
    for (const user of ["alice", "bob", "ghost"]) kdc.login(user, ["-r", "7d"]);
    kdc.loginService("host/compute.realm.a", "admin");
    kdc.loginService("host/login.realm.a", "login");
    const context = Context.open();
    const speakers = ["alice", "bob", "ghost", "admin", "login"].map((name) =>
      [name, new Speaker(context, kdc.cache(name))] as const
    );
    return new AuksdSite(kdc, context, Object.fromEntries(speakers));
  }

  /** Stops the KDC. */
  async stop(): Promise<void> {
    this.context.close();
    await this.kdc.stop();
  }

  /** The options of a daemon, for Auksd.start(). */
  options(more: Partial<AuksdOptions> = {}): AuksdOptions {
    const { kdc } = this;
    return {
      keytab: kdc.keytab("host/mngt.realm.a"),
      env: kdc.env,
      accounts: ACCOUNTS,
      acl: ACL,
      ...more,
    };
  }

  /** Asks a daemon. @param who the speaker's name. */
  ask(who: string, request: Request, daemon: Auksd): Promise<Reply> {
    return this.speakers[who]!.ask(daemon.port, request);
  }

  /** Asks a daemon, and fails unless it refuses for this reason. */
  async refused(who: string, request: Request, reason: Reason, daemon: Auksd): Promise<void> {
    const reply = await this.ask(who, request, daemon);
    assert.equal(reply.type, "error");
    assert.equal(reply.type === "error" && reply.reason, reason);
  }

  /** The KRB-CRED of kinit's TGT. */
  tgtOf(user: string): Uint8Array {
    const { context } = this;
    using cache = CredentialCache.resolve(context, this.kdc.cache(user));
    const credentials = cache.credentials();
    const tgt = credentials.find(({ server }) => server === "krbtgt/REALM.A@REALM.A")!;
    const message = makeKrbCred(context, [tgt]);
    for (const credential of credentials) credential.free();
    return message;
  }
}
