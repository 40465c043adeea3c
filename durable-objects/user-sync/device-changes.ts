/**
 * Tells others that this user's devices or keys changed: local users who share a room, and the servers in those rooms. Local
 * users are told of the user's profile in the same way.
 *
 * Spec: client-server-api/#e2e-extensions-to-sync, server-server-api/#device-management. A change is noted here before it
 * is written to D1 and struck out once everybody was told, so that none is lost; said twice, it does no harm. What is said
 * is what D1 holds at that time.
 */
import type { Usage } from '#protocol/device-keys/cross-signing-keys.ts'
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { Sql } from '../shared/sql.ts'
import { noteNamed } from './devices.ts'
import { advance, type Stream } from './stream.ts'

export type DeviceChange =
  /** A device with identity keys: it was given others, signed or ended. */
  | { readonly kind: 'device'; readonly name: string }
  /** A device was given another name; or one without keys, of whose name others were told, was ended. */
  | { readonly kind: 'renamed'; readonly name: string }
  /** The cross-signing keys changed, or signatures on them. */
  | { readonly kind: 'signing'; readonly name: '' }
  /** The user joined a room (`name`): servers in it may be new. */
  | { readonly kind: 'joined'; readonly name: string }
  /** A field (`name`) of the profile changed. */
  | { readonly kind: 'profile'; readonly name: string }

/** What D1 says of the user, as others may see it. */
export interface PublicKeys {
  readonly devices: readonly {
    readonly deviceId: string
    readonly displayName: string | null
    readonly keys: JsonObject | null
  }[]
  readonly crossSigning: { readonly [Name in Usage]?: JsonObject }
}

/** Who is in a room: joined users of this server, and other servers with a joined user. */
export interface Audience {
  readonly users: readonly UserId[]
  readonly servers: readonly ServerName[]
}

/** The world as `announce` needs it. */
export interface Announcer {
  /** Whether other servers are told what devices are called. */
  readonly tellsNames: boolean
  readonly joinedRooms: () => readonly RoomId[]
  readonly audienceOf: (rooms: readonly RoomId[]) => Promise<Audience>
  readonly publicKeys: () => Promise<PublicKeys>
  readonly tellUsers: (users: readonly UserId[]) => Promise<void>
  readonly tellProfile: (users: readonly UserId[], fields: readonly string[]) => Promise<void>
  readonly sendEdu: (edu: JsonObject, destinations: ServerName[]) => Promise<void>
}

/** Notes a change that is about to be made. */
export function noteDeviceChange(sql: Sql, change: DeviceChange): void {
  // A new row even where there is one: who tells of the old one may have read D1 before this change.
  sql.exec('INSERT OR REPLACE INTO device_changes(kind, name) VALUES (?, ?)', change.kind, change.name)
}

export function hasDeviceChanges(sql: Sql): boolean {
  return sql.exec('SELECT 1 AS found FROM device_changes LIMIT 1').toArray().length > 0
}

/** The `stream_id` of the newest update that other servers were sent; 0 before the first. */
export function newestUpdate(sql: Sql): number {
  return sql.exec<{ newest: number }>('SELECT newest FROM device_list_stream').toArray()[0]?.newest ?? 0
}

/** Tells of everything noted so far. Throws where somebody could not be told: then it has to be called again. */
export async function announce(sql: Sql, stream: Stream, userId: UserId, world: Announcer): Promise<void> {
  const noted = sql
    .exec<{ id: number } & DeviceChange>('SELECT id, kind, name FROM device_changes ORDER BY id')
    .toArray()
  if (noted.length === 0) return
  const joined = noted.filter(({ kind }) => kind === 'joined')
  const fields = noted.filter(({ kind }) => kind === 'profile').map(({ name }) => name)
  const changed = noted.filter(({ kind }) => kind !== 'joined' && kind !== 'profile')
  if (fields.length > 0) await world.tellProfile((await world.audienceOf(world.joinedRooms())).users, fields)
  // A change goes to all servers, new ones among them.
  if (changed.length > 0) await announceChanges(sql, stream, userId, changed, world)
  else if (joined.length > 0) await announceToNewServers(sql, stream, userId, joined, world)
  for (const { id } of noted) sql.exec('DELETE FROM device_changes WHERE id = ?', id)
}

async function announceChanges(
  sql: Sql,
  stream: Stream,
  userId: UserId,
  changed: readonly DeviceChange[],
  world: Announcer,
): Promise<void> {
  const audience = await world.audienceOf(world.joinedRooms())
  const keys = await world.publicKeys()
  const destinations = [...audience.servers]
  const told = new Set<string>()
  const edus = changed.flatMap(({ kind, name }) => {
    if (kind === 'signing') return signingKeyUpdates(userId, keys)
    // A new name is all there is to tell of it.
    if (told.has(name) || (kind === 'renamed' && !world.tellsNames)) return []
    told.add(name)
    return [deviceUpdate(sql, stream, userId, name, keys, world)]
  })
  if (destinations.length > 0) for (const edu of edus) await world.sendEdu(edu, destinations)
  // Local users see names along with keys.
  const isEncrypting = (name: string) => keys.devices.some((each) => each.deviceId === name && each.keys !== null)
  if (changed.some(({ kind, name }) => kind !== 'renamed' || isEncrypting(name))) await world.tellUsers(audience.users)
  if (edus.length > 0) saveFollowers(sql, stream, destinations)
}

/**
 * "…when that user joins a room which contains servers which are not already receiving updates". One update is enough: a
 * server that does not know what came before it asks for the whole list.
 */
async function announceToNewServers(
  sql: Sql,
  stream: Stream,
  userId: UserId,
  joined: readonly DeviceChange[],
  world: Announcer,
): Promise<void> {
  const rooms = joined.flatMap(({ name }) => parseRoomId(name) ?? [])
  const { servers } = await world.audienceOf(rooms)
  const followers = followersOf(sql)
  const news = servers.filter((server) => !followers.includes(server))
  if (news.length === 0) return
  const keys = await world.publicKeys()
  const device = keys.devices.findLast((each) => each.keys !== null) ?? keys.devices.at(-1)
  // Once it is gone, they have to hear of that as well.
  if (device && device.keys === null) noteNamed(sql, device.deviceId)
  if (device) await world.sendEdu(deviceUpdate(sql, stream, userId, device.deviceId, keys, world), news)
  saveFollowers(sql, stream, [...followersOf(sql), ...news])
}

function deviceUpdate(
  sql: Sql,
  stream: Stream,
  userId: UserId,
  deviceId: string,
  { devices }: PublicKeys,
  { tellsNames }: Pick<Announcer, 'tellsNames'>,
): JsonObject {
  const device = devices.find((each) => each.deviceId === deviceId)
  const before = newestUpdate(sql)
  const streamId = advance(sql, stream)
  sql.exec(
    `INSERT INTO device_list_stream(id, newest, followers) VALUES (1, ?, '[]')
     ON CONFLICT(id) DO UPDATE SET newest = excluded.newest`,
    streamId,
  )
  return {
    edu_type: 'm.device_list_update',
    content: {
      user_id: userId,
      device_id: deviceId,
      stream_id: streamId,
      prev_id: before === 0 ? [] : [before],
      ...(device ? {} : { deleted: true }),
      ...(device?.keys ? { keys: device.keys } : {}),
      ...(tellsNames && device && device.displayName !== null ? { device_display_name: device.displayName } : {}),
    },
  }
}

/** Spec: server-server-api/#device-management `m.signing_key_update`. Other servers get no user-signing key. */
function signingKeyUpdates(userId: UserId, { crossSigning }: PublicKeys): JsonObject[] {
  const { master, self_signing: selfSigning } = crossSigning
  if (!master && !selfSigning) return []
  const content = {
    user_id: userId,
    ...(master ? { master_key: master } : {}),
    ...(selfSigning ? { self_signing_key: selfSigning } : {}),
  }
  // Older servers know the type by its unstable name only.
  return [
    { edu_type: 'm.signing_key_update', content },
    { edu_type: 'org.matrix.signing_key_update', content },
  ]
}

function followersOf(sql: Sql): ServerName[] {
  const [row] = sql.exec<{ followers: string }>('SELECT followers FROM device_list_stream').toArray()
  return row ? JSON.parse(row.followers) : []
}

function saveFollowers(sql: Sql, stream: Stream, servers: readonly ServerName[]): void {
  if (servers.length === 0 && newestUpdate(sql) === 0) return
  sql.exec(
    `INSERT INTO device_list_stream(id, newest, followers) VALUES (1, ?, ?)
     ON CONFLICT(id) DO UPDATE SET followers = excluded.followers`,
    newestUpdate(sql) || advance(sql, stream),
    JSON.stringify([...new Set(servers)]),
  )
}
