/**
 * Inviting users. Spec: client-server-api/#joining-rooms, data/api/client-server/inviting.yaml, and the form of it by
 * third-party identifier, third_party_membership.yaml.
 */
import * as v from 'valibot'

import { invite } from '../memberships.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { userIdFrom } from './parameters.ts'

/** `inviteBy3PID` shares the path: it names its target by a third-party identifier. */
export const thirdPartyInvite = v.looseObject({
  id_server: v.string(),
  id_access_token: v.optional(v.string()),
  medium: v.string(),
  address: v.string(),
})
const inviteBody = v.looseObject({
  user_id: v.optional(v.string()),
  reason: v.optional(v.string()),
  ...v.partial(thirdPartyInvite).entries,
})

/** Spec: client-server-api/#post_matrixclientv3roomsroomidinvite */
export const inviteUser = operation(
  'POST /_matrix/client/v3/rooms/:roomId/invite',
  { id: 'inviteUser', auth: 'accessToken', body: inviteBody, r0: true },
  async ({ env, settings, requester, path: { roomId }, body }) => {
    limitUser('membership', requester.userId, settings)
    const { user_id: userId, reason } = body
    // An identity server would learn whom everybody invites, so this server asks none.
    if (userId === undefined) return refuse(body.address === undefined ? 'missing_param' : 'server_not_trusted')
    await invite(env, { roomId, sender: requester.userId, target: userIdFrom(userId), reason })
    return {}
  },
)
