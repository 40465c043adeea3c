/**
 * What the holder of a token has to hear: one synchronous read of the whole stream.
 *
 * Spec: client-server-api/#syncing. The answer is not yet a `/sync` body: the Worker fetches the slices of the rooms named
 * here, and applies the filter.
 */
import { fail, type Failure } from '#protocol/errors.ts'
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import type { PresenceState } from '#protocol/presence/presence.ts'
import type { FollowedThreads, StoredPushRules } from '#protocol/push-rules/stored-rules.ts'
import { formatSinceToken, parseSinceToken, type SinceToken } from '#protocol/sync/since-token.ts'
import { noProfileNews, profileFieldsOf, type ProfileNews } from '#protocol/sync/profile-fields.ts'
import type { DeviceKeys, ReadRequest } from '#protocol/sync/wait-request.ts'

import type { Sql } from '../shared/sql.ts'
import {
  type AccountDataEvent,
  accountDataAfter,
  hiddenInviters,
  ignoredUsers,
  roomAccountData,
} from './account-data.ts'
import { type DeviceLists, deviceListsAfter } from './device-lists.ts'
import { seeDevice } from './devices.ts'
import { getFilter } from './filters.ts'
import { type Heard, heardOf, type Membership, type RoomVersion } from './marks.ts'
import { type PresenceEvent, presenceAfter } from './presence.ts'
import { profileChangesAfter } from './profile-changes.ts'
import { dayOf } from './prune.ts'
import { getRoomsPushRules } from './push-rules.ts'
import type { Stream } from './stream.ts'
import { acknowledgeToDevice, type ToDeviceEvent, toDeviceAfter } from './to-device.ts'

export interface RoomToServe {
  readonly roomId: RoomId
  readonly membership: Membership
  /** What the holder has heard: null to begin anew. */
  readonly from: Heard | null
  readonly known: RoomVersion
  /** False: the room has nothing new, only its account data changed. */
  readonly changed: boolean
  readonly accountData: readonly AccountDataEvent[]
}

export interface Read {
  readonly ok: true
  /** Everything is given, as to a client that knows nothing: no token, one of another stream, or `full_state`. */
  readonly everything: boolean
  /** The holder has no token of this stream. */
  readonly isInitial: boolean
  /** Where the answer was read, for `commit`. */
  readonly token: SinceToken
  /** The token as text: `next_batch`, unless a commit gives a newer one. */
  readonly nextBatch: string
  readonly rooms: readonly RoomToServe[]
  readonly accountData: readonly AccountDataEvent[]
  readonly toDevice: readonly ToDeviceEvent[]
  readonly deviceLists: DeviceLists
  readonly presence: readonly PresenceEvent[]
  readonly profiles: ProfileNews
  readonly keys: DeviceKeys
  readonly ignoredUsers: readonly string[]
  /** For the rooms to count by. */
  readonly pushRules: StoredPushRules
  readonly followed: FollowedThreads
  /** The stored filter that was named. */
  readonly filter: JsonObject | null
}

/** Reads the stream for a token. Fails with `unknown_token` (the device was ended) or `invalid_param`. `now` in ms. */
export function readStream(sql: Sql, stream: Stream, request: ReadRequest, now: number): Read | Failure {
  const keys = seeDevice(sql, request.deviceId, dayOf(now))
  if (!keys) return fail('unknown_token')
  const filter = request.filterId === undefined ? null : getFilter(sql, request.filterId)
  if (filter === undefined) return fail('invalid_param', 'No such filter')
  const since = request.since === undefined ? undefined : parseSinceToken(request.since, stream)
  if (since?.kind === 'malformed') return fail('invalid_param', 'since is not a token of this server')
  // The holder of a foreign token knows rooms that may be left by now: it is told of those too.
  const includeLeave = request.includeLeave || since?.kind === 'foreign' || includesLeave(filter)
  const token = since?.kind === 'ours' ? since.token : undefined
  const isForeign = since?.kind === 'foreign'
  const profileFields = request.profileFields ?? profileFieldsOf(filter)
  return { ...read(sql, stream, { ...request, token, includeLeave, isForeign, profileFields }, now), keys, filter }
}

function includesLeave(filter: JsonObject | null): boolean {
  const room = filter && own(filter, 'room')
  return isObject(room) && own(room, 'include_leave') === true
}

interface Scope {
  readonly deviceId: string
  readonly token: SinceToken | undefined
  readonly isForeign: boolean
  readonly fullState: boolean
  readonly includeLeave: boolean
  readonly profileFields: readonly string[]
  readonly presence?: PresenceState | undefined
}

function read(sql: Sql, stream: Stream, scope: Scope, now: number): Omit<Read, 'keys' | 'filter'> {
  const { deviceId, token } = scope
  const everything = token === undefined || scope.fullState
  if (token) acknowledgeToDevice(sql, deviceId, token.toDevice)
  const toDevice = toDeviceAfter(sql, deviceId, token?.toDevice ?? 0, stream.position)
  const accountData = accountDataAfter(sql, everything ? 0 : token.read)
  const rooms = roomsToServe(sql, scope, accountData)
  const presence = scope.presence === undefined ? [] : presenceAfter(sql, token?.read ?? 0, everything, now)
  const profiles = readProfiles(sql, stream, scope, dayOf(now))
  const tells = rooms.length + presence.length + profiles.changed.length + profiles.whole.length > 0
  const ignored = tells ? ignoredUsers(sql) : []
  const next: SinceToken = { read: stream.position, served: 0, toDevice: toDevice.upTo }
  return {
    ok: true,
    everything,
    isInitial: token === undefined,
    token: next,
    nextBatch: formatSinceToken(next, stream.epoch),
    rooms,
    accountData: accountData.get('') ?? [],
    toDevice: toDevice.events,
    // The holder of a foreign token knows devices that may be others by now.
    deviceLists: token || scope.isForeign ? deviceListsAfter(sql, token?.read ?? 0) : { changed: [], left: [] },
    presence: presence.filter(({ sender }) => !ignored.includes(sender)),
    profiles,
    ignoredUsers: ignored,
    ...getRoomsPushRules(
      sql,
      rooms.map(({ roomId }) => roomId),
    ),
  }
}

function readProfiles(
  sql: Sql,
  stream: Stream,
  { token, fullState, profileFields }: Scope,
  today: number,
): ProfileNews {
  if (profileFields.length === 0) return noProfileNews
  const { changed, isLate } = profileChangesAfter(sql, stream, {
    fields: profileFields,
    after: token?.read ?? 0,
    today,
  })
  if (!token || fullState) return { fields: profileFields, changed: [], whole: profileFields }
  return { fields: profileFields, changed, whole: isLate ? profileFields : [] }
}

type RoomRow = {
  room_id: RoomId
  membership: Membership
  membership_at: number
  pos: number
  typing: number
  changed_at: number
  /** Who caused that membership. */
  by_user: string | null
}

function roomsToServe(
  sql: Sql,
  { token, fullState, includeLeave }: Scope,
  accountData: ReadonlyMap<string, readonly AccountDataEvent[]>,
): RoomToServe[] {
  const everything = token === undefined || fullState
  const rows = roomRows(sql, everything ? -1 : token.read, everything ? [] : [...accountData.keys()])
  let isHidden: ReturnType<typeof hiddenInviters> | undefined
  return rows.flatMap((row) => {
    if (row.membership === 'invite' && row.by_user !== null) {
      isHidden ??= hiddenInviters(sql)
      if (isHidden(row.by_user)) return []
    }
    const from = token ? heardOf(sql, row.room_id, token) : null
    const news = token !== undefined && row.changed_at > token.read && isBehind(from, row, token)
    const gone = row.membership === 'leave' || row.membership === 'ban'
    // Rooms one was banned from are told without being asked for, as other servers do: nobody leaves by a ban unawares.
    const changed = news || (everything && (row.membership !== 'leave' || includeLeave))
    // A client to which the room is new needs all of its account data, however old.
    const events = changed && !from ? roomAccountData(sql, row.room_id) : (accountData.get(row.room_id) ?? [])
    if (!changed && (gone || events.length === 0)) return []
    const known: RoomVersion = { pos: row.pos, typing: row.typing }
    return [{ roomId: row.room_id, membership: row.membership, from, known, changed, accountData: events }]
  })
}

function isBehind(heard: Heard | null, row: RoomRow, token: SinceToken): boolean {
  if (heard === null || heard.sticky !== undefined) return true
  return heard.pos < row.pos || heard.typing !== row.typing || row.membership_at > token.read
}

/** Rooms that changed after a position, and further ones by ID. */
function roomRows(sql: Sql, after: number, others: readonly string[]): RoomRow[] {
  const columns = 'room_id, membership, membership_at, rooms.pos, typing, changed_at, by_user'
  const from = 'FROM rooms LEFT JOIN room_facts USING (room_id)'
  const changed = sql.exec<RoomRow>(`SELECT ${columns} ${from} WHERE changed_at > ?`, after).toArray()
  const more = others
    .filter((roomId) => roomId !== '' && !changed.some((row) => row.room_id === roomId))
    .flatMap((roomId) => sql.exec<RoomRow>(`SELECT ${columns} ${from} WHERE room_id = ?`, roomId).toArray())
  return [...changed, ...more]
}

/** Whether there is anything to tell. */
export function hasNews({ rooms, accountData, toDevice, deviceLists, presence, profiles, everything }: Read): boolean {
  return (
    everything ||
    rooms.length > 0 ||
    accountData.length > 0 ||
    toDevice.length > 0 ||
    presence.length > 0 ||
    profiles.changed.length > 0 ||
    profiles.whole.length > 0 ||
    deviceLists.changed.length > 0 ||
    deviceLists.left.length > 0
  )
}
