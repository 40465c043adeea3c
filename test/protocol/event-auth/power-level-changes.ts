/** One change of `m.room.power_levels` after another, for the tests about them. */
import { expect } from 'vitest'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'
import { timeline } from '../../dsl/room-timeline.ts'
import { alice, bob, carol, user } from '../../dsl/users.ts'
import { allowed, numbers, since } from './numbers.ts'

export const admin = user('@admin:a.example')

/** Where the rules stand: `form` in version 10 and later, and how far the rest moves. */
export function rulesIn(version: RoomVersion) {
  const top = numbers[version].powerLevels
  const shift = since(version, 12) ? 3 : since(version, 10) ? 2 : 0
  return {
    integers: `${top}.1`,
    maps: `${top}.2`,
    users: since(version, 10) ? `${top}.3` : `${top}.1`,
    creators: `${top}.4`,
    current: `${top}.${3 + shift}.1`,
    new: `${top}.${3 + shift}.2`,
    currentEntry: `${top}.${4 + shift}.1`,
    newEntries: `${top}.${5 + shift}`,
    newEntry: `${top}.${5 + shift}.1`,
    currentUser: `${top}.${6 + shift}.1`,
    newUser: `${top}.${7 + shift}.1`,
  }
}

/** The admin has 100, Bob 50 like the event needs, Carol 0. Alice, the creator, is left out of version 12's users. */
export function usersOf(version: RoomVersion, more: JsonObject = {}): JsonObject {
  return { ...(since(version, 12) ? {} : { [alice]: 100 }), [admin]: 100, [bob]: 50, ...more }
}

/** Whether `sender` may turn one content into another. `users` is the usual one unless given. */
export function change(version: RoomVersion, sender: UserId, before: JsonObject, after: JsonObject) {
  const levels = { events: { 'm.room.power_levels': 50 }, users: usersOf(version) }
  const room = timeline(version).create(alice).join(alice).setJoinRule(alice, 'public')
  for (const member of [admin, bob, carol]) room.join(member)
  room.setPowerLevels(alice, { ...levels, ...before })
  expect(room.last.verdict).toEqual(allowed)
  return room.judge(room.draft('m.room.power_levels', '', { ...levels, ...after }, sender))
}
