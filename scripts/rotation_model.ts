// A model of a key rotation: the probability that a credential is refused, given the time between steps. model_rotation.ts is
// its command line.

/** A fleet, and how its hosts carry out a step. */
export interface Fleet {
  readonly hosts: number;
  /** Mean seconds from the start of a step until a host has carried it out; the delays are exponential. */
  readonly delay: number;
  /** Probability that a host does not carry a step out at all. */
  readonly failures: number;
  /** Seconds for which a credential is valid, and by which munged lets clocks differ beyond that. */
  readonly ttl: number;
  readonly drift: number;
  /** Seconds by which a clock may differ from the true time. */
  readonly skew: number;
}

/** Probability that not all hosts have carried out a step `wait` seconds after its start. */
export function unfinished({ hosts, delay, failures }: Fleet, wait: number): number {
  if (wait <= 0) return 1;
  const undone = failures + (1 - failures) * Math.exp(-wait / delay);
  return -Math.expm1(hosts * Math.log1p(-undone));
}

/** The inverse of {@linkcode unfinished}; infinite if failures alone make that more probable than `risk`. */
export function waitFor({ hosts, delay, failures }: Fleet, risk: number): number {
  const undone = -Math.expm1(Math.log1p(-risk) / hosts);
  const late = (undone - failures) / (1 - failures);
  return late <= 0 ? Infinity : -delay * Math.log(late);
}

/** Age at which no host accepts a credential any more, whatever its clock says. */
export function oldestCredential({ ttl, drift, skew }: Fleet): number {
  return ttl + drift + 2 * skew;
}

/**
 * Probability that a credential is refused if promoting starts `wait` seconds after staging: a host that has promoted
 * sends to one that has not staged.
 */
export function refusedAfterStaging(fleet: Fleet, wait: number): number {
  return unfinished(fleet, wait);
}

/**
 * Probability that a credential is refused if a retired key decodes for `rotationTime` seconds: the last host to promote
 * has made it with the old key, and the first one has given that up.
 */
export function refusedAfterPromoting(fleet: Fleet, rotationTime: number): number {
  return unfinished(fleet, rotationTime - oldestCredential(fleet));
}

/** The waits with which a refusal is no more probable than `risk`, which they share. */
export function plan(fleet: Fleet, risk: number): { wait: number; rotationTime: number } {
  const each = waitFor(fleet, risk / 2);
  return { wait: each, rotationTime: each + oldestCredential(fleet) };
}
