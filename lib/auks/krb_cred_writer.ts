// Formats an unencrypted KRB-CRED as libkrb5 does.
import type { Credential, HostAddress } from "./credential.ts";
import { type DerNode, formatDer, integerNode, node, TAG } from "./der.ts";
import { formatKerberosTime } from "./kerberos_time.ts";
import { type KrbCred, MSG_TYPE, PVNO } from "./krb_cred.ts";
import type { Principal } from "./principal.ts";

const toUtf8 = new TextEncoder();

/**
 * Formats a KRB-CRED, byte for byte like libkrb5.
 *
 * @param cred its contents.
 * @returns its DER; the caller wipes it.
 *
 * @example
 * ```ts
 * import { readFileSync } from "node:fs";
 * import { parseKrbCred } from "./lib/auks/krb_cred.ts";
 * import { formatKrbCred } from "./lib/auks/krb_cred_writer.ts";
 * import { parseSendFile } from "./lib/auks/send_file.ts";
 *
 * const { krbCred } = parseSendFile(readFileSync("tests/auks/reference/files/send-bob"));
 * const again = formatKrbCred(parseKrbCred(krbCred));
 * console.log(again.every((byte, i) => byte === krbCred[i])); // true
 * ```
 */
export function formatKrbCred(cred: KrbCred): Uint8Array {
  const inner = node(
    TAG.application(29),
    node(
      TAG.sequence,
      context(0, node(TAG.sequence, ...cred.credentials.map(credentialNode))),
      ...(cred.timestamp === 0 ? [] : [context(2, timeNode(cred.timestamp))]),
      ...(cred.timestamp === 0 ? [] : [context(3, integerNode(cred.usec))]),
    ),
  );
  return formatDer(
    node(
      TAG.application(22),
      node(
        TAG.sequence,
        context(0, integerNode(PVNO)),
        context(1, integerNode(MSG_TYPE)),
        context(2, node(TAG.sequence, ...cred.credentials.map(({ ticket }) => ticket))),
        context(
          3,
          node(TAG.sequence, context(0, integerNode(0)), context(2, node(TAG.octetString, inner))),
        ),
      ),
    ),
  );
}

function context(number: number, value: DerNode): DerNode {
  return node(TAG.context(number), value);
}

function credentialNode(credential: Credential): DerNode {
  const { key, client, server, flags, addresses } = credential;
  const time = (number: number, seconds: number) =>
    seconds === 0 ? [] : [context(number, timeNode(seconds))];
  return node(
    TAG.sequence,
    context(
      0,
      node(
        TAG.sequence,
        context(0, integerNode(key.enctype)),
        context(1, node(TAG.octetString, key.bytes)),
      ),
    ),
    context(1, stringNode(client.realm)),
    context(2, nameNode(client)),
    context(
      3,
      node(TAG.bitString, Uint8Array.of(0, flags >>> 24, flags >>> 16, flags >>> 8, flags)),
    ),
    ...time(4, credential.authtime),
    ...time(5, credential.starttime),
    context(6, timeNode(credential.endtime)),
    ...time(7, credential.renewTill),
    context(8, stringNode(server.realm)),
    context(9, nameNode(server)),
    ...(addresses.length === 0
      ? []
      : [context(10, node(TAG.sequence, ...addresses.map(addressNode)))]),
  );
}

function stringNode(text: string): DerNode {
  return node(TAG.generalString, toUtf8.encode(text));
}

function nameNode({ nameType, components }: Principal): DerNode {
  return node(
    TAG.sequence,
    context(0, integerNode(nameType)),
    context(1, node(TAG.sequence, ...components.map(stringNode))),
  );
}

function timeNode(seconds: number): DerNode {
  return node(TAG.generalizedTime, toUtf8.encode(formatKerberosTime(seconds)));
}

function addressNode({ type, bytes }: HostAddress): DerNode {
  return node(
    TAG.sequence,
    context(0, integerNode(type)),
    context(1, node(TAG.octetString, bytes)),
  );
}
