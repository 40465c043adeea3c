/**
 * What a room is called, and who is in it.
 *
 * Spec: MSC4186 "name", "avatar", "heroes", "joined_count", "invited_count". Given with a room that is new to the client, and
 * when it changed. Heroes stand in for a name; of a room that was left they are nobody's business.
 */
import { contentString } from '#protocol/events/fields.ts'
import { splitStateMapKey, stateMapKey } from '#protocol/events/state-map.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import { membersIn } from '../lazy-members.ts'
import type { GroupId, StoredEvent } from '../stored-event.ts'
import { countsOf, heroesOf as roomHeroes } from '../summary.ts'
import type { View } from '../visibility.ts'
import type { Span } from './inside-slice.ts'
import type { SlidingAsked } from './sliding-slice.ts'

const [nameKey, avatarKey] = [stateMapKey('m.room.name', ''), stateMapKey('m.room.avatar', '')]
const maxHeroes = 5

export function metaOf({ view }: SlidingAsked, { initial, held, end }: Span, hasLeft: boolean): JsonObject {
  const changed = [...(held?.changes.keys() ?? [])]
  const membersChanged = changed.some((key) => splitStateMapKey(key)[0] === 'm.room.member')
  const nids = view.room.groups.readMany(end, [nameKey, avatarKey])
  const [name, avatar] = [textAt(view, nids.get(nameKey), 'name'), textAt(view, nids.get(avatarKey), 'url')]
  const wantsMembers = !hasLeft && (initial || membersChanged)
  const wantsHeroes = name === undefined && (wantsMembers || (!hasLeft && changed.includes(nameKey)))
  // "`null` if room name has been removed": a client that was given none needs no null.
  return {
    ...(name !== undefined && initial ? { name } : {}),
    ...(avatar !== undefined && initial ? { avatar } : {}),
    ...(!initial && changed.includes(nameKey) ? { name: name ?? null } : {}),
    ...(!initial && changed.includes(avatarKey) ? { avatar: avatar ?? null } : {}),
    ...(wantsMembers ? memberCounts(view) : {}),
    ...(wantsHeroes ? heroesOf(view, end) : {}),
  }
}

function textAt({ room }: View, nid: number | undefined, key: string): string | undefined {
  const event: StoredEvent | undefined = nid === undefined ? undefined : room.reader.eventOf(nid)
  return (event && contentString(event.pdu, key)) || undefined
}

function memberCounts({ room }: View): JsonObject {
  const { joined, invited } = countsOf(room)
  return { joined_count: joined, invited_count: invited }
}

function heroesOf({ room, reader }: View, end: GroupId): JsonObject {
  const { present, gone } = roomHeroes(room)
  const others = (users: readonly UserId[]) => users.filter((user) => user !== reader).slice(0, maxHeroes)
  const heroes = others(present).length > 0 ? others(present) : others(gone)
  const members = new Map(membersIn(room, end, heroes).map((event) => [event.state_key, event]))
  const list = heroes.map((user) => {
    const member = members.get(user)
    const [displayname, avatar] = ['displayname', 'avatar_url'].map((key) => member && contentString(member.pdu, key))
    return {
      user_id: user,
      ...(displayname === undefined ? {} : { displayname }),
      ...(avatar === undefined ? {} : { avatar_url: avatar }),
    }
  })
  return list.length > 0 ? { heroes: list } : {}
}
