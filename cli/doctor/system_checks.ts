// Checks of the system services munged relies on: the clock and the name service.
import { hostname } from "node:os";
import { isClockSynchronized } from "../../lib/os/clock.ts";
import { lookUpHost } from "../../lib/os/hosts.ts";
import { userById } from "../../lib/os/users.ts";
import { advise, type Finding, note, ok, skipped, warning } from "./finding.ts";
import type { Node } from "./node.ts";

const SLOW_MS = 1000;

/** Whether the clock is synchronized. */
export function clock(): Finding[] {
  switch (isClockSynchronized()) {
    case true:
      return [ok("The kernel reports the clock as synchronized")];
    case false:
      return [
        note(
          "The kernel reports that nothing synchronizes the clock, which decides when credentials expire",
          advise("Have chrony, ntpd or systemd-timesyncd synchronize it"),
        ),
      ];
    default:
      return [skipped("This system does not report whether the clock is synchronized")];
  }
}

/** Whether users and hosts can be looked up in reasonable time. */
export function nameService({ config }: Node): Finding[] {
  const started = performance.now();
  const uid = process.geteuid!();
  if (userById(uid) === undefined) {
    const remedy = advise("Find out whether the name service fails (getent passwd)");
    return [warning(`Your UID ${uid} is unknown to the name service`, remedy)];
  }
  const name = config.origin ?? hostname();
  const origin = config.origin === null ? lookUpHost(name) : undefined;
  const milliseconds = performance.now() - started;
  if (milliseconds > SLOW_MS) {
    const seconds = (milliseconds / 1000).toFixed(1);
    return [
      warning(
        `The name service took ${seconds} s to look up a user and a host`,
        advise("Find out which of its servers is slow (/etc/nsswitch.conf, /etc/resolv.conf)"),
      ),
    ];
  }
  if (origin !== undefined && "failure" in origin) {
    return [
      note(
        `The host's name, "${name}", has no address, so credentials give 0.0.0.0 as their origin`,
        advise("Give the name an address in DNS or /etc/hosts"),
      ),
    ];
  }
  return [ok("Users and this host's name can be looked up")];
}
