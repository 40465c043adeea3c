/**
 * Servers that are not in the room any more and may not know. A server hears of a ban like of any event; but where it was on
 * another fork meanwhile, the ban does not fit in there unless it also has what leads to it. And state resolution puts users
 * out without any event about them:
 *
 *     leave of @u, on their server's wire ──┐
 *     join of @u, over another server ──────┴── M     after M, @u is not in the room. Nobody told them.
 *
 * So such a server gets M, and may ask for what leads to the end of its stay; of what it may not read it gets what a
 * redaction leaves, which is enough to come to the same state.
 *
 * The other way round, we may have left a room that for us was empty by then, while on another fork others came back. They
 * tell us of their events; we tell them that we left.
 */
import { splitStateMapKey } from '#protocol/events/state-map.ts'
import { membershipOf } from '#protocol/events/fields.ts'
import { parseServerName, type ServerName } from '#protocol/identifiers/server-name.ts'

import type { Room } from '../room.ts'
import type { Nid, StoredEvent } from '../stored-event.ts'

/** Events looked through for the one that put a server out. */
const maxMerges = 200

/** Servers of users who were joined on a fork that the event merges, and are not in the state before it. */
export function partedBy({ reader, groups }: Room, event: StoredEvent): Set<ServerName> {
  const parted = new Set<ServerName>()
  const { prev_events } = event.pdu
  if (prev_events.length < 2 || event.stateBefore === undefined) return parted
  for (const id of prev_events) {
    const fork = reader.eventById(id)?.stateAfter
    if (fork === undefined) continue
    for (const [key, [before, after]] of groups.diff(fork, event.stateBefore)) {
      const [type, userId] = splitStateMapKey(key)
      if (type !== 'm.room.member' || before === undefined) continue
      const isIn = (nid: number | undefined) => nid !== undefined && membershipOf(reader.eventOf(nid).pdu) === 'join'
      const server = isIn(before) && !isIn(after) ? serverOf(userId) : undefined
      if (server) parted.add(server)
    }
  }
  return parted
}

/** How deep in the room a server that is not in it may look to find that out; 0 for one that never was. */
export function partingDepth(room: Room, server: ServerName): number {
  const { reader } = room
  const put = `SELECT coalesce(max(depth), 0) AS depth FROM current_state JOIN events ON nid = event_nid
    WHERE current_state.type = 'm.room.member' AND membership IN ('leave', 'ban')
    AND substr(current_state.state_key, instr(current_state.state_key, ':') + 1) = ?`
  const depthOf = (name: string) => reader.sql.exec<{ depth: number }>(put, name).one().depth
  const depth = Math.max(depthOf(server), farewells(room).length > 0 ? depthOf(reader.serverName) : 0)
  for (const nid of newestMerges(room)) {
    const [event] = reader.events([nid])
    if (event && event.depth > depth && partedBy(room, event).has(server)) return event.depth
  }
  return depth
}

/** By room, up to which position it was looked through, and what was found: whoever left may ask as often as they like. */
const foundMerges = new WeakMap<Room, { readonly pos: number; readonly nids: readonly Nid[] }>()

/** The newest events that merge forks, newest first. */
export function newestMerges(room: Room): readonly Nid[] {
  const { reader } = room
  const { pos } = reader.header()
  const known = foundMerges.get(room)
  if (known?.pos === pos) return known.nids
  // A room that was forgotten begins anew.
  const before = known && known.pos < pos ? known : { pos: 0, nids: [] }
  const query = `SELECT nid FROM events WHERE pos IS NOT NULL AND pos > ? AND json_array_length(json, '$.prev_events') > 1
    ORDER BY pos DESC LIMIT ${maxMerges}`
  const found = reader.sql.exec<{ nid: Nid }>(query, before.pos).toArray()
  const nids = [...found.map(({ nid }) => nid), ...before.nids].slice(0, maxMerges)
  foundMerges.set(room, { pos, nids })
  return nids
}

/** Numbers of the events by which our users left, if nobody of ours is in the room any more. */
export function farewells({ reader }: Room): Nid[] {
  if (reader.localJoined().size > 0) return []
  const query = `SELECT event_nid AS nid FROM current_state JOIN events ON nid = event_nid
    WHERE current_state.type = 'm.room.member' AND membership = 'leave' AND sender = current_state.state_key
    AND substr(sender, instr(sender, ':') + 1) = ? AND pos IS NOT NULL`
  return reader.sql
    .exec<{ nid: Nid }>(query, reader.serverName)
    .toArray()
    .map(({ nid }) => nid)
}

export function serverOf(userId: string): ServerName | undefined {
  return parseServerName(userId.slice(userId.indexOf(':') + 1))
}
