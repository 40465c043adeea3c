/**
 * Policy lists, for admins of this server: which are followed, what they say, and whether somebody is banned by one.
 *
 * Not of the specification, which leaves it to implementations how lists are subscribed to (client-server-api/#subscribing-to-
 * policy-lists).
 */
import { parseRoomAlias } from '#protocol/identifiers/room-alias.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { parseServerName } from '#protocol/identifiers/server-name.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import * as v from 'valibot'

import { operation } from '../operation.ts'
import { policyBan } from '../policy-lists.ts'
import { followReplacement } from '../policy-succession.ts'
import { describeLists, followList, unfollowList } from '../policy-subscriptions.ts'
import { refuse } from '../refusal.ts'
import { findRoom, roomOf } from '../rooms.ts'
import { demandAdmin } from './admin.ts'
import { wholeNumber } from './parameters.ts'

const lists = '/_hearth/admin/policy_lists'
const options = { auth: 'accessToken', fresh: true } as const
const mostAtOnce = 500
const mostSkipped = 1_000_000

export const getPolicyLists = operation(`GET ${lists}`, { id: 'getPolicyLists', ...options }, async (call) => {
  demandAdmin(call.requester)
  return {
    policy_lists: (await describeLists(call.env)).map(
      ({ roomId, name, addedBy, addedAt, isFollowed, counts, successor }) => ({
        room_id: roomId,
        ...(name === undefined ? {} : { name }),
        added_by: addedBy,
        added_ts: addedAt,
        /** False: nobody of this server is in the room any more, and its rules are those of that time. */
        followed: isFollowed,
        rules: counts,
        ...(successor ? { replacement_room: successor.roomId } : {}),
      }),
    ),
  }
})

const wanted = v.looseObject({
  /** A room ID or an alias. */
  room: v.string(),
  /** Servers that are in the room. */
  via: v.optional(v.pipe(v.array(v.string()), v.maxLength(20)), []),
})

export const addPolicyList = operation(
  `POST ${lists}`,
  { id: 'addPolicyList', ...options, body: wanted },
  async ({ env, requester, body, waitUntil }) => {
    demandAdmin(requester)
    const via = body.via.map(parseServerName).filter((name) => name !== undefined)
    const { roomId, servers } = await findRoom(env, body.room, via)
    await followList(env, { roomId, servers, admin: requester.userId })
    const further = followReplacement(env, roomId)
    waitUntil(further.catch((error: unknown) => console.error('a list was not followed', error)))
    return { room_id: roomId }
  },
)

export const removePolicyList = operation(
  `DELETE ${lists}/:roomId`,
  { id: 'removePolicyList', ...options },
  async ({ env, requester, path: { roomId } }) => {
    demandAdmin(requester)
    return (await unfollowList(env, roomId)) ? {} : refuse('not_found', 'That list is not followed')
  },
)

export const getPolicyRules = operation(
  `GET ${lists}/:roomId/rules`,
  { id: 'getPolicyRules', ...options },
  async ({ env, requester, path: { roomId }, query }) => {
    demandAdmin(requester)
    if (!(await describeLists(env)).some((list) => list.roomId === roomId))
      return refuse('not_found', 'That list is not followed')
    const from = wholeNumber(query, 'from', 0, mostSkipped)
    const { rules, total } = await roomOf(env, roomId).policyRules({
      from,
      limit: wholeNumber(query, 'limit', mostAtOnce, mostAtOnce),
    })
    const next = from + rules.length
    return { rules, total, ...(rules.length > 0 && next < total ? { next_token: next } : {}) }
  },
)

/** Whether a user, a room or alias, or a server is banned, and by which rule of which list. */
export const checkPolicyLists = operation(
  `GET ${lists}/check`,
  { id: 'checkPolicyLists', ...options },
  async ({ env, requester, query }) => {
    demandAdmin(requester)
    const text = query.get('entity') ?? refuse('missing_param', 'entity is needed')
    const ban = await policyBan(env, questionOf(text))
    if (!ban) return { banned: false }
    const { listId, kind, entity, reason } = ban
    return { banned: true, room_id: listId, rule: { kind, entity, ...(reason === undefined ? {} : { reason }) } }
  },
)

function questionOf(text: string) {
  const [user, roomId, alias] = [parseUserId(text), parseRoomId(text), parseRoomAlias(text)]
  if (user !== undefined) return { users: [user] }
  if (roomId !== undefined) return { users: [], roomId }
  if (alias !== undefined) return { users: [], alias }
  const server = parseServerName(text) ?? refuse('invalid_param', 'entity is a user, a room, an alias or a server')
  return { users: [], servers: [server] }
}
