/** A room of many: rows as they would be, had so many members of another server come. */
import type { Room } from '../../../durable-objects/room/room.ts'

export function fillWithMembers({ reader }: Room, count: number): void {
  const copy = `INSERT INTO events(event_id, type, state_key, sender, depth, origin_server_ts, outcome, auth, json)
    SELECT '$member' || ?1, type, ?2, ?2, 1, 1, 3, auth,
      json_set(json, '$.state_key', ?2, '$.sender', ?2, '$.content.displayname', ?3) FROM events WHERE type = 'm.room.member' LIMIT 1`
  const place =
    "INSERT INTO current_state(type, state_key, event_nid, membership) VALUES ('m.room.member', ?, last_insert_rowid(), 'join')"
  for (let n = 0; n < count; n++) {
    const user = `@member${n}:elsewhere${n % 7}.example`
    reader.sql.exec(copy, n, user, `Name${n} Ünal`)
    reader.sql.exec(place, user)
  }
  reader.forget()
}
