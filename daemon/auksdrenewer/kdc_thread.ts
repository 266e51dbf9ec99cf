// A thread that renews tickets at the KDC, one after another: libkrb5 blocks until the KDC has answered.
import { parentPort } from "node:worker_threads";
import { Context, KerberosError, KRB5 } from "../../lib/krb5/context.ts";
import { readCredentials } from "../../lib/auks_client/received_credential.ts";
import { type Credential, makeKrbCred } from "../../lib/krb5/credential.ts";
import { CredentialCache } from "../../lib/krb5/credential_cache.ts";
import { Principal } from "../../lib/krb5/principal.ts";
import { renewedTicket, serviceTicket } from "../../lib/krb5/tickets.ts";
import type { KdcResult, KdcTask } from "./kdc_task.ts";

const SILENT: ReadonlySet<number> = new Set([
  KRB5.KDC_UNREACH,
  KRB5.REALM_CANT_RESOLVE,
  KRB5.REALM_UNKNOWN,
]);

let opened: Context | undefined;

function renewTask({ id, krbCred }: KdcTask): KdcResult {
  const held: Credential[] = [];
  try {
    const context = opened ??= Context.open();
    held.push(...readCredentials(context, krbCred));
    const [local, other] = held;
    const renewed = renewedTicket(context, local!);
    held.push(renewed);
    if (other === undefined) {
      return { id, krbCred: makeKrbCred(context, [renewed]), note: undefined };
    }
    try {
      const again = otherRealmTicket(context, renewed, other.server);
      held.push(again);
      return { id, krbCred: makeKrbCred(context, [renewed, again]), note: undefined };
    } catch (error) {
      if (!(error instanceof KerberosError)) throw error;
      const note = `no new ticket for ${other.server}: ${error.message}`;
      return { id, krbCred: makeKrbCred(context, [renewed]), note };
    }
  } catch (error) {
    const silent = error instanceof KerberosError && SILENT.has(error.code);
    return { id, failure: error instanceof Error ? error.message : String(error), silent };
  } finally {
    for (const credential of held) credential.free();
    krbCred.fill(0);
  }
}

/** A TGT for another realm, by means of the user's own renewed one. */
function otherRealmTicket(context: Context, tgt: Credential, server: string): Credential {
  const cache = CredentialCache.unique(context, "MEMORY");
  try {
    using client = tgt.copyClient();
    cache.initialize(client);
    cache.store(tgt);
    using principal = Principal.parse(context, server);
    return serviceTicket(context, cache, principal);
  } finally {
    cache.destroy();
  }
}

parentPort!.on("message", (task: KdcTask) => {
  const result = renewTask(task);
  parentPort!.postMessage(result);
  if ("krbCred" in result) result.krbCred.fill(0);
});
