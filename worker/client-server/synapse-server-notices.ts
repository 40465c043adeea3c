/** Notices of administrators to users, as tools know it from Synapse: `/_synapse/admin/v1/send_server_notice`. */
import { serverNameOf } from '#protocol/identifiers/user-id.ts'
import * as v from 'valibot'

import { userExists } from '../accounts/users.ts'
import { type Call, operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { sendNotice } from '../server-notices.ts'
import { demandAdmin } from './admin.ts'
import { jsonObject, userIdFrom } from './parameters.ts'

// Who may not ask is told so first, whatever the body: nothing is required of it here.
const body = v.looseObject({
  user_id: v.optional(v.string()),
  type: v.optional(v.string()),
  state_key: v.optional(v.string()),
  content: v.optional(jsonObject),
})
const options = { auth: 'accessToken', fresh: true, body, bodyOptional: true } as const
const path = '/_synapse/admin/v1/send_server_notice'

export const sendServerNotice = operation(`POST ${path}`, { id: 'sendServerNotice', ...options }, (call) =>
  send(call, undefined),
)

export const sendServerNoticeOnce = operation(
  `PUT ${path}/:txnId`,
  { id: 'sendServerNoticeOnce', ...options },
  (call) => send(call, call.path.txnId),
)

async function send(call: Call<'', 'accessToken', v.InferOutput<typeof body>>, txnId: string | undefined) {
  const { env, settings, requester, body: wanted } = call
  demandAdmin(requester)
  const target = userIdFrom(wanted.user_id ?? refuse('missing_param', 'user_id is missing'))
  const content = wanted.content ?? refuse('missing_param', 'content is missing')
  if (serverNameOf(target) !== settings.serverName) refuse('invalid_param', 'Notices are for users of this server')
  if (!(await userExists(env, target))) refuse('not_found', 'This server has no such user')
  const { type = 'm.room.message', state_key: stateKey } = wanted
  return sendNotice(env, { target, type, stateKey, content, admin: requester.userId, txnId })
}
