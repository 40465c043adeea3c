/**
 * Authorisation of `m.room.power_levels`: nobody hands out, takes away or guards with more than they have.
 *
 * Spec: rooms/v1 "Authorisation rules", rule 10 (v6–v11: 9; v12: 10). What the levels mean: `../power-levels.ts`.
 */
import type { Pdu, StateLookup } from '#protocol/events/pdu.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { isObject, own } from '#protocol/json/json.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { creatorsOf, defaultLevels, levelNames, readLevel } from '#protocol/power-levels.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { allow, reject } from './verdict.ts'
import type { Rejection, Verdict } from './verdict.ts'

export function checkPowerLevels(
  rules: RoomVersionRules,
  pdu: Pdu,
  create: Pdu,
  state: StateLookup,
  senderLevel: number,
): Verdict {
  const fault = formFault(rules, pdu.content, create)
  if (fault !== undefined) return fault

  // "If there is no previous m.room.power_levels event in the room, allow." Up to version 9 that admits a first event with
  // levels nobody can read; `../power-levels.ts` says what they are worth.
  const previous = state('m.room.power_levels', '')
  if (previous === undefined) return allow

  const change: Change = { rules, before: previous.content, after: pdu.content, sender: pdu.sender, senderLevel }
  return levelsFault(change) ?? entriesFault(change) ?? usersFault(change) ?? allow
}

interface Change {
  readonly rules: RoomVersionRules
  readonly before: JsonObject
  readonly after: JsonObject
  readonly sender: string
  readonly senderLevel: number
}

/** What the content must look like, whatever the state. */
function formFault(rules: RoomVersionRules, content: JsonObject, create: Pdu): Rejection | undefined {
  if (rules.integerPowerLevels) {
    // v10+: "If any of the properties users_default, … or invite in content are present and not an integer, reject."
    const unreadable = levelNames.find((name) => !isLevelOrAbsent(rules, content, name))
    if (unreadable !== undefined) return reject(rules, 'powerLevels.integers', `${unreadable} is not an integer`)

    // v10+: "If either of the properties events or notifications in content are present and not an object with values that
    // are integers, reject."
    for (const map of ['events', 'notifications']) {
      if (levelsIn(rules, content, map) === undefined) {
        return reject(rules, 'powerLevels.maps', `${map} is not an object of integers`)
      }
    }
  }

  // "If the users property in content is not an object with keys that are valid user IDs with values that are integers
  // (v1–v9: or a string that is an integer), reject." An event without the property is fine: it is optional.
  const users = levelsIn(rules, content, 'users')
  if (users === undefined) return reject(rules, 'powerLevels.users', 'users is not an object of power levels')
  for (const userId of users.keys()) {
    if (parseUserId(userId) === undefined) return reject(rules, 'powerLevels.users', 'a key of users is not a user ID')
  }

  // v12: "If the users property in content contains the sender of the m.room.create event or any of the
  // additional_creators array (if present) from the content of the m.room.create event, reject."
  if (rules.privilegedCreators) {
    for (const creator of creatorsOf(rules, create)) {
      if (users.has(creator)) return reject(rules, 'powerLevels.creators', 'a creator is listed in users')
    }
  }
  return undefined
}

/**
 * "For the properties users_default, events_default, state_default, ban, redact, kick, invite check if they were added,
 * changed or removed." What is absent has its default ("Power levels are inferred from defaults when not explicitly
 * supplied"), so that nobody below 50 can add a `ban` of 0.
 */
function levelsFault({ rules, before, after, senderLevel }: Change): Rejection | undefined {
  for (const name of levelNames) {
    const oldValue = own(before, name)
    const newValue = own(after, name)
    if (oldValue === undefined && newValue === undefined) continue
    const newLevel = newValue === undefined ? defaultLevels[name] : readLevel(rules, newValue)
    if (newLevel === undefined) return reject(rules, 'powerLevels.levels.new', `${name} is not a power level`)
    const oldLevel = oldValue === undefined ? defaultLevels[name] : (readLevel(rules, oldValue) ?? Infinity)
    const isSame = oldValue !== undefined && newValue !== undefined && oldLevel === newLevel
    if (isSame) continue
    // "If the current value is greater than the sender's current power level, reject."
    if (oldLevel > senderLevel) return reject(rules, 'powerLevels.levels.current', `${name} is above the sender`)
    // "If the new value is greater than the sender's current power level, reject."
    if (newLevel > senderLevel) return reject(rules, 'powerLevels.levels.new', `${name} would be above the sender`)
  }
  return undefined
}

/** The entries of `events`, and from version 6 on of `notifications`. */
function entriesFault({ rules, before, after, senderLevel }: Change): Rejection | undefined {
  const maps = rules.guardsNotificationLevels ? ['events', 'notifications'] : ['events']
  const changes: EntryChange[] = []
  for (const map of maps) {
    const oldLevels = currentLevelsIn(rules, before, map)
    const newLevels = levelsIn(rules, after, map)
    if (oldLevels === undefined) return reject(rules, 'powerLevels.currentEntries', `current ${map} cannot be read`)
    if (newLevels === undefined) return reject(rules, 'powerLevels.newEntries', `${map} is not an object of levels`)
    changes.push(...changesBetween(oldLevels, newLevels))
  }
  for (const { key, before: oldLevel } of changes) {
    // "For each entry being changed in, or removed from: if the current value is greater than the sender's current power
    // level, reject."
    if (oldLevel !== undefined && oldLevel > senderLevel) {
      return reject(rules, 'powerLevels.currentEntries.level', `the level of ${key} is above the sender`)
    }
  }
  for (const { key, after: newLevel } of changes) {
    // "For each entry being added to, or changed in: if the new value is greater than the sender's current power level,
    // reject."
    if (newLevel !== undefined && newLevel > senderLevel) {
      return reject(rules, 'powerLevels.newEntries.level', `the level of ${key} would be above the sender`)
    }
  }
  return undefined
}

function usersFault({ rules, before, after, sender, senderLevel }: Change): Rejection | undefined {
  const oldLevels = currentLevelsIn(rules, before, 'users')
  const newLevels = levelsIn(rules, after, 'users')
  if (oldLevels === undefined) return reject(rules, 'powerLevels.currentUsers', 'current users cannot be read')
  if (newLevels === undefined) return reject(rules, 'powerLevels.users', 'users is not an object of power levels')
  const changes = changesBetween(oldLevels, newLevels)
  for (const { key, before: oldLevel } of changes) {
    // "For each entry being changed in, or removed from, the users property, other than the sender's own entry: if the
    // current value is greater than or equal to the sender's current power level, reject."
    if (key !== sender && oldLevel !== undefined && oldLevel >= senderLevel) {
      return reject(rules, 'powerLevels.currentUsers.level', `${key} is not below the sender`)
    }
  }
  for (const { key, after: newLevel } of changes) {
    // "For each entry being added to, or changed in, the users property: if the new value is greater than the sender's
    // current power level, reject."
    if (newLevel !== undefined && newLevel > senderLevel) {
      return reject(rules, 'powerLevels.newUsers.level', `${key} would be above the sender`)
    }
  }
  return undefined
}

/** One key whose level differs; undefined on the side where it is not listed. */
interface EntryChange {
  readonly key: string
  readonly before: number | undefined
  readonly after: number | undefined
}

function changesBetween(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): EntryChange[] {
  const changes: EntryChange[] = []
  for (const [key, level] of before) {
    if (after.get(key) !== level) changes.push({ key, before: level, after: after.get(key) })
  }
  for (const [key, level] of after) if (!before.has(key)) changes.push({ key, before: undefined, after: level })
  return changes
}

function isLevelOrAbsent(rules: RoomVersionRules, content: JsonObject, name: string): boolean {
  const value = own(content, name)
  return value === undefined || readLevel(rules, value) !== undefined
}

/** The levels in a map of new content: undefined if it, or one of them, is malformed. */
function levelsIn(rules: RoomVersionRules, content: JsonObject, map: string): Map<string, number> | undefined {
  const levels = currentLevelsIn(rules, content, map)
  return levels !== undefined && [...levels.values()].every(Number.isFinite) ? levels : undefined
}

/**
 * The levels in a map of the current content: none if it is absent, undefined if it is no map. A level that cannot be read
 * is out of everybody's reach.
 */
function currentLevelsIn(rules: RoomVersionRules, content: JsonObject, map: string): Map<string, number> | undefined {
  const value = own(content, map)
  if (value === undefined) return new Map()
  if (!isObject(value)) return undefined
  const levels = new Map<string, number>()
  for (const [key, level] of Object.entries(value)) {
    if (level !== undefined) levels.set(key, readLevel(rules, level) ?? Infinity)
  }
  return levels
}
