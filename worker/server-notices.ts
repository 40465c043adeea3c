/**
 * Notices that administrators send to users of this server, each in a room of its own with the server's voice.
 *
 * Spec: client-server-api/#server-notices: the room is tagged `m.server_notice` for the user, who cannot reject the invite, but
 * can leave once they joined; the next notice invites them back.
 */
import { planRoom } from '#protocol/create-room-plan.ts'
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { type JsonObject, own } from '#protocol/json/json.ts'
import { rulesOf } from '#protocol/room-versions/rules.ts'
import { noticesUser } from '#protocol/server-notices.ts'

import { profileOf } from './accounts/profiles.ts'
import type { Env } from './env.ts'
import { makeRoom } from './new-rooms.ts'
import { refuse, unwrap } from './refusal.ts'
import { roomOf } from './rooms.ts'
import { settingsOf } from './settings.ts'
import { userSyncOf } from './sync/user-sync.ts'

export interface Notice {
  readonly target: UserId
  readonly type: string
  readonly stateKey?: string | undefined
  readonly content: JsonObject
  /** Who sends it, and under which transaction. */
  readonly admin: UserId
  readonly txnId?: string | undefined
}

const title = 'Server notices'
const tag = 'm.server_notice'

/** Sends a notice, in the room that the user has for it or in a new one, and invites them where they are not. */
export async function sendNotice(env: Env, notice: Notice): Promise<{ event_id: string }> {
  const { target, type, stateKey, content, admin, txnId } = notice
  const sender = noticesUser(settingsOf(env).serverName)
  const roomId = (await roomFor(env, sender, target)) ?? (await newRoom(env, sender, target))
  const room = roomOf(env, roomId)
  const { membership } = unwrap(await room.residentMembership({ user: target }))
  if (membership !== 'join' && membership !== 'invite') {
    await userSyncOf(env, target).setTag({ roomId, tag, content: {} })
    const profile = await profileOf(env, target)
    unwrap(await room.setMembership({ sender, target, membership: 'invite', profile }))
  }
  const sent = await room.sendEvent({
    sender,
    deviceId: admin,
    type,
    content,
    ...(txnId === undefined ? {} : { txnId }),
    ...(stateKey === undefined ? {} : { stateKey }),
  })
  return { event_id: unwrap(sent).event_id }
}

/** The rooms are noted in the account data of the server's own user. */
const noted = (target: UserId) => ({ type: `notices for ${target}` })

async function roomFor(env: Env, sender: UserId, target: UserId): Promise<RoomId | undefined> {
  const known = await userSyncOf(env, sender).getAccountData(noted(target))
  return known.ok ? parseRoomId(own(known.content, 'room_id')) : undefined
}

async function newRoom(env: Env, creator: UserId, target: UserId): Promise<RoomId> {
  const rules = rulesOf(settingsOf(env).defaultRoomVersion) ?? refuse('internal')
  const { plan } = unwrap(
    planRoom({
      rules,
      creator,
      profile: { displayname: title },
      visibility: 'private',
      preset: 'private_chat',
      name: title,
      invite: [],
      creationContent: {},
      initialState: [],
      // Nobody but the server speaks here.
      powerLevelContentOverride: { users_default: -10 },
    }),
  )
  const roomId = await makeRoom(env, { rules, creator, plan, published: false })
  await userSyncOf(env, creator).setAccountData({ ...noted(target), content: { room_id: roomId } })
  return roomId
}
