// auks-pam: sends a user's ticket to auksd at login. pam_exec runs it as root, with the session's variables. It becomes the
// user before it touches the ticket.
import { configurationFile, readConfiguration } from "../../lib/auks_client/configuration.ts";
import { becomeUser } from "../../lib/os/identity.ts";
import { hideMemory } from "../../lib/os/process.ts";
import { userByName } from "../../lib/os/users.ts";
import { INFORMATION_OPTIONS, parseOptions, type Usage } from "../command_line/options.ts";
import { print, printError } from "../command_line/print.ts";
import { refuse } from "../command_line/values.ts";
import { failureText, forwardTicket } from "./forward.ts";

/** The command line of auks-pam. */
export const USAGE: Usage<unknown> = {
  groups: [INFORMATION_OPTIONS],
  closing: `For a service's file in /etc/pam.d:

  session optional pam_exec.so quiet type=open_session /usr/bin/mungebox auks-pam`,
};

/** Runs auks-pam. Returns the exit status. */
export async function run(program: string, args: readonly string[]): Promise<number> {
  parseOptions(program, USAGE, {}, args);
  const name = process.env["PAM_USER"] ?? refuse("PAM_USER is not set; pam_exec runs this");
  // Root's ticket is the host's, which aukspriv maintains; at the end of a session there is nothing to do.
  if (name === "root" || process.env["PAM_TYPE"] === "close_session") return 0;
  const user = userByName(name) ?? refuse(`Unknown user "${name}"`);
  if (user.uid === 0) return 0;
  becomeUser(user.uid, user.gid);
  hideMemory();
  try {
    await forwardTicket(readConfiguration(configurationFile(undefined)));
    print("pam_auks: credential forwarding succeeded\n");
    return 0;
  } catch (error) {
    printError(`pam_auks: credential forwarding failed: ${failureText(error)}\n`);
    return 1;
  }
}
