/**
 * Read receipts.
 *
 * Spec: client-server-api/#receipts, data/api/client-server/receipts.yaml.
 */
import { isObject, own } from '#protocol/json/json.ts'

import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { allowBackwardKey, sendReceipt, setFullyRead } from '../read-position.ts'
import { jsonObject } from './parameters.ts'

/** Spec: client-server-api/#post_matrixclientv3roomsroomidreceiptreceipttypeeventid */
export const postReceipt = operation(
  'POST /_matrix/client/v3/rooms/:roomId/receipt/:receiptType/:eventId',
  { id: 'postReceipt', auth: 'accessToken', body: jsonObject, bodyOptional: true, maxBody: 16 * 1024, r0: true },
  async ({ env, requester, path: { roomId, receiptType, eventId }, body }) => {
    const position = { roomId, user: requester.userId, eventId }
    const threadId = isObject(body) ? own(body, 'thread_id') : undefined
    if (threadId !== undefined && (typeof threadId !== 'string' || threadId === '')) {
      refuse('invalid_param', 'thread_id must be a non-empty string')
    }
    const backward = isObject(body) ? (own(body, allowBackwardKey) ?? false) : false
    if (typeof backward !== 'boolean') return refuse('invalid_param', `${allowBackwardKey} must be a boolean`)
    if (backward && receiptType !== 'm.fully_read') {
      refuse('invalid_param', `${allowBackwardKey} is only allowed to be true for m.fully_read`)
    }
    switch (receiptType) {
      case 'm.read':
      case 'm.read.private':
        await sendReceipt(env, { ...position, type: receiptType, ...(threadId === undefined ? {} : { threadId }) })
        break
      case 'm.fully_read':
        if (threadId !== undefined) refuse('invalid_param', 'm.fully_read takes no thread_id')
        await setFullyRead(env, { ...position, backward })
        break
      default:
        refuse('invalid_param', 'receiptType must be m.read, m.read.private or m.fully_read')
    }
    return {}
  },
)
