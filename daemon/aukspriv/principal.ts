// Chooses the keytab's principal for a host's ticket. Pure: takes the keytab and the host's name as arguments.

/** A candidate, and the reason for it. */
export interface Candidate {
  readonly principal: string;
  readonly reason: string;
}

/** Services whose keys are in many keytabs, but that never identify a host. */
const NON_HOST_SERVICES =
  /^(?:RestrictedKrbHost|krbtgt|kadmin|HTTP|nfs|cifs|ldap|DNS|GC|TERMSRV)\//i;

/** Kinds of principals that stand for a host, the most likely first. */
const KINDS: readonly {
  readonly reason: string;
  matches(name: string, host: string, short: string): boolean;
}[] = [
  {
    // Active Directory gives tickets only to the machine's account; host/... is just an alias for it.
    reason: "the machine account of Active Directory",
    matches: (name, _host, short) =>
      name.toLowerCase() === `${short.slice(0, 15)}$` || name.toLowerCase() === `${short}$`,
  },
  { reason: "the host principal", matches: (name, host) => name.toLowerCase() === `host/${host}` },
  {
    reason: "the host principal, by the first part of the host's name",
    matches: (name, _host, short) =>
      name.toLowerCase() === `host/${short}` || name.toLowerCase().startsWith(`host/${short}.`),
  },
  { reason: "a machine account of Active Directory", matches: (name) => /^[^/]+\$$/.test(name) },
  {
    reason: "a host principal, but for another host name",
    matches: (name) => /^host\//i.test(name),
  },
  {
    reason: "the first principal that is not a service",
    matches: (name) => !NON_HOST_SERVICES.test(name),
  },
];

/**
 * The principals of a keytab that may be this host's, the most likely first. If the KDC does not know one, try the next.
 *
 * @param principals of the keytab's entries, in order, repeated for each key.
 * @param hostName from gethostname(), with or without the domain.
 */
export function chooseCandidates(
  principals: readonly string[],
  hostName: string,
): readonly Candidate[] {
  const distinct = [...new Set(principals)];
  if (distinct.length === 1) {
    return [{ principal: distinct[0]!, reason: "the only principal of the keytab" }];
  }
  const host = hostName.toLowerCase();
  const short = host.split(".")[0]!;
  const candidates: Candidate[] = [];
  for (const { reason, matches } of KINDS) {
    for (const principal of distinct) {
      const name = principal.slice(0, principal.lastIndexOf("@"));
      if (!matches(name, host, short)) continue;
      if (candidates.some((candidate) => candidate.principal === principal)) continue;
      candidates.push({ principal, reason });
    }
  }
  return candidates;
}
