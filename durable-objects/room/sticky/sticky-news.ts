/**
 * Sticky events of our users, as other servers must have them.
 *
 * Spec: MSC4354. "Attempt to push their own sticky events to all joined servers … Large volumes of events to send MUST NOT cause
 * the sticky event to be dropped"; "when a new server joins the room, existing servers MUST attempt to push all of their own
 * sticky events". Those of other servers are their business.
 */
import type { ServerName } from '#protocol/identifiers/server-name.ts'

import { serverOf } from '../federation/parted-servers.ts'
import type { Room } from '../room.ts'
import { serverSightOf } from '../server-visibility.ts'
import type { Nid } from '../stored-event.ts'
import { hasSticky, ownSticky, type StickyRow } from './sticky-rows.ts'

/** Servers that came into the room after a position, and before which of our positions they lack what is sticky. */
export interface Newcomers {
  readonly servers: ServerName[]
  /** The position right before the first sticky event of ours, or that of which they know if it is earlier. */
  readonly after: number
}

/** Who came after a position `told`; undefined where nobody did, or nothing of ours is sticky. `now` in ms since 1970. */
export function newcomersToSticky(room: Room, told: number, now: number): Newcomers | undefined {
  if (!hasSticky(room, now)) return undefined
  const first = ownSticky(room, now)[0]
  if (!first) return undefined
  const { reader } = room
  const query = `SELECT nid, state_key AS userId FROM events WHERE pos > ? AND outcome = 0 AND type = 'm.room.member'`
  const servers = new Set<ServerName>()
  for (const { nid, userId } of reader.sql.exec<{ nid: Nid; userId: string }>(query, told).toArray()) {
    const server = serverOf(userId)
    if (!server || server === reader.serverName || !reader.joinedServers().has(server)) continue
    const { stateBefore } = reader.eventOf(nid)
    if (!serverSightOf(room, server).wasJoinedAt({ stateBefore, stateAfter: undefined })) servers.add(server)
  }
  return servers.size === 0 ? undefined : { servers: [...servers], after: Math.min(first.pos - 1, told) }
}

/** What is sticky of ours after a position, where the server is in the room now: it gets that whole, whenever it came. */
export function stickyFor(room: Room, server: ServerName, after: number, now: number): StickyRow[] {
  if (!hasSticky(room, now) || !room.reader.serversIn().has(server)) return []
  return ownSticky(room, now).filter(({ pos }) => pos > after)
}
