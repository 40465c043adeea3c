/** Setting the state of a room. Spec: client-server-api/#sending-events-to-a-room, data/api/client-server/room_state.yaml. */
import { listsCreator, userIds } from '#protocol/create-room-plan.ts'
import { aliasesOf } from '#protocol/canonical-alias.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import { rulesOf } from '#protocol/room-versions/rules.ts'

import { delayOf, sendLater } from '../delayed-events.ts'
import type { Env } from '../env.ts'
import { invite, join, type Joiner, removeGuests } from '../memberships.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuseBanned } from '../policy-lists.ts'
import { Refusal, refuse } from '../refusal.ts'
import { resolveAlias, roomOf, unwrapAsMember } from '../rooms.ts'
import { settingsOf } from '../settings.ts'
import { jsonObject, stickyDuration } from './parameters.ts'

const options = { id: 'setRoomStateWithKey', auth: 'accessToken', body: jsonObject, guests: true, r0: true } as const

/** Spec: client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey */
export const setRoomStateWithKey = operation(
  'PUT /_matrix/client/v3/rooms/:roomId/state/:eventType/:stateKey',
  options,
  (call) => setState(call, call.path, call.body, call.query),
)

/** The same for the empty state key, for which "the trailing slash on this endpoint is optional". */
export const setRoomState = operation(
  'PUT /_matrix/client/v3/rooms/:roomId/state/:eventType',
  {
    ...options,
    aliases: [
      '/_matrix/client/v3/rooms/:roomId/state/:eventType/',
      '/_matrix/client/r0/rooms/:roomId/state/:eventType/',
    ],
  },
  (call) => setState(call, { ...call.path, stateKey: '' }, call.body, call.query),
)

interface Place {
  readonly roomId: RoomId
  readonly eventType: string
  readonly stateKey: string
}

async function setState(who: Joiner, place: Place, content: JsonObject, query: URLSearchParams) {
  const { env, requester } = who
  const { roomId, eventType: type, stateKey } = place
  const sender = requester.userId
  const [delay, sticky] = [delayOf(query), stickyDuration(query)]
  if (delay !== undefined) return sendLater(env, requester, { roomId, type, stateKey, content, delay, ...sticky })
  limitUser('message', sender, settingsOf(env))
  if (type === 'm.room.create') refuse('bad_state', 'A room is created once')
  if (type === 'm.room.member') return setMember(who, place, content)
  if (type === 'm.room.canonical_alias' && stateKey === '') await checkAliases(env, roomId, sender, content)
  if (type === 'm.room.power_levels' && stateKey === '') await checkCreators(env, roomId, sender, content)
  const { event_id } = unwrapAsMember(
    await roomOf(env, roomId).sendEvent({ sender, type, stateKey, content, ...sticky }),
  )
  if (type === 'm.room.guest_access' && stateKey === '' && own(content, 'guest_access') !== 'can_join') {
    await removeGuests(env, roomId)
  }
  return { event_id }
}

/** "A user can directly adjust the target member's state, by making a request to" this endpoint: same rules, same effects. */
async function setMember(who: Joiner, { roomId, stateKey }: Place, body: JsonObject) {
  const { env, requester } = who
  const target = parseUserId(stateKey) ?? refuse('invalid_param', 'The state key of a member is a user ID')
  const { membership, ...content } = body
  const sender = requester.userId
  switch (membership) {
    case 'join': {
      if (target !== sender) refuse('forbidden', 'Nobody can join another user to a room')
      const { event_id } = await join(who, { roomId, content })
      return { event_id }
    }
    case 'invite': {
      const { event_id } = await invite(env, { roomId, sender, target, content })
      return { event_id }
    }
    case 'leave':
    case 'ban':
    case 'knock': {
      if (membership === 'knock') await refuseBanned(env, { users: [sender], roomId })
      const { event_id } = unwrapAsMember(
        await roomOf(env, roomId).setMembership({ sender, target, membership, content, via: { roomId, servers: [] } }),
      )
      return { event_id }
    }
    default:
      return refuse('bad_json', 'membership must be join, invite, leave, ban or knock')
  }
}

/**
 * "Servers SHOULD ensure that any new aliases being listed in the event are valid per their grammar/syntax and that they
 * point to the room ID … Servers do not validate aliases which are being removed or are already present."
 */
async function checkAliases(env: Env, roomId: RoomId, reader: UserId, content: JsonObject): Promise<void> {
  const aliases = aliasesOf(content) ?? refuse('invalid_param', 'Only room aliases can be aliases of a room')
  if (aliases.length === 0) return
  const current = await roomOf(env, roomId).stateEvent({ reader, type: 'm.room.canonical_alias', stateKey: '' })
  const before = current.ok && isObject(current.event.content) ? aliasesOf(current.event.content) : undefined
  for (const alias of aliases.filter((each) => !before?.includes(each))) {
    // An alias that its server does not confirm now is not one to send people to.
    const found = await resolveAlias(env, alias).catch(unlessRefused)
    if (found?.roomId !== roomId) refuse('bad_alias', `The alias ${alias} does not point to this room`)
  }
}

function unlessRefused(error: unknown): undefined {
  if (!(error instanceof Refusal)) throw error
}

/** Room version 12 has no power level for creators. The rules would refuse it as forbidden, but it is a malformed request. */
async function checkCreators(env: Env, roomId: RoomId, reader: UserId, content: JsonObject): Promise<void> {
  if (!isObject(own(content, 'users'))) return
  const found = await roomOf(env, roomId).stateEvent({ reader, type: 'm.room.create', stateKey: '' })
  if (!found.ok || !isObject(found.event.content)) return
  const { room_version: version, additional_creators: additional } = found.event.content
  if (!rulesOf(version)?.privilegedCreators) return
  const creators = [parseUserId(found.event.sender), ...(userIds(additional) ?? [])].filter(
    (user) => user !== undefined,
  )
  if (listsCreator(content, creators)) refuse('invalid_param', 'Creators cannot be listed in the power levels')
}
