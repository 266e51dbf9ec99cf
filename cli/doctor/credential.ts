// Why munged refuses a credential: from munged's answer and, where the key can be read, from the credential itself.
import { ERRNO, errorText } from "../../lib/errors.ts";
import type { OpenedCredential } from "../../lib/credential/fields.ts";
import { ANY_ID } from "../../lib/protocol/message.ts";
import { BlockingClient } from "../../lib/client/blocking_client.ts";
import { systemText } from "../../lib/os/system_text.ts";
import { groupById, userById } from "../../lib/os/users.ts";
import { explain, isByPolicy } from "./causes.ts";
import { openWith } from "./file_key.ts";
import { advise, type Finding, ok, problem, skipped } from "./finding.ts";
import type { Node } from "./node.ts";

/** Decodes a credential, which consumes it, and explains the result. */
export function examineCredential(text: string, node: Node): Finding {
  let answer;
  try {
    const credential = new TextEncoder().encode(text);
    answer = new BlockingClient(node.socketPath, { waitForSocket: false }).decode({ credential });
  } catch (error) {
    return skipped(`munged could not be asked about the credential: ${systemText(error)}`);
  }
  const contents = node.key.state === "read" ? openWith(node.key.bytes, text) : undefined;
  const { errno, encodeTime, decodeTime, ttl, uid } = answer;
  const refused = `The credential is refused: ${answer.errorText || errorText(errno)}`;
  const age = decodeTime - encodeTime;
  switch (errno) {
    case ERRNO.EMUNGE_SUCCESS:
      return userById(uid) === undefined
        ? problem(
          `The credential is good, but its user, UID ${uid}, is unknown to the name service on this host`,
          advise("Find out why: users must be known on all hosts of the realm"),
        )
        : ok(`The credential is good: UID ${uid} made it ${age} s ago`);
    case ERRNO.EMUNGE_CRED_EXPIRED:
      return problem(
        `${refused}: it is ${age} s old and was valid for ${ttl} s, or the clock of its host is behind`,
        advise("Synchronize the clocks, or ask for a longer time-to-live (munge --ttl)"),
      );
    case ERRNO.EMUNGE_CRED_REWOUND:
      return problem(
        `${refused}: the clock of the host that made it is ${-age} s ahead of this one's`,
        advise("Synchronize the clocks"),
      );
    case ERRNO.EMUNGE_CRED_REPLAYED:
      return problem(
        `${refused}: it has already been decoded on this host`,
        advise("Make a new credential"),
      );
    case ERRNO.EMUNGE_CRED_UNAUTHORIZED:
      return isByPolicy(answer.errorText)
        ? otherwise(refused, node)
        : restricted(refused, contents);
    case ERRNO.EMUNGE_CRED_INVALID:
      return problem(
        `${refused}: it was made with a different key than this host's munged has, or altered on the way`,
        advise("Compare the keys of both hosts (mungebox doctor HOST)"),
      );
    default:
      return otherwise(refused, node);
  }
}

function otherwise(refused: string, node: Node): Finding {
  const cause = explain(refused, node);
  return problem(cause === undefined ? refused : `${refused}: ${cause.text}`, cause?.remedy);
}

function restricted(refused: string, contents: OpenedCredential | undefined): Finding {
  const { uidRestriction: uid, gidRestriction: gid } = contents ??
    { uidRestriction: ANY_ID, gidRestriction: ANY_ID };
  if (uid !== ANY_ID && uid !== process.geteuid!()) {
    const name = userById(uid)?.name ?? `${uid}`;
    return problem(
      `${refused}: it is restricted to user ${name} (UID ${uid})`,
      advise(`Decode it as ${name}`),
    );
  }
  if (gid !== ANY_ID) {
    const name = groupById(gid)?.name ?? `${gid}`;
    return problem(
      `${refused}: it is restricted to group ${name} (GID ${gid})`,
      advise("Decode it as a member of that group"),
    );
  }
  return problem(
    `${refused}: it is restricted to another user or group`,
    advise("Decode it as that user, or make one for this user (munge --restrict-uid)"),
  );
}
