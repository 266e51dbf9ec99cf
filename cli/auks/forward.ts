// Sends the ticket of the default credential cache to auksd on behalf of a user: for Slurm's plugin when a job is
// submitted, and for PAM at login.
import { AuksError } from "../../lib/auks/errors.ts";
import { type ClientConfiguration, clientSettings } from "../../lib/auks_client/configuration.ts";
import { prepareCredential } from "../../lib/auks_client/outgoing_credential.ts";
import { add } from "../../lib/auks_client/requests.ts";
import { Context, KerberosError } from "../../lib/krb5/context.ts";
import { KerberosUnavailable } from "../../lib/krb5/unavailable.ts";

/** Sends the ticket. @throws the errors that {@linkcode failureText} knows. */
export async function forwardTicket(configuration: ClientConfiguration): Promise<void> {
  const context = Context.open();
  const { crossRealm } = configuration.config;
  const { krbCred } = prepareCredential(context, { ccache: undefined, crossRealm, warn: () => {} });
  try {
    await add(context, clientSettings(configuration, undefined), krbCred);
  } finally {
    krbCred.fill(0);
  }
}

/** The text for the user. @throws the error itself if it is a bug. */
export function failureText(error: unknown): string {
  const isKnown = error instanceof AuksError || error instanceof KerberosError ||
    error instanceof KerberosUnavailable;
  if (!isKnown) throw error;
  return error.message;
}
