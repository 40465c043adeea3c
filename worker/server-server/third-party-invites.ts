/** Invites by third-party identifiers. Spec: server-server-api/#third-party-invites, data/api/server-server/third_party_invite.yaml. */
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId, serverNameOf } from '#protocol/identifiers/user-id.ts'
import * as v from 'valibot'

import { userExists } from '../accounts/users.ts'
import { limitAddress } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { Refusal, refuse } from '../refusal.ts'
import { redeemForServer, redeemInvite } from '../third-party-invites.ts'
import { jsonObject } from './bodies.ts'

const exchange = v.looseObject({
  type: v.literal('m.room.member'),
  room_id: v.string(),
  sender: v.string(),
  state_key: v.string(),
  content: v.looseObject({
    membership: v.literal('invite'),
    third_party_invite: v.looseObject({ signed: jsonObject }),
  }),
})

/**
 * Another server's user was invited by one of ours, and proves to be who was meant. Of the event in the body only the proof
 * is taken. Spec: server-server-api/#put_matrixfederationv1exchange_third_party_inviteroomid
 */
export const exchangeThirdPartyInvite = operation(
  'PUT /_matrix/federation/v1/exchange_third_party_invite/:roomId',
  { id: 'exchangeThirdPartyInvite', auth: 'server', body: exchange },
  async ({ env, settings, path: { roomId }, body, requester: { origin } }) => {
    if (body.room_id !== roomId) return refuse('invalid_param', 'The room ID in the path is another')
    const sender = parseUserId(body.sender) ?? refuse('invalid_param', 'sender is malformed')
    const target = parseUserId(body.state_key) ?? refuse('invalid_param', 'state_key is malformed')
    if (serverNameOf(sender) !== settings.serverName) return refuse('forbidden', 'The invite is of another server')
    if (serverNameOf(target) !== origin) return refuse('forbidden', 'The invited is a user of another server')
    const { signed } = body.content.third_party_invite
    await redeemForServer(env, origin, { roomId, sender, target, signed })
    return {}
  },
)

/** Invites that one identifier may wait for. */
const maxInvites = 50
/** Whoever sends the request, which nobody has signed, has other servers asked for so long at most. */
const patienceMs = 30_000

const bound = v.looseObject({
  mxid: v.string(),
  invites: v.pipe(
    v.array(v.looseObject({ mxid: v.string(), room_id: v.string(), sender: v.string(), signed: jsonObject })),
    v.maxLength(maxInvites),
  ),
})

/**
 * An identity server says that somebody's identifier belongs to one of our users now. Nobody signs this request: each invite
 * stands by its own proof, and one that does not hold is passed over.
 *
 * Spec: server-server-api/#put_matrixfederationv13pidonbind
 */
export const onBindThirdPartyIdentifier = operation(
  'PUT /_matrix/federation/v1/3pid/onbind',
  { id: 'onBindThirdPartyIdentifier', auth: 'none', body: bound },
  async ({ request, env, settings, body }) => {
    limitAddress('inquiry', request, settings)
    const target = parseUserId(body.mxid) ?? refuse('invalid_param', 'mxid is malformed')
    if (serverNameOf(target) !== settings.serverName) return refuse('invalid_param', 'mxid is no user of this server')
    if (!(await userExists(env, target))) return refuse('not_found', 'There is no such user')
    const until = Date.now() + patienceMs
    for (const { mxid, room_id, sender: inviter, signed } of body.invites) {
      const [roomId, sender] = [parseRoomId(room_id), parseUserId(inviter)]
      if (mxid !== target || !roomId || !sender) continue
      if (Date.now() > until) break
      try {
        await redeemInvite(env, { roomId, target, sender, signed })
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
      }
    }
    return {}
  },
)
