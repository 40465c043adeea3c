/** Rooms for tests: made the way the Worker makes them, and a look into the rows of their objects. */
import { type Preset, planRoom, type RoomWishes } from '#protocol/create-room-plan.ts'
import { buildEvent } from '#protocol/events/build-event.ts'
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { type RoomVersion, rulesOf, type RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { remote, type Remote } from '../../../worker/remote.ts'
import { serverIdentity } from '../../../worker/server-identity.ts'
import { settingsOf } from '../../../worker/settings.ts'
import type { CreateRequest } from '../../../durable-objects/room/create-room.ts'
import { openRoom, type Room } from '../../../durable-objects/room/room.ts'
import type { RoomDO } from '../../../durable-objects/room/room-do.ts'
import type { UserSyncDO } from '../../../durable-objects/user-sync/user-sync-do.ts'

export const alice = user('@alice:test.local')
export const bob = user('@bob:test.local')
export const carol = user('@carol:test.local')
/** Of another server, at which nobody answers. */
export const mallory = user('@mallory:localhost:1')

export function user(id: string): UserId {
  const parsed = parseUserId(id)
  if (!parsed) throw new Error(`no user ID: ${id}`)
  return parsed
}

export function rules(version: RoomVersion): RoomVersionRules {
  const found = rulesOf(version)
  if (!found) throw new Error(`no rules for version ${version}`)
  return found
}

export interface TestRoom {
  readonly roomId: RoomId
  readonly rpc: Remote<RoomDO>
  readonly stub: DurableObjectStub<RoomDO>
  /** The object forgets what is not stored. */
  readonly evict: () => Promise<void>
}

/** The object of a room ID, whether there is a room or not. */
export function roomObject(roomId: RoomId): TestRoom {
  const stub = env.ROOM.get(env.ROOM.idFromName(roomId))
  return { roomId, rpc: remote(env.ROOM, roomId), stub, evict: () => evictDurableObject(stub) }
}

let rooms = 0

/** A room ID of version 1 to 11 that nobody has used. */
export function freshRoomId(): RoomId {
  const roomId = parseRoomId(`!room${(rooms += 1)}:test.local`)
  if (!roomId) throw new Error('no room ID')
  return roomId
}

/** What the Worker would ask of a new room's object. */
export async function createRequest(version: RoomVersion, wishes: Partial<RoomWishes> = {}): Promise<CreateRequest> {
  const { key, serverName } = await serverIdentity(env)
  const planned = planRoom({
    rules: rules(version),
    creator: alice,
    profile: { displayname: 'Alice' },
    visibility: 'private',
    invite: [],
    creationContent: {},
    initialState: [],
    powerLevelContentOverride: {},
    ...wishes,
  })
  if (!planned.ok) throw new Error(planned.reason)
  const creator = wishes.creator ?? alice
  const create = buildEvent(
    {
      rules: rules(version),
      roomId: rules(version).roomIdIsCreateHash ? undefined : freshRoomId(),
      type: 'm.room.create',
      stateKey: '',
      sender: creator,
      content: planned.plan.createContent,
      prevEvents: [],
      authEvents: [],
      originServerTs: 1_700_000_000_000 + (rooms += 1),
    },
    serverName,
    key,
    nodeCrypto,
  )
  if (!create.ok) throw new Error(create.message)
  const { room_id: roomId, json } = create.pdu
  return { roomId, version, creator, create: json, events: planned.plan.events }
}

/** A new room of Alice's. */
export async function makeRoom(version: RoomVersion = '12', wishes: Partial<RoomWishes> = {}): Promise<TestRoom> {
  const request = await createRequest(version, wishes)
  const room = roomObject(request.roomId)
  const created = await room.rpc.create(request)
  if (!created.ok) throw new Error(`${created.reason}: ${created.message}`)
  return room
}

export function publicRoom(version: RoomVersion = '12'): Promise<TestRoom> {
  return makeRoom(version, { preset: 'public_chat' satisfies Preset })
}

/** Rows of the object's own database. */
export function rows<Row extends Record<string, SqlStorageValue>>(
  { stub }: TestRoom,
  query: string,
  ...bindings: (string | number | null)[]
): Promise<Row[]> {
  return runInDurableObject(stub, (_, { storage }) => storage.sql.exec<Row>(query, ...bindings).toArray())
}

/** Works on the object's storage beside the object itself: its memory knows nothing of it. Evict it before going on. */
export function withRoom<T>({ stub }: TestRoom, work: (room: Room, storage: DurableObjectStorage) => T): Promise<T> {
  return runInDurableObject(stub, async (_, { storage }) => {
    const { serverName } = await serverIdentity(env)
    return work(openRoom(storage, serverName, nodeCrypto, undefined, settingsOf(env)), storage)
  })
}

/** Types of the events in the timeline, oldest first. */
export async function timeline(room: TestRoom): Promise<string[]> {
  const events = await rows<{ type: string }>(room, 'SELECT type FROM events WHERE pos IS NOT NULL ORDER BY pos')
  return events.map(({ type }) => type)
}

/** The current content of one place of the state. */
export async function stateContent(room: TestRoom, type: string, stateKey = ''): Promise<JsonObject | undefined> {
  const query =
    'SELECT json FROM current_state JOIN events ON nid = event_nid WHERE current_state.type = ? AND current_state.state_key = ?'
  const [row] = await rows<{ json: string }>(room, query, type, stateKey)
  const event: { content: JsonObject } | undefined = row && JSON.parse(row.json)
  return event?.content
}

/** The object of a local user. */
export function userObject(userId: UserId): Remote<UserSyncDO> {
  return remote(env.USER_SYNC, userId)
}

/** Sends a message that must be taken; returns its event ID. */
export async function say(room: TestRoom, sender: UserId, body: string): Promise<string> {
  const sent = await room.rpc.sendEvent({ sender, type: 'm.room.message', content: { msgtype: 'm.text', body } })
  if (!sent.ok) throw new Error(`${sent.reason}: ${sent.message}`)
  return sent.event_id
}

/** Joins a user who must be let in. */
export async function join(room: TestRoom, member: UserId): Promise<void> {
  const joined = await room.rpc.setMembership({ sender: member, target: member, membership: 'join' })
  if (!joined.ok) throw new Error(`${joined.reason}: ${joined.message}`)
}
