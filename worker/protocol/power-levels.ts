/**
 * Who may do what: the levels of a room's current `m.room.power_levels`, with every default.
 *
 * Spec: client-server-api/#mroompower_levels, server-server-api/#definitions, rooms/v1 (levels as strings and floats),
 * rooms/v10 (integers only), rooms/v12 (creators). Whether somebody may *change* the levels is decided in
 * `event-auth/power-levels.ts`.
 *
 * A level which is there but cannot be read never falls back to its default: what it guards is out of everybody's reach
 * (Infinity), and a user whose level it is has none (-Infinity). Only versions 1 to 9 let such a thing into a room.
 */
import type { Pdu, StateLookup } from '#protocol/events/pdu.ts'
import { isObject, own } from '#protocol/json/json.ts'
import type { JsonObject, JsonValue } from '#protocol/json/json.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'

/** The levels in `m.room.power_levels` that stand on their own, in the order of the rules about them. */
export const levelNames = [
  'users_default',
  'events_default',
  'state_default',
  'ban',
  'redact',
  'kick',
  'invite',
] as const
export type LevelName = (typeof levelNames)[number]

export const defaultLevels: Readonly<Record<LevelName, number>> = {
  users_default: 0,
  events_default: 0,
  state_default: 50,
  ban: 50,
  redact: 50,
  kick: 50,
  invite: 0,
}

export interface PowerLevels {
  /** The level of a user; Infinity for the creators of a version 12 room. */
  userLevel(userId: string): number
  /** The required power level of an event type. Not asked for memberships. */
  eventLevel(type: string, isState: boolean): number
  /** What it takes to trigger a notification, `room` for `@room`. */
  notificationLevel(key: string): number
  readonly ban: number
  readonly kick: number
  readonly redact: number
  readonly invite: number
}

/** The power levels of a room in this state. */
export function powerLevelsOf(rules: RoomVersionRules, state: StateLookup): PowerLevels {
  const create = state('m.room.create', '')
  const content = state('m.room.power_levels', '')?.content
  const creator = create === undefined ? undefined : creatorOf(rules, create)
  const privileged = rules.privilegedCreators && create !== undefined ? creatorsOf(rules, create) : new Set<string>()
  const named = (level: LevelName): number =>
    content === undefined ? defaultLevels[level] : levelIn(rules, content, level, defaultLevels[level], Infinity)

  return {
    userLevel(userId) {
      if (privileged.has(userId)) return Infinity
      // "If the room contains no m.room.power_levels event, the room's creator has a power level of 100, and all other
      // users have a power level of 0."
      if (content === undefined) return userId === creator && !rules.privilegedCreators ? 100 : 0
      return (
        entryIn(rules, content, 'users', userId, -Infinity) ?? levelIn(rules, content, 'users_default', 0, -Infinity)
      )
    },
    eventLevel(type, isState) {
      const listed = content === undefined ? undefined : entryIn(rules, content, 'events', type, Infinity)
      return listed ?? named(isState ? 'state_default' : 'events_default')
    },
    notificationLevel(key) {
      const listed = content === undefined ? undefined : entryIn(rules, content, 'notifications', key, Infinity)
      return listed ?? 50
    },
    ban: named('ban'),
    kick: named('kick'),
    redact: named('redact'),
    invite: named('invite'),
  }
}

/** A level at the top of the content: the default where it is absent, `unreadable` where it is no level. */
function levelIn(
  rules: RoomVersionRules,
  content: JsonObject,
  key: string,
  defaultLevel: number,
  unreadable: number,
): number {
  const value = own(content, key)
  return value === undefined ? defaultLevel : (readLevel(rules, value) ?? unreadable)
}

/** A level in one of the maps: undefined where it is not listed, `unreadable` where it or the map is malformed. */
function entryIn(
  rules: RoomVersionRules,
  content: JsonObject,
  map: 'users' | 'events' | 'notifications',
  key: string,
  unreadable: number,
): number | undefined {
  const levels = own(content, map)
  if (levels === undefined) return undefined
  if (!isObject(levels)) return unreadable
  const value = own(levels, key)
  return value === undefined ? undefined : (readLevel(rules, value) ?? unreadable)
}

/** White space of Unicode on either side, a sign or none, decimal digits. */
const levelAsString = /^\p{White_Space}*([+-]?[0-9]+)\p{White_Space}*$/u

/**
 * A power level as the room version writes it, or undefined for what is none.
 *
 * Versions 1 to 9 admit strings of digits; versions 1 to 5, which do not demand canonical JSON, also floats, which are
 * truncated ("`50.57` … the same effective power level of `50`"). Anything beyond 2^53 is as exact as a double.
 */
export function readLevel(rules: RoomVersionRules, value: JsonValue): number | undefined {
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return value
    return rules.strictCanonicalJson || !Number.isFinite(value) ? undefined : Math.trunc(value)
  }
  if (rules.integerPowerLevels || typeof value !== 'string') return undefined
  const digits = levelAsString.exec(value)?.[1]
  const level = Number(digits)
  return digits !== undefined && Number.isFinite(level) ? level : undefined
}

/**
 * The one creator: who may join first, and who has level 100 in a room without power levels. Up to version 10 it is
 * whomever `content.creator` names, and nobody if that is not a string.
 */
export function creatorOf(rules: RoomVersionRules, create: Pdu): string | undefined {
  if (rules.creatorIsSender) return create.sender
  const creator = own(create.content, 'creator')
  return typeof creator === 'string' ? creator : undefined
}

/** All creators: in version 12 the sender of the create event and its `additional_creators`. */
export function creatorsOf(rules: RoomVersionRules, create: Pdu): ReadonlySet<string> {
  const creators = new Set<string>()
  const creator = creatorOf(rules, create)
  if (creator !== undefined) creators.add(creator)
  const additional = rules.privilegedCreators ? own(create.content, 'additional_creators') : undefined
  if (Array.isArray(additional)) {
    for (const userId of additional) if (typeof userId === 'string') creators.add(userId)
  }
  return creators
}
