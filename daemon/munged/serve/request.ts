// From one request to one response: munged's decision, without sockets. Each kind of request has its own file; the
// messages are in lib/protocol/message.ts, the sockets in reception.ts, delivery.ts and listener.ts.
import {
  formatLimitsResponse,
  formatStatusResponse,
  MESSAGE_TYPE,
} from "../../../lib/protocol/message.ts";
import type { Answer, Deferred, Peer, RequestContext } from "./context.ts";
import { answerDecode } from "./decode.ts";
import { answerEncode } from "./encode.ts";

/**
 * The answer to a complete request.
 *
 * @param retry number of earlier attempts.
 * @param isInOrder whether everything that its process has sent before is answered; if not, no retry is believed.
 * @param body valid only during the call.
 * @returns null for a message that gets no answer, whose client is disconnected.
 */
export function answerRequest(
  type: number,
  retry: number,
  isInOrder: boolean,
  body: Uint8Array,
  peer: Peer,
  context: RequestContext,
): Answer | Deferred | null {
  switch (type) {
    case MESSAGE_TYPE.encodeRequest:
      return answerEncode(retry, body, peer, context);
    case MESSAGE_TYPE.decodeRequest:
      return answerDecode(retry, isInOrder, body, peer, context);
    case MESSAGE_TYPE.limitsRequest:
      return { bytes: formatLimitsResponse(context.maxPayload, retry), remembered: null };
    case MESSAGE_TYPE.statusRequest: {
      const status = context.status(peer);
      if (status === null) break;
      return { bytes: formatStatusResponse(status, retry), remembered: null };
    }
  }
  context.log.client(peer.uid, "message", `Invalid message type ${type}`);
  return null;
}
