/**
 * The body of a request of sliding sync: its form, its limits, and how it is brought into the form in which it is kept.
 *
 * Spec: MSC4186 "Request". What is unknown is passed over: "If a client sends an unknown extension name, the server MUST
 * ignore it".
 */
import { isObject } from '#protocol/json/json.ts'
import type {
  Extensions,
  ExtensionScope,
  ListFilters,
  ListRequest,
  SlidingParams,
} from '#protocol/sliding-sync/request.ts'
import { roomConfig, type RoomConfig } from '#protocol/sliding-sync/room-config.ts'
import * as v from 'valibot'

const mostLists = 100
const mostRanges = 50
const mostSubscriptions = 500
const mostPlaces = 300
const longestTimeline = 1000
const mostProfileFields = 100
/** More rooms than anybody has. */
const everything: readonly (readonly [number, number])[] = [[0, 100_000]]

const name = v.pipe(v.string(), v.maxLength(255))
const index = v.pipe(v.number(), v.integer(), v.minValue(0))

const room = {
  required_state: v.optional(v.pipe(v.array(v.strictTuple([name, name])), v.maxLength(mostPlaces)), []),
  timeline_limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(longestTimeline)), 0),
}
/** An array is no object by names. Names that every object has, such as `constructor`, are passed over. */
const object = v.pipe(v.unknown(), v.check(isObject, 'Expected an object'))
const names = v.pipe(v.array(name), v.maxLength(1000))
/** Clients write null for what they leave out. */
const nullable = <Inner extends v.GenericSchema>(schema: Inner) =>
  v.pipe(
    v.nullish(schema),
    v.transform((value) => value ?? undefined),
  )

const filters = v.object({
  is_dm: nullable(v.boolean()),
  spaces: nullable(names),
  is_encrypted: nullable(v.boolean()),
  is_invite: nullable(v.boolean()),
  is_invited: nullable(v.boolean()),
  room_types: nullable(v.pipe(v.array(v.nullable(name)), v.maxLength(100))),
  not_room_types: nullable(v.pipe(v.array(v.nullable(name)), v.maxLength(100))),
  room_name_like: nullable(name),
  tags: nullable(names),
  not_tags: nullable(names),
})
const range = v.pipe(
  v.strictTuple([index, index]),
  v.check(([first, last]) => first <= last, 'A range ends before it begins'),
)
const list = v.object({
  ...room,
  /** What clients send, and what the proposal has now. */
  ranges: nullable(v.pipe(v.array(range), v.maxLength(mostRanges))),
  range: nullable(range),
  slow_get_all_rooms: nullable(v.boolean()),
  filters: nullable(filters),
})
const scope = v.object({ enabled: nullable(v.boolean()), lists: nullable(names), rooms: nullable(names) })
const extensions = v.object({
  to_device: nullable(
    v.object({ enabled: nullable(v.boolean()), limit: nullable(v.number()), since: nullable(v.string()) }),
  ),
  e2ee: nullable(v.object({ enabled: nullable(v.boolean()) })),
  account_data: nullable(scope),
  receipts: nullable(scope),
  typing: nullable(scope),
  'io.element.msc4308.thread_subscriptions': nullable(
    v.object({ enabled: nullable(v.boolean()), limit: nullable(v.number()) }),
  ),
  'org.matrix.msc4262.profiles': nullable(
    v.object({ ...scope.entries, fields: nullable(v.pipe(v.array(name), v.maxLength(mostProfileFields))) }),
  ),
  'org.matrix.msc4354.sticky_events': nullable(
    v.object({ enabled: nullable(v.boolean()), limit: nullable(v.number()), since: nullable(v.string()) }),
  ),
})

export const slidingBody = v.object({
  conn_id: nullable(name),
  /** These two stand in the query or here. */
  pos: nullable(name),
  timeout: nullable(index),
  lists: nullable(v.pipe(object, v.record(v.pipe(v.string(), v.maxLength(64)), list), v.maxEntries(mostLists))),
  room_subscriptions: nullable(v.pipe(object, v.record(name, v.object(room)), v.maxEntries(mostSubscriptions))),
  extensions: nullable(extensions),
})

export type SlidingBody = v.InferOutput<typeof slidingBody>

/** What is kept of a request while the client waits. */
export function paramsOf(body: SlidingBody): SlidingParams {
  const configs = (wanted: { timeline_limit: number; required_state: (readonly [string, string])[] }): RoomConfig =>
    roomConfig(wanted.timeline_limit, wanted.required_state)
  return {
    lists: mapValues(body.lists ?? {}, (each): ListRequest => ({
      ranges: each.slow_get_all_rooms === true ? everything : (each.ranges ?? (each.range ? [each.range] : everything)),
      filters: filtersOf(each.filters ?? {}),
      config: configs(each),
    })),
    subscriptions: mapValues(body.room_subscriptions ?? {}, configs),
    extensions: extensionsOf(body.extensions ?? {}),
  }
}

type Filters = v.InferOutput<typeof filters>

function filtersOf({ is_invited: isInvited, ...rest }: Filters): ListFilters {
  return { ...rest, is_invite: rest.is_invite ?? isInvited }
}

function extensionsOf(wanted: NonNullable<SlidingBody['extensions']>): Extensions {
  const { to_device: toDevice, e2ee, 'io.element.msc4308.thread_subscriptions': threads } = wanted
  const sticky = wanted['org.matrix.msc4354.sticky_events']
  return {
    ...(toDevice?.enabled === true ? { toDevice: { limit: limitOf(toDevice.limit) } } : {}),
    ...(e2ee?.enabled === true ? { e2ee: true as const } : {}),
    accountData: scopeOf(wanted.account_data),
    receipts: scopeOf(wanted.receipts),
    typing: scopeOf(wanted.typing),
    ...(threads?.enabled === true ? { threads: { limit: limitOf(threads.limit) } } : {}),
    ...profilesOf(wanted['org.matrix.msc4262.profiles']),
    ...(sticky?.enabled === true ? { sticky: { limit: limitOf(sticky.limit) } } : {}),
  }
}

/** "If omitted, *all* profile fields will be in scope." */
function profilesOf(wanted: NonNullable<SlidingBody['extensions']>['org.matrix.msc4262.profiles']) {
  const within = scopeOf(wanted)
  return within ? { profiles: { ...within, fields: wanted?.fields ?? ('*' as const) } } : {}
}

function limitOf(limit: number | undefined): number {
  return Math.min(Math.max(Math.trunc(limit ?? 100), 1), 100)
}

function scopeOf(wanted: v.InferOutput<typeof scope> | undefined): ExtensionScope | undefined {
  if (wanted?.enabled !== true) return undefined
  return { lists: wanted.lists ?? ['*'], rooms: wanted.rooms ?? ['*'] }
}

function mapValues<T, R>(object: Readonly<Record<string, T>>, shape: (value: T) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, shape(value)]))
}
