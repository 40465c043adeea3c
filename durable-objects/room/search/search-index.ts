/**
 * Keeps the room's search index: written in the turn that stores an event, and again when it is edited or redacted.
 *
 * Spec: client-server-api/#server-side-search: "The search will *not* include rooms that are end to end encrypted." An edited
 * message is found by what it says now; the edit itself is not. The table holds words without their texts.
 */
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import { isObject, own } from '#protocol/json/json.ts'
import { type SearchText, searchTextOf } from '#protocol/search/search-text.ts'

import { editsOf } from '../edits.ts'
import { relationOf } from '../relations.ts'
import type { Room } from '../room.ts'
import { eventColumns, type EventRow, type Nid, outcomes, type StoredEvent } from '../stored-event.ts'

/** Searchable at all: the room's messages are not encrypted. */
export function isSearchable({ reader }: Room): boolean {
  return reader.currentEntry('m.room.encryption', '') === undefined
}

/** Where an event stands in the index, and back. */
function rowIdOf({ nid, pos }: StoredEvent): number {
  return pos === undefined ? -nid : nid
}

export function nidOfRow(rowId: number): Nid {
  return Math.abs(rowId)
}

/** Makes a stored event findable, or what it edits. `isNew`: made here and now, so that no edit of it came before it. */
export function noteSearchable(room: Room, event: StoredEvent, isNew: boolean): void {
  if (event.outcome !== outcomes.accepted || !isSearchable(room)) return
  const edited = editedBy(room, event)
  if (edited) return index(room, edited)
  const text = isNew ? textOf(event) : currentText(room, event)
  if (text) room.transactor.setSearchText(rowIdOf(event), text)
}

/** The event that a message replaces, if that is here: its words are found in the original's place. */
export function editedBy({ reader }: Room, event: StoredEvent): StoredEvent | undefined {
  if (event.type !== 'm.room.message' || event.state_key !== undefined) return undefined
  const relation = relationOf(event.pdu)
  const original = relation?.relType === 'm.replace' ? parseEventId(relation.parent) : undefined
  return original && reader.eventById(original)
}

/** After a redaction: the event says nothing any more, and what it had edited says what it said before. */
export function noteUnsaid(room: Room, redacted: StoredEvent, edited: StoredEvent | undefined): void {
  room.transactor.removeSearchText(rowIdOf(redacted))
  if (edited && isSearchable(room)) index(room, edited)
}

function index(room: Room, event: StoredEvent): void {
  if (event.outcome !== outcomes.accepted) return
  const text = currentText(room, event)
  if (text) room.transactor.setSearchText(rowIdOf(event), text)
  else room.transactor.removeSearchText(rowIdOf(event))
}

function textOf({ type, state_key, pdu, redactedBy }: StoredEvent): SearchText | undefined {
  if (redactedBy !== undefined || relationOf(pdu)?.relType === 'm.replace') return undefined
  return searchTextOf({ type, state_key, content: pdu.content })
}

/** What an event says now. */
function currentText(room: Room, event: StoredEvent): SearchText | undefined {
  const text = textOf(event)
  if (event.type !== 'm.room.message' || !isOriginal(event)) return text
  const edit = editsOf(room, event)[0]
  const content = edit && own(edit.pdu.content, 'm.new_content')
  return isObject(content) ? searchTextOf({ type: event.type, content }) : text
}

/** "The original event must not, itself, have a rel_type of m.replace", and a redacted one says nothing however edited. */
function isOriginal({ pdu, state_key, redactedBy }: StoredEvent): boolean {
  return redactedBy === undefined && state_key === undefined && relationOf(pdu)?.relType !== 'm.replace'
}

const older =
  `SELECT ${eventColumns} FROM events WHERE nid < ? AND outcome = 0 ` +
  "AND type IN ('m.room.message', 'm.room.name', 'm.room.topic') ORDER BY nid DESC LIMIT ?"

/**
 * Indexes some of the events that were stored before there was an index, newest first. Returns whether any are left. Runs in a
 * turn of its own.
 */
export function indexOlder(room: Room, atMost: number): boolean {
  const { reader, transactor } = room
  const { below } = reader.sql.exec<{ below: number }>('SELECT below FROM search_progress').one()
  if (below <= 1) return false
  if (!isSearchable(room)) return false
  transactor.turn(() => {
    const rows = reader.sql.exec<EventRow>(older, below, atMost).toArray()
    for (const row of rows) {
      const event = reader.fromRow(row)
      const text = currentText(room, event)
      if (text) transactor.setSearchText(rowIdOf(event), text)
    }
    transactor.noteSearchProgress(rows.length < atMost ? 0 : (rows.at(-1)?.nid ?? 0))
    return { ok: true }
  })
  return reader.sql.exec<{ below: number }>('SELECT below FROM search_progress').one().below > 1
}
