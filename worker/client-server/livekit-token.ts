/** Places in calls of many, at this server's SFU or at that of another. MSC4195 (unstable): Element Call asks for this. */
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { parseServerName } from '#protocol/identifiers/server-name.ts'
import { own } from '#protocol/json/json.ts'
import * as v from 'valibot'

import { liveKitToken, memberParts, tokenFields } from '../calls/livekit-token.ts'
import { signedFetch } from '../federation-client/signed-fetch.ts'
import { checkBody } from '../check-body.ts'
import { operation } from '../operation.ts'
import { readJsonBody } from '../read-body.ts'
import { refuse } from '../refusal.ts'
import { roomOf } from '../rooms.ts'

export const tokenPath = 'unstable/io.element.msc4195/rtc/livekit/get_token'

const asked = v.object({ ...tokenFields, server_name: v.optional(v.string()) })

export const getLiveKitToken = operation(
  `POST /_matrix/client/${tokenPath}`,
  {
    id: 'getLiveKitToken',
    // Clients look whether it is here before they have a token to show: without an SFU it must not be.
    auth: 'optional',
    guests: true,
  },
  async ({ env, settings, request, requester }) => {
    const { liveKit, serverName } = settings
    if (!liveKit) return refuse('unrecognized')
    const { userId } = requester ?? refuse('missing_token')
    const body = checkBody(asked, await readJsonBody(request, { maxBody: 16 * 1024 }))
    const { server_name: named = serverName, ...wanted } = body
    const server = parseServerName(named) ?? refuse('invalid_param', 'server_name is not the name of a server')
    const roomId = parseRoomId(wanted.room_id) ?? refuse('invalid_param', 'room_id is not a room ID')
    const member = memberParts(wanted) ?? refuse('missing_param', 'member is missing')
    const [joined] = await roomOf(env, roomId).joinedAmong([userId])
    if (joined === undefined) return refuse('forbidden', 'You are not in that room')
    if (server === serverName) {
      if (wanted.url.replace(/\/+$/, '') !== liveKit.url) refuse('invalid_param', 'url is not that of our SFU')
      const wishes = { roomId, slotId: wanted.slot_id, userId, member, canPublish: true }
      return { jwt: liveKitToken(liveKit, wishes, Date.now()) }
    }
    const path = `/_matrix/federation/${tokenPath}`
    const limits = { timeoutMs: 10_000, maxBytes: 16 * 1024 }
    const forwarded = JSON.parse(JSON.stringify({ ...wanted, user_id: userId }))
    const answer = await signedFetch(env, { destination: server, method: 'POST', path, body: forwarded, ...limits })
    if (!answer.ok) {
      if (answer.kind === 'http' && answer.status < 500) {
        refuse(answer.status === 400 ? 'invalid_param' : 'forbidden', 'The other server gives no place there')
      }
      return refuse('bad_gateway', 'The other server could not be asked for a place there')
    }
    const jwt = own(answer.json, 'jwt')
    return typeof jwt === 'string' ? { jwt } : refuse('bad_gateway')
  },
)
