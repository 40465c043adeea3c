/**
 * What clients hear of other people's profiles, over `/sync` and over sliding sync.
 *
 * Spec: MSC4429, MSC4262. A profile goes where its user's membership goes: to a client that sees somebody for the first time
 * it comes whole, and after that what changes. Of users of other servers nothing is told: their servers tell nobody of changes.
 * Like presence, profiles of ignored users are hidden.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { parseUserId, serverNameOf } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, type JsonValue, own } from '#protocol/json/json.ts'
import { bothFields, pickProfile, type ProfileChange, type ProfileFields } from '#protocol/sync/profile-fields.ts'

import type { Read } from '../../durable-objects/user-sync/read.ts'
import type { SlidingRead } from '../../durable-objects/user-sync/sliding/sliding-read.ts'
import { readProfiles } from '../accounts/profiles.ts'
import { audienceOf } from '../e2ee/announcer.ts'
import type { Env } from '../env.ts'
import { settingsOf } from '../settings.ts'
import type { Company } from './device-lists.ts'
import type { GatheredRoom } from './gather-rooms.ts'
import type { GatheredSliding } from './gather-sliding.ts'
import { userSyncOf } from './user-sync.ts'

/** Fields with a value, and fields that have none any more; null: nothing more is told of this user. */
type ProfileUpdate = { readonly updated: JsonObject; readonly removed: readonly string[] } | null

/** Somebody whose profile the client is to get in these fields. */
type Wanted = { readonly users: Iterable<string>; readonly fields: ProfileFields }

interface Question {
  readonly changed: readonly ProfileChange[]
  readonly whole: readonly Wanted[]
  readonly gone: readonly UserId[]
  readonly ignored: readonly string[]
}

async function profileUpdates(
  env: Env,
  reader: UserId,
  { changed, whole, gone, ignored }: Question,
): Promise<[UserId, ProfileUpdate][]> {
  const { serverName } = settingsOf(env)
  const wanted = new Map<UserId, { changed: readonly string[]; whole: ProfileFields }>()
  const add = (id: string, fields: { changed?: readonly string[]; whole?: ProfileFields }) => {
    const userId = parseUserId(id)
    if (!userId || serverNameOf(userId) !== serverName || (userId !== reader && ignored.includes(userId))) return
    const known = wanted.get(userId)
    const both = bothFields(known?.whole ?? [], fields.whole ?? [])
    wanted.set(userId, { changed: fields.changed ?? known?.changed ?? [], whole: both })
  }
  for (const { userId, fields } of changed) add(userId, { changed: fields })
  for (const { users, fields } of whole)
    if (fields.length > 0) for (const userId of users) add(userId, { whole: fields })
  const left = gone.filter((userId) => serverNameOf(userId) === serverName)
  for (const userId of left) wanted.delete(userId)
  const every = [...wanted.values()].reduce<ProfileFields>(
    (fields, each) => bothFields(fields, bothFields(each.changed, each.whole)),
    [],
  )
  const profiles =
    wanted.size === 0 ? new Map<UserId, JsonObject>() : await readProfiles(env, [...wanted.keys()], every)
  const updates = [...wanted].flatMap(([userId, fields]): [UserId, ProfileUpdate][] => {
    const profile = profiles.get(userId)
    // Whoever has no profile any more has no account either.
    if (!profile) return fields.changed.length > 0 ? [[userId, null]] : []
    const updated = pickProfile(profile, bothFields(fields.changed, fields.whole))
    const removed = fields.changed.filter((name) => own(profile, name) === undefined)
    return Object.keys(updated).length + removed.length > 0 ? [[userId, { updated, removed }]] : []
  })
  return [...updates, ...left.map((userId): [UserId, ProfileUpdate] => [userId, null])]
}

/** The part of a `/sync` answer; empty for a client that follows no profiles. `seen`: see `peopleIn`. */
export async function syncedProfiles(
  env: Env,
  reader: { readonly userId: UserId; readonly isLazy: boolean },
  { profiles, everything, rooms, ignoredUsers }: Pick<Read, 'profiles' | 'everything' | 'rooms' | 'ignoredUsers'>,
  seen: Iterable<string>,
  { joined, gone }: Company,
): Promise<JsonObject> {
  const { fields, changed, whole } = profiles
  if (fields.length === 0) return {}
  const { userId, isLazy } = reader
  const inRooms = async () => {
    const all = rooms.filter(({ membership }) => membership === 'join').map(({ roomId }) => roomId)
    return (await audienceOf(env, everything ? all : await userSyncOf(env, userId).joinedRooms())).users
  }
  const everybody = whole.length === 0 || (everything && isLazy) ? [] : await inRooms()
  const updates = await profileUpdates(env, userId, {
    changed,
    whole: [
      { users: [userId, ...everybody], fields: whole },
      { users: [...joined, ...(isLazy ? seen : [])], fields },
    ],
    gone,
    ignored: ignoredUsers,
  })
  if (updates.length === 0) return {}
  const users = updates.map(([user, update]): [string, JsonObject] => [user, { profile_updates: flat(update) }])
  return { 'org.matrix.msc4429.users': Object.fromEntries(users) }
}

/** "If its value is `null`, the field is treated as having been removed". */
function flat(update: ProfileUpdate): JsonObject | null {
  if (!update) return null
  const removed = update.removed.map((name): [string, JsonValue] => [name, null])
  return Object.fromEntries([...Object.entries(update.updated), ...removed])
}

/** The extension of sliding sync: users with what is to be told of them. */
export async function slidProfiles(
  env: Env,
  userId: UserId,
  { profiles, isInitial, ignoredUsers }: Pick<SlidingRead, 'profiles' | 'isInitial' | 'ignoredUsers'>,
  { people, newRooms }: Pick<GatheredSliding, 'people' | 'newRooms'>,
  { joined, gone }: Company,
): Promise<JsonObject> {
  const { fields, changed, whole, rooms } = profiles
  if (fields.length === 0) return {}
  const [inNewRooms, everybody] = [await audienceOf(env, newRooms), await audienceOf(env, rooms)]
  const updates = await profileUpdates(env, userId, {
    changed,
    whole: [
      { users: [...people, ...inNewRooms.users, ...joined, ...(isInitial ? [userId] : [])], fields },
      { users: rooms.length > 0 ? [userId, ...everybody.users] : [], fields: whole },
    ],
    gone,
    ignored: ignoredUsers,
  })
  return Object.fromEntries(
    updates.map(([user, update]): [string, JsonObject | null] => [user, update && shown(update)]),
  )
}

function shown({ updated, removed }: NonNullable<ProfileUpdate>): JsonObject {
  return {
    ...(Object.keys(updated).length > 0 ? { updated } : {}),
    ...(removed.length > 0 ? { removed } : {}),
  }
}

/**
 * Whom a room's part of an answer shows that the client may not know yet: those whose membership comes with it, and with
 * `senders` those who say something. `/sync` and sliding sync name the lists differently.
 */
export function peopleIn(room: JsonObject, senders: boolean): string[] {
  const lists = ['state', 'state_after', 'invite_state', 'knock_state', 'required_state', 'timeline'] as const
  const heroes = senders ? heroesIn(room) : []
  const people = lists.flatMap((name) =>
    eventsOf(own(room, name)).flatMap((event) => [
      ...(own(event, 'type') === 'm.room.member' ? [own(event, 'state_key')] : []),
      ...(name === 'invite_state' || (senders && name === 'timeline') ? [own(event, 'sender')] : []),
    ]),
  )
  return [...people, ...heroes].filter((id) => typeof id === 'string')
}

function eventsOf(list: JsonValue | undefined): JsonObject[] {
  const events = isObject(list) ? own(list, 'events') : list
  return Array.isArray(events) ? events.filter(isObject) : []
}

function heroesIn(room: JsonObject): (JsonValue | undefined)[] {
  const summary = own(room, 'summary')
  const [named, listed] = [isObject(summary) ? own(summary, 'm.heroes') : undefined, own(room, 'heroes')]
  return [
    ...(Array.isArray(named) ? named : []),
    ...(Array.isArray(listed) ? listed.map((hero) => (isObject(hero) ? own(hero, 'user_id') : undefined)) : []),
  ]
}

/** Collects them over the rooms of a `/sync` answer, for a client that follows profiles. */
export function seenPeople({ profiles, everything }: Pick<Read, 'profiles' | 'everything'>) {
  const people = new Set<string>()
  const see = ({ room }: Pick<GatheredRoom, 'room'>): void => {
    if (profiles.fields.length > 0) for (const id of peopleIn(room, everything)) people.add(id)
  }
  return { people, see }
}
