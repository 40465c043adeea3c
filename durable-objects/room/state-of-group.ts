/** The events of a whole state, of which the current one lies spread out in a table. */
import { splitStateMapKey } from '#protocol/events/state-map.ts'

import type { Room } from './room.ts'
import type { GroupId, Nid, StoredEvent } from './stored-event.ts'

/** The state that a group holds, oldest event first; on wish without its members, which may be very many. */
export function stateOfGroup(room: Room, group: GroupId, withoutMembers = false): StoredEvent[] {
  return room.reader.events(nidsOfGroup(room, group, withoutMembers))
}

/** Their numbers, in the same order. */
export function nidsOfGroup({ reader, groups }: Room, group: GroupId, withoutMembers = false): Nid[] {
  const nids =
    group === reader.header().currentGroup
      ? currentNids(reader.sql, withoutMembers)
      : [...groups.readAll(group)]
          .filter(([key]) => !withoutMembers || splitStateMapKey(key)[0] !== 'm.room.member')
          .map(([, nid]) => nid)
  return nids.sort((a, b) => a - b)
}

const all = 'SELECT event_nid AS nid FROM current_state'
const others = `${all} WHERE type < 'm.room.member' UNION ALL ${all} WHERE type > 'm.room.member'`

function currentNids(sql: SqlStorage, withoutMembers: boolean): Nid[] {
  return sql
    .exec<{ nid: number }>(withoutMembers ? others : all)
    .toArray()
    .map(({ nid }) => nid)
}
