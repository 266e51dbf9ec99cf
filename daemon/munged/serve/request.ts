// One request to one response: what munged decides, without a socket in sight. Each kind of request has its
// file; the messages are in lib/protocol/message.ts, the sockets in worker.ts.
import { formatStatusResponse, MESSAGE_TYPE } from "../../../lib/protocol/message.ts";
import type { Answer, Peer, RequestContext } from "./context.ts";
import { answerDecode } from "./decode.ts";
import { answerEncode } from "./encode.ts";

/**
 * The answer to a whole request.
 *
 * @param body valid during the call only.
 * @returns null for a message that is not answered, but cut off.
 */
export function answerRequest(
  type: number,
  retry: number,
  body: Uint8Array,
  peer: Peer,
  context: RequestContext,
): Answer | null {
  switch (type) {
    case MESSAGE_TYPE.encodeRequest:
      return answerEncode(retry, body, peer, context);
    case MESSAGE_TYPE.decodeRequest:
      return answerDecode(retry, body, peer, context);
    case MESSAGE_TYPE.statusRequest: {
      const status = context.status(peer);
      if (status === null) break;
      return { bytes: formatStatusResponse(status, retry), remembered: null };
    }
  }
  context.log.info(`Invalid message type ${type}`);
  return null;
}
