/** Replacing a room by one of another version. Spec: client-server-api/#room-upgrades, room_upgrades.yaml. */
import { withoutAliases } from '#protocol/canonical-alias.ts'
import { userIds } from '#protocol/create-room-plan.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import { type JsonObject, own } from '#protocol/json/json.ts'
import { rulesOf } from '#protocol/room-versions/rules.ts'
import { planUpgrade } from '#protocol/upgrade-room-plan.ts'
import * as v from 'valibot'

import { profileOf } from '../accounts/profiles.ts'
import { isPublished, withdrawRoom } from '../accounts/public-rooms.ts'
import { aliasesOfRoom, moveAliases } from '../accounts/room-aliases.ts'
import type { Env } from '../env.ts'
import { makeRoom } from '../new-rooms.ts'
import { limitUser } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { Refusal, refuse } from '../refusal.ts'
import { maySendState } from '../room-permissions.ts'
import { succeed } from '../room-succession.ts'
import { roomOf, unwrapAsMember } from '../rooms.ts'
import { userIdFrom } from './parameters.ts'

const upgradeBody = v.looseObject({
  new_version: v.string(),
  additional_creators: v.optional(v.pipe(v.array(v.string()), v.maxLength(100)), []),
})

/**
 * The steps of "Server behaviour". The new room comes first and the tombstone after it, so that a room whose state does not
 * fit the new version is refused with nothing done to the old one.
 *
 * Spec: client-server-api/#post_matrixclientv3roomsroomidupgrade
 */
export const upgradeRoom = operation(
  'POST /_matrix/client/v3/rooms/:roomId/upgrade',
  { id: 'upgradeRoom', auth: 'accessToken', body: upgradeBody, r0: true },
  async ({ env, settings, requester: { userId: creator }, path: { roomId: oldRoomId }, body }) => {
    limitUser('newRoom', creator, settings)
    const rules = rulesOf(body.new_version) ?? refuse('unsupported_room_version')
    const additionalCreators = body.additional_creators.map(userIdFrom)
    // 1. "Checks that the user has permission to send `m.room.tombstone` events in the room."
    const mayUpgrade = await maySendState(env, oldRoomId, creator, 'm.room.tombstone')
    if (!mayUpgrade) refuse('forbidden', 'You cannot upgrade this room')
    const oldRoom = roomOf(env, oldRoomId)
    const { events: oldState } = unwrapAsMember(await oldRoom.stateEvents({ reader: creator }))
    const [aliases, published] = await Promise.all([aliasesOfRoom(env, oldRoomId), isPublished(env, oldRoomId)])

    // 2. "Creates a replacement room", 3. "Replicates transferable state events to the new room."
    const plan = planUpgrade({
      rules,
      creator,
      profile: await profileOf(env, creator),
      additionalCreators,
      oldRoomId,
      lastEventId: await lastEventOf(env, oldRoomId, creator),
      oldState: oldState.map(({ type, state_key = '', content }) => ({ type, state_key, content })),
      oldCreators: creatorsIn(oldState.find(({ type, state_key }) => type === 'm.room.create' && state_key === '')),
      moves: (alias) => aliases.some((each) => each === alias),
    })
    const newRoomId = await makeRoom(env, { rules, creator, plan, published })

    // 5. "Sends a `m.room.tombstone` event to the old room."
    const content = { body: 'This room has been replaced', replacement_room: newRoomId }
    const tombstone = await oldRoom.sendEvent({ sender: creator, type: 'm.room.tombstone', stateKey: '', content })
    if (!tombstone.ok) {
      await abandon(env, newRoomId, creator)
      throw new Refusal(tombstone)
    }
    // 4. "Moves any local aliases to the new room."
    await moveAliases(env, oldRoomId, newRoomId)
    if (published) await withdrawRoom(env, oldRoomId)
    const canonical = oldState.find(({ type, state_key }) => type === 'm.room.canonical_alias' && state_key === '')
    const without = canonical && withoutAliases(canonical.content, (alias) => aliases.some((each) => each === alias))
    // 6. "If possible, the power levels in the old room should also be modified."
    await trySetState(env, oldRoomId, creator, 'm.room.canonical_alias', without)
    await trySetState(env, oldRoomId, creator, 'm.room.power_levels', plan.oldPowerLevels)
    await succeed(env, creator, oldRoomId, newRoomId)
    return { replacement_room: newRoomId }
  },
)

async function lastEventOf(env: Env, roomId: RoomId, reader: UserId): Promise<EventId | undefined> {
  const page = await roomOf(env, roomId).messages({ reader, dir: 'b', limit: 1 })
  return page.ok ? page.chunk[0]?.event_id : undefined
}

/** Who stands above the power levels; nobody before version 12. */
function creatorsIn(create: { readonly sender: string; readonly content: JsonObject } | undefined): UserId[] {
  if (!create || !rulesOf(own(create.content, 'room_version'))?.privilegedCreators) return []
  const creator = parseUserId(create.sender)
  return [...(creator === undefined ? [] : [creator]), ...(userIds(own(create.content, 'additional_creators')) ?? [])]
}

/** The old room was closed to its upgrader in the meantime: the new one must not be a second way in. */
async function abandon(env: Env, roomId: RoomId, creator: UserId): Promise<void> {
  await withdrawRoom(env, roomId)
  await roomOf(env, roomId).setMembership({ sender: creator, target: creator, membership: 'leave' })
}

async function trySetState(env: Env, roomId: RoomId, sender: UserId, type: string, content: JsonObject | undefined) {
  if (content) await roomOf(env, roomId).sendEvent({ sender, type, stateKey: '', content })
}
