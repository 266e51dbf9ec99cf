// The KRB-ERROR (RFC 4120, section 5.9.1) with which auksd refuses an AP-REQ.
import { formatDer, integerNode, node, TAG } from "../../lib/auks/der.ts";
import type { Principal } from "../../lib/auks/principal.ts";

const KRB_ERROR = 30;
const PVNO = 5;
const toUtf8 = new TextEncoder();

/** The contents of a refusal. */
export interface Refusal {
  /** The error number of RFC 4120, section 7.5.9. */
  readonly code: number;
  /** The library's text. */
  readonly text: string;
  /** The refusing principal. */
  readonly server: Principal;
  /** The refuser's clock, milliseconds since the epoch. */
  readonly now: number;
}

/**
 * Writes a KRB-ERROR with the same fields as the original: times, code, server and a NUL-terminated text.
 *
 * @returns its DER.
 */
export function formatKrbError({ code, text, server, now }: Refusal): Uint8Array {
  const string = (value: string) => node(TAG.generalString, toUtf8.encode(value));
  const time = `${new Date(now).toISOString().replace(/[-:T]|\..*/g, "")}Z`;
  return formatDer(node(
    TAG.application(KRB_ERROR),
    node(
      TAG.sequence,
      node(TAG.context(0), integerNode(PVNO)),
      node(TAG.context(1), integerNode(KRB_ERROR)),
      node(TAG.context(4), node(TAG.generalizedTime, toUtf8.encode(time))),
      node(TAG.context(5), integerNode((now % 1000) * 1000)),
      node(TAG.context(6), integerNode(code)),
      node(TAG.context(9), string(server.realm)),
      node(
        TAG.context(10),
        node(
          TAG.sequence,
          node(TAG.context(0), integerNode(server.nameType)),
          node(TAG.context(1), node(TAG.sequence, ...server.components.map(string))),
        ),
      ),
      node(TAG.context(11), string(`${text}\0`)),
    ),
  ));
}
