/**
 * Brings a planned room into being: its ID, its create event, its alias, its object, its place in the directory.
 *
 * The alias is taken first and given back if the room fails: a room must never think it has an alias that leads
 * elsewhere.
 */
import { fail, type Reason } from '#protocol/errors.ts'
import { buildEvent } from '#protocol/events/build-event.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import type { RoomAlias } from '#protocol/identifiers/room-alias.ts'
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { PlannedEvent } from '#protocol/create-room-plan.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'

import { releaseAlias, reserveAlias } from './accounts/room-aliases.ts'
import type { Env } from './env.ts'
import { Refusal, refuse } from './refusal.ts'
import { setPublished } from './room-directory.ts'
import { roomOf } from './rooms.ts'
import { serverIdentity } from './server-identity.ts'

export interface NewRoom {
  readonly rules: RoomVersionRules
  readonly creator: UserId
  readonly plan: { readonly createContent: JsonObject; readonly events: readonly PlannedEvent[] }
  readonly alias?: RoomAlias | undefined
  readonly published: boolean
}

/** Two rooms of version 12 made in one millisecond with the same content have the same ID: the later one waits its turn. */
const attempts = 5

/**
 * Makes the room and returns its ID. Refuses with M_ROOM_IN_USE for a taken alias and M_INVALID_ROOM_STATE for a plan that
 * the room's own rules do not allow; then nothing is left of it.
 */
export async function makeRoom(env: Env, wanted: NewRoom): Promise<RoomId> {
  const { rules, creator, plan, alias } = wanted
  for (let attempt = 0; attempt < attempts; attempt++) {
    const create = await buildCreateEvent(env, wanted, Date.now() + attempt)
    const roomId = create.room_id
    if (alias && !(await reserveAlias(env, { alias, roomId, creator }))) refuse('room_in_use')
    const made = await roomOf(env, roomId)
      .create({ roomId, version: rules.version, creator, create: create.json, events: plan.events })
      .catch(async (error: unknown) => {
        if (alias) await releaseAlias(env, alias, roomId)
        throw error
      })
    if (made.ok) {
      if (wanted.published) await setPublished(env, roomId, true)
      return roomId
    }
    if (alias) await releaseAlias(env, alias, roomId)
    if (made.reason !== 'room_exists') throw new Refusal(fail(reasonOf(made.reason), made.message))
  }
  throw new Error('every room ID was taken')
}

/** "The initial state implied by the parameters to the request is invalid" is M_INVALID_ROOM_STATE. */
function reasonOf(reason: Reason): Reason {
  return reason === 'event_not_allowed' ? 'invalid_room_state' : reason
}

async function buildCreateEvent(env: Env, { rules, creator, plan }: NewRoom, originServerTs: number): Promise<Pdu> {
  const { serverName, key, crypto } = await serverIdentity(env)
  const built = buildEvent(
    {
      rules,
      roomId: rules.roomIdIsCreateHash ? undefined : randomRoomId(serverName),
      type: 'm.room.create',
      stateKey: '',
      sender: creator,
      content: plan.createContent,
      prevEvents: [],
      authEvents: [],
      originServerTs,
    },
    serverName,
    key,
    crypto,
  )
  if (built.ok) return built.pdu
  return refuse(built.reason === 'event_too_large' ? 'too_large' : 'bad_json', built.message)
}

/** "The localpart SHOULD only consist of alphanumeric characters." Eighteen letters are over 100 bits: none is guessed. */
function randomRoomId(serverName: ServerName): RoomId {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
  let localpart = ''
  while (localpart.length < 18) {
    for (const byte of crypto.getRandomValues(new Uint8Array(32))) {
      // 208 is the largest multiple of 52 in a byte: above it some letters would be likelier than others.
      if (byte < 208 && localpart.length < 18) localpart += letters[byte % 52]
    }
  }
  return parseRoomId(`!${localpart}:${serverName}`) ?? refuse('internal')
}
