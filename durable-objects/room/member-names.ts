/**
 * The names of members of other servers, for those who look for people: FTS5 without texts, a row for each.
 *
 * Nobody looks in most rooms, so nothing is written before somebody does. Then members are taken up in the order of their IDs,
 * some at a time, and from then on a change of one that was taken up is noted with it: what is looked for is never read from
 * all members.
 */
import { contentString } from '#protocol/events/fields.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import { hasNameWords } from '#protocol/search/name-words.ts'

import type { CurrentEntry } from './reader.ts'
import type { Room } from './room.ts'
import type { Nid, StoredEvent } from './stored-event.ts'

/** Members taken up in one search. */
const atOnce = 2000
/** Every user ID begins with `@`, and so comes before this. */
const everybody = 'A'

export interface FoundMember {
  readonly userId: UserId
  readonly displayName: string | undefined
  readonly avatarUrl: string | undefined
}

const matching = 'SELECT rowid AS nid FROM member_names WHERE member_names MATCH ? LIMIT ?'

/** Joined members of other servers in whose ID or name words begin with each of these. */
export function findMembers(room: Room, words: readonly string[], most: number): FoundMember[] {
  if (words.length === 0) return []
  takeUp(room)
  const { reader } = room
  const match = words.map((word) => `"${word}"*`).join(' ')
  const nids = reader.sql.exec<{ nid: number }>(matching, match, most).toArray()
  // A name that was redacted meanwhile finds nobody any more.
  const found = reader.events(nids.map(({ nid }) => nid)).filter((event) => hasNameWords(textOf(event), words))
  return found.flatMap(({ state_key, pdu }) => {
    const userId = parseUserId(state_key)
    if (!userId) return []
    return [{ userId, displayName: contentString(pdu, 'displayname'), avatarUrl: contentString(pdu, 'avatar_url') }]
  })
}

/** A place of the current state is about to change. */
export function noteMember(room: Room, user: string, before: CurrentEntry | undefined, after: Nid | undefined): void {
  const { reader } = room
  if (reader.isLocal(user)) return
  const upTo = progress(room)
  if (upTo === undefined || user > upTo) return
  if (before?.membership === 'join') reader.sql.exec('DELETE FROM member_names WHERE rowid = ?', before.nid)
  const event = after === undefined ? undefined : reader.eventOf(after)
  if (event && event.pdu.content['membership'] === 'join') note(room, event)
}

function takeUp(room: Room): void {
  const { reader } = room
  const from = progress(room) ?? ''
  if (from === everybody) return
  const next =
    "SELECT state_key AS user, event_nid AS nid FROM current_state WHERE type = 'm.room.member' AND state_key > ? ORDER BY state_key LIMIT ?"
  room.transactor.turn(() => {
    const rows = reader.sql.exec<{ user: string; nid: number }>(next, from, atOnce).toArray()
    const remote = rows.filter(({ user }) => !reader.isLocal(user)).map(({ nid }) => nid)
    for (const events of reader.eventSlices(remote)) {
      for (const event of events) if (event.pdu.content['membership'] === 'join') note(room, event)
    }
    const upTo = rows.length < atOnce ? everybody : rows.at(-1)?.user
    reader.sql.exec('INSERT OR REPLACE INTO member_names_progress(id, up_to) VALUES (1, ?)', upTo ?? everybody)
    return { ok: true }
  })
}

function note({ reader }: Room, event: StoredEvent): void {
  reader.sql.exec('INSERT OR REPLACE INTO member_names(rowid, name) VALUES (?, ?)', event.nid, textOf(event))
}

function textOf({ state_key, pdu }: StoredEvent): string {
  return `${state_key ?? ''} ${contentString(pdu, 'displayname') ?? ''}`
}

/** Members with IDs up to this one were taken up; undefined: nobody ever looked. */
function progress({ reader }: Room): string | undefined {
  return reader.sql.exec<{ upTo: string }>('SELECT up_to AS upTo FROM member_names_progress').toArray()[0]?.upTo
}
