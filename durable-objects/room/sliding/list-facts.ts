/**
 * What a room tells a user along with its news, for lists of sliding sync to filter and sort by.
 *
 * Spec: MSC4186 "Filters", "bump_stamp". What depends on the room alone is worked out once for all who are told. One who is
 * not in the room is told what stripped state says, and one who left it nothing of what is now.
 */
import { contentString } from '#protocol/events/fields.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import type { RoomAbout } from '#protocol/sliding-sync/room-list.ts'

import type { ListFacts } from '../../user-sync/sliding/room-facts.ts'
import type { Room } from '../room.ts'
import { stickyFacts } from '../sticky/sticky-rows.ts'
import type { StoredEvent } from '../stored-event.ts'
import { strippedStateAt, strippedStateFromOutside } from '../stripped-state.ts'
import { viewOf } from '../visibility.ts'

/** The events by which a room comes to the top of a list. */
export const bumpTypes: ReadonlySet<string> = new Set([
  'm.room.create',
  'm.room.message',
  'm.room.encrypted',
  'm.sticker',
  'm.call.invite',
  'm.poll.start',
  'org.matrix.msc3381.poll.start',
  'm.beacon_info',
  'org.matrix.msc3672.beacon_info',
])

/** What depends on the room alone, as it was at a position. */
export interface SharedFacts {
  readonly pos: number
  readonly bump: number
  readonly about: RoomAbout
}

/** The facts for one user, `now` in ms. Undefined where the user has nothing to do with the room. */
export function listFacts(room: Room, user: UserId, now: number): ListFacts | undefined {
  const { reader } = room
  const { currentGroup } = reader.header()
  const state = currentGroup ?? 0
  const outside = reader.outsideMembership(user)
  if (!outside && reader.membership(user) === 'join') {
    // Most who are told are joined: their member events need not be looked at.
    const { bump, about } = sharedFacts(room, now)
    return { bump: bump || joinedAt(room, user, now), state, about, sticky: stickyFacts(room, now).stickyFacts }
  }
  const member = outside ? reader.eventOf(outside.eventNid) : reader.current('m.room.member', user)
  if (!member) return undefined
  const own = { bump: Math.min(member.origin_server_ts, now), state, by: member.sender }
  const membership = outside?.membership ?? reader.membership(user)
  if (membership !== 'invite' && membership !== 'knock') return { ...own, isRemoved: isRemoved(room, user, membership) }
  const stripped = outside ? strippedStateFromOutside(room, outside) : strippedStateAt(room, member)
  return { ...own, about: aboutStripped(stripped) }
}

/** Whether somebody who was in the room is there no more by the will of others. One who has forgotten it was never there. */
function isRemoved(room: Room, user: UserId, membership: string | undefined): boolean {
  const { standing } = viewOf(room, user)
  return standing.kind === 'departed' && (membership === 'ban' || standing.until.sender !== user)
}

function joinedAt({ reader }: Room, user: UserId, now: number): number {
  return Math.min(reader.current('m.room.member', user)?.origin_server_ts ?? 0, now)
}

function sharedFacts(room: Room, now: number): SharedFacts {
  const { memory, reader } = room
  const { pos } = reader.header()
  const known = memory.listFacts
  if (known?.pos === pos) return known
  const facts = { pos, bump: newestBump(room, known, now), about: aboutNow(room) }
  memory.listFacts = facts
  return facts
}

/** Positions looked through for an event that bumps: in a room that is older than that in silence, joins count. */
const mostLooked = 20_000
const bumpQuery = `SELECT origin_server_ts AS ts FROM events WHERE pos > ?1 AND pos <= ?2 AND origin_server_ts <= ?3
  AND type IN (SELECT value FROM json_each(?4)) ORDER BY pos DESC LIMIT 10`

/**
 * The time of the newest activity. Other servers date their events as they like: what claims to come from the future is
 * passed over, and what arrives late does not take the room back down.
 */
function newestBump({ reader }: Room, known: SharedFacts | undefined, now: number): number {
  const { pos } = reader.header()
  const after = known ? known.pos : Math.max(0, pos - mostLooked)
  const types = JSON.stringify([...bumpTypes])
  const rows = reader.sql.exec<{ ts: number }>(bumpQuery, after, pos, now, types).toArray()
  return Math.max(known?.bump ?? 0, ...rows.map(({ ts }) => ts))
}

function aboutNow(room: Room): RoomAbout {
  const { reader } = room
  const text = (type: string, key: string) => textOf(reader.current(type, ''), key)
  const type = text('m.room.create', 'type')
  return {
    name: text('m.room.name', 'name'),
    type,
    isEncrypted: reader.current('m.room.encryption', '') !== undefined,
    ...(type === 'm.space' ? { children: childrenOf(room) } : {}),
  }
}

function textOf(event: StoredEvent | undefined, key: string): string | undefined {
  return (event && contentString(event.pdu, key)?.slice(0, 255)) || undefined
}

/** Rooms of a space that are told. */
const mostChildren = 1000

/** "Only rooms directly mentioned as `m.space.child`"; one without `via` is taken out. */
function childrenOf({ reader }: Room): string[] {
  const query =
    "SELECT event_nid AS nid FROM current_state WHERE type = 'm.space.child' ORDER BY event_nid DESC LIMIT ?"
  const nids = reader.sql.exec<{ nid: number }>(query, mostChildren).toArray()
  const events = reader.events(nids.map(({ nid }) => nid)).filter(({ pdu }) => Array.isArray(own(pdu.content, 'via')))
  return events.flatMap(({ state_key }) => (state_key === undefined ? [] : [state_key]))
}

function aboutStripped(events: readonly JsonObject[]): RoomAbout | undefined {
  const content = (type: string) => {
    const event = events.find((each) => own(each, 'type') === type && own(each, 'state_key') === '')
    const found = event && own(event, 'content')
    return isObject(found) ? found : undefined
  }
  const text = (type: string, key: string) => {
    const value = own(content(type) ?? {}, key)
    return typeof value === 'string' && value !== '' ? value.slice(0, 255) : undefined
  }
  // Without its create event nothing can be said of the room, not even that it is not encrypted.
  if (!content('m.room.create')) return undefined
  return {
    name: text('m.room.name', 'name'),
    type: text('m.room.create', 'type'),
    isEncrypted: content('m.room.encryption') !== undefined,
  }
}
