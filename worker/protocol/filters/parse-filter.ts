/**
 * Reads a filter from JSON that a client sent.
 *
 * Spec: data/api/client-server/definitions/{sync,event,room_event}_filter.yaml. Fields which the specification does not
 * know are dropped; a known field of the wrong form refuses the whole filter, since guessing would hide events.
 */
import { parseRoomId } from '../identifiers/room-id.ts'
import { parseUserId } from '../identifiers/user-id.ts'
import { isObject, own } from '../json/json.ts'
import type { EventFilter, RoomEventFilter, RoomFilter, SyncFilter } from './filter.ts'

/** Fields of profiles that a filter may name: a user's object follows each of them. */
const mostProfileFields = 100

/** A parsed filter, or the path of the first field that has the wrong form ('' for the filter itself). */
export type ParsedFilter<T> = { readonly ok: true; readonly filter: T } | { readonly ok: false; readonly path: string }

/** The body of `POST /user/{userId}/filter`, or the JSON object that `/sync` takes in place of a filter ID. */
export function parseSyncFilter(value: unknown): ParsedFilter<SyncFilter> {
  return parseWith(syncFilter, value)
}

/** The `filter` parameter of `/messages`, `/context` and their like. */
export function parseRoomEventFilter(value: unknown): ParsedFilter<RoomEventFilter> {
  return parseWith(roomEventFilter, value)
}

/** Reads a value, or adds the path of what is wrong and returns undefined. */
type Field<T> = (value: unknown, path: string, wrong: string[]) => T | undefined
type Fields<T> = { readonly [Name in keyof T]-?: Field<T[Name]> }

function parseWith<T>(field: Field<T>, value: unknown): ParsedFilter<T> {
  const wrong: string[] = []
  const filter = field(value, '', wrong)
  return filter === undefined || wrong.length > 0 ? { ok: false, path: wrong[0] ?? '' } : { ok: true, filter }
}

function field<T>(is: (value: unknown) => value is T): Field<T> {
  return (value, path, wrong) => {
    if (is(value)) return value
    wrong.push(path)
    return undefined
  }
}

function object<T extends object>(fields: Fields<T>): Field<Partial<T>> {
  return (value, path, wrong) => {
    if (!isObject(value)) {
      wrong.push(path)
      return undefined
    }
    const parsed: Partial<T> = {}
    for (const name in fields) {
      const given = own(value, name)
      // Some clients write null for a field that they mean to leave out.
      if (given === undefined || given === null) continue
      const read = fields[name](given, path === '' ? name : `${path}.${name}`, wrong)
      if (read !== undefined) parsed[name] = read
    }
    return parsed
  }
}

const flag = field((value): value is boolean => typeof value === 'boolean')
const count = field((value): value is number => Number.isSafeInteger(value) && Number(value) >= 0)
const texts = field(
  (value): value is readonly string[] => Array.isArray(value) && value.every((item) => typeof item === 'string'),
)
const listOf = (is: (text: string) => boolean) =>
  field(
    (value): value is readonly string[] =>
      Array.isArray(value) && value.every((item) => typeof item === 'string' && is(item)),
  )
const fieldNames = field(
  (value): value is readonly string[] =>
    Array.isArray(value) &&
    value.length <= mostProfileFields &&
    value.every((item) => typeof item === 'string' && item.length <= 255),
)
const users = listOf((text) => parseUserId(text) !== undefined)
const rooms = listOf((text) => parseRoomId(text) !== undefined)
const format = field((value): value is 'client' | 'federation' => value === 'client' || value === 'federation')

const eventFields: Fields<EventFilter> = {
  limit: count,
  types: texts,
  not_types: texts,
  senders: users,
  not_senders: users,
}
const eventFilter = object<EventFilter>(eventFields)
const roomEventFilter = object<RoomEventFilter>({
  ...eventFields,
  rooms,
  not_rooms: rooms,
  contains_url: flag,
  lazy_load_members: flag,
  include_redundant_members: flag,
  unread_thread_notifications: flag,
  'org.matrix.msc3773.unread_thread_notifications': flag,
  related_by_rel_types: texts,
  related_by_senders: users,
  'org.matrix.msc3874.rel_types': texts,
  'org.matrix.msc3874.not_rel_types': texts,
})
const roomFilter = object<RoomFilter>({
  rooms,
  not_rooms: rooms,
  include_leave: flag,
  state: roomEventFilter,
  timeline: roomEventFilter,
  ephemeral: roomEventFilter,
  account_data: roomEventFilter,
})
const syncFilter = object<SyncFilter>({
  event_fields: texts,
  event_format: format,
  presence: eventFilter,
  account_data: eventFilter,
  room: roomFilter,
  'org.matrix.msc4429.profile_fields': object<{ readonly ids?: readonly string[] }>({ ids: fieldNames }),
})
