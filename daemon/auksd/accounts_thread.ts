// The thread that maps principals to local users: first krb5.conf's rules, then the name service, which may block.
// lookup_threads.ts asks it.
import { parentPort } from "node:worker_threads";
import { AuksError } from "../../lib/auks/errors.ts";
import { Context, KerberosError } from "../../lib/krb5/context.ts";
import { Principal } from "../../lib/krb5/principal.ts";
import { lookUpAddresses } from "../../lib/os/addresses.ts";
import { userByName } from "../../lib/os/users.ts";
import type { Answer, Question } from "./lookup_threads.ts";

let context: Context | undefined;

parentPort!.on("message", (question: Question) => {
  parentPort!.postMessage(answer(question));
});

function answer(question: Question): Answer {
  try {
    return "principal" in question
      ? { uid: uidOf(question.principal) }
      : { addresses: addressesOf(question.host) };
  } catch (error) {
    if (error instanceof AuksError) return { error: error.error, reason: error.reason ?? "" };
    return { error: "GENERIC", reason: error instanceof Error ? error.message : String(error) };
  }
}

function uidOf(name: string): number {
  context ??= Context.open();
  const local = localName(context, name);
  if (local === null) {
    throw new AuksError("CRED_NO_LOCAL_NAME", `no rule of krb5.conf maps ${name}`);
  }
  const user = userByName(local);
  if (user === undefined) {
    throw new AuksError(
      "CRED_NO_ACCOUNT",
      `${name} maps to ${local}, which is not an account here`,
    );
  }
  return user.uid;
}

function localName(context: Context, name: string): string | null {
  try {
    using principal = Principal.parse(context, name);
    return principal.localName();
  } catch (error) {
    if (!(error instanceof KerberosError)) throw error;
    throw new AuksError("CRED_NO_LOCAL_NAME", `${name}: ${error.message}`);
  }
}

function addressesOf(host: string): Uint8Array[] {
  const found = lookUpAddresses(host, "0");
  return "failure" in found ? [] : found.addresses.map(({ bytes }) => bytes);
}
