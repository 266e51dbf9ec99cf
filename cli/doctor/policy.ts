// Checks what munged's settings permit in the default realm: limits explain refusals that are intended.
import { describePolicy, policyLine } from "../../daemon/munged/observe/policy_text.ts";
import { isModern, resolvePolicy } from "../../daemon/munged/policy/policy.ts";
import { DEFAULT_REALM } from "../../lib/credential/realm.ts";
import { advise, type Finding, note, ok } from "./finding.ts";
import type { Node } from "./node.ts";

/** The limits in force after a restart; none without limits. */
export function policy({ config, configFailure }: Node): Finding[] {
  if (configFailure !== undefined) return [];
  const permitted = resolvePolicy(config, DEFAULT_REALM);
  const line = policyLine(describePolicy(permitted));
  const limits = line === "" ? [] : [ok(`The default realm has limits: ${line}`)];
  if (!config.fips || isModern(permitted)) return limits;
  const text = "The kernel is in FIPS mode, but munged allows algorithms that FIPS 140 does not";
  return [...limits, note(text, advise("Remove what allows them, unless a credential needs it"))];
}
