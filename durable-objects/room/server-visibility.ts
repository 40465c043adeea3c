/**
 * What another server may be given of this room: what any of its users may see. Made for one request.
 *
 * Spec: client-server-api/#room-history-visibility, server-server-api/#authorization. Whether the server may ask at all
 * (it is in the room, the room's access control list lets it in) is the caller's business (CVE-2022-39335).
 */
import { historyVisibilityOf, membershipOf } from '#protocol/events/fields.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import { type HistoryVisibility, mayServerRead, readHistoryVisibility } from '#protocol/history-visibility.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'

import type { Room } from './room.ts'
import { type GroupId, type Nid, outcomes, type StoredEvent } from './stored-event.ts'

export interface ServerSight {
  /**
   * False for rejected events, and for outliers: there is nothing to judge those by. Soft-failed ones are part of the DAG,
   * which other servers may see differently.
   */
  mayRead(event: StoredEvent): boolean
  /** Whether a user of the server has, or had, any membership. */
  readonly hadMembers: boolean
  /** Whether a user of the server was joined right before the event or right after it. */
  wasJoinedAt(event: Pick<StoredEvent, 'stateBefore' | 'stateAfter'>): boolean
}

/** Users of the server who are asked after, event by event; those whose membership is oldest first. */
const maxUsers = 1000

const visibilityKey = stateMapKey('m.room.history_visibility', '')

/** What another server sees of a known room. */
export function serverSightOf(room: Room, server: ServerName): ServerSight {
  const { groups, reader } = room
  const keys = usersOf(reader.sql, server).map((user) => stateMapKey('m.room.member', user))
  const joinedSince = reader.serversIn().has(server)
  const visibilities = new Map<GroupId, HistoryVisibility>()
  const memberships = new Map<GroupId, readonly string[]>()

  const contentOf = (nid: Nid | undefined) => (nid === undefined ? undefined : reader.eventOf(nid).pdu)
  const visibilityIn = (group: GroupId) =>
    remembered(visibilities, group, () => {
      const event = contentOf(groups.read(group, visibilityKey))
      return readHistoryVisibility(event && historyVisibilityOf(event))
    })
  const membershipsIn = (group: GroupId) =>
    remembered(memberships, group, () => {
      const members = reader.events([...groups.readMany(group, keys).values()])
      return [...new Set(members.map(({ pdu }) => membershipOf(pdu)).filter((membership) => membership !== undefined))]
    })
  /** Only looked up where the visibility alone does not decide. */
  const lazily = (group: GroupId): Iterable<string> => ({ [Symbol.iterator]: () => membershipsIn(group).values() })

  return {
    hadMembers: keys.length > 0,
    wasJoinedAt: ({ stateBefore, stateAfter }) =>
      [stateBefore, stateAfter].some((group) => group !== undefined && membershipsIn(group).includes('join')),
    mayRead({ outcome, stateBefore, stateAfter }) {
      if (outcome === outcomes.rejected || stateBefore === undefined || stateAfter === undefined) return false
      return mayServerRead({
        visibilityBefore: visibilityIn(stateBefore),
        visibilityAfter: visibilityIn(stateAfter),
        membershipsBefore: lazily(stateBefore),
        membershipsAfter: lazily(stateAfter),
        joinedSince,
      })
    },
  }
}

function remembered<K, V>(known: Map<K, V>, key: K, find: () => V): V {
  const found = known.get(key) ?? find()
  known.set(key, found)
  return found
}

/** Everybody of the server who ever had a membership: places of the state do not go away. */
function usersOf(sql: SqlStorage, server: ServerName): string[] {
  const query = `SELECT state_key AS user FROM current_state
    WHERE type = 'm.room.member' AND substr(state_key, instr(state_key, ':') + 1) = ? ORDER BY event_nid LIMIT ?`
  return sql
    .exec<{ user: string }>(query, server, maxUsers)
    .toArray()
    .map(({ user }) => user)
}
