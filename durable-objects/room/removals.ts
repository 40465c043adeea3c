/**
 * Kicks and bans that redact what the removed user sent: the one place that knows whose events those are. MSC4293 (unstable).
 *
 * "…up to the point of the user's previous membership event": what they sent during the stay that ended so, whenever it comes
 * here; not what they sent before they left and came back, or after. A stay is named by the member events by which the user
 * was in the room: its join and the changes of its profile.
 *
 *     join ─ A B C ─ leave ─ join ─ D ─ rename ─ E F ─ ban     the stay: the second join and the renaming; D, E, F are redacted
 *
 * What is here is redacted in the turn of the ban, newest first, as far as that is little work; an alarm does the rest, and
 * whoever reads meanwhile gets it as if it were done. No `m.room.redaction` is sent: the ban is what it was redacted because
 * of. What the room needs to be what it is stays: without it others would be shut out, or no more messages be encrypted.
 */
import { membershipOf } from '#protocol/events/fields.ts'
import type { StateLookup } from '#protocol/events/pdu.ts'
import { redact } from '#protocol/events/redaction.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { powerLevelsOf } from '#protocol/power-levels.ts'
import { asksToRedact, mayRedactAll } from '#protocol/redact-events.ts'

import { type Room, stateLookup } from './room.ts'
import { editedBy, noteUnsaid } from './search/search-index.ts'
import { eventColumns, type EventRow, type Nid, outcomes, type StoredEvent } from './stored-event.ts'

/** Events looked at, and redacted, in one turn. */
const [lookedAt, redactedAtOnce] = [5_000, 500]
/** Changes of a profile during one stay that are followed. */
const longestStay = 1_000

const neverRedacted = new Set(['m.room.create', 'm.room.server_acl', 'm.room.encryption'])

/** In memory. */
export interface Removals {
  /** Member events of stays, with the kick or ban that ended each so. */
  readonly stays: ReadonlyMap<Nid, Nid>
  /** Users some of whose events are still to be redacted. */
  readonly unfinished: ReadonlySet<UserId>
}

/**
 * To be called in the turn that stores an event: begins what a kick or ban asks for, and does to an event that comes late what
 * was done to the others.
 */
export function applyRemovals(room: Room, event: StoredEvent, isOwn: boolean): void {
  if (event.type === 'm.room.member' && event.outcome === outcomes.accepted) beginRemoval(room, event)
  if (isOwn) return
  noteCurrentRemoval(room, event.sender)
  const by = removalOf(room, event)
  // What came so late that it is over has been taken away already.
  if (by !== undefined) remove(room, room.reader.eventOf(event.nid), by)
}

/** Whether a kick or ban has not redacted everything yet. */
export function hasUnfinishedRemovals(room: Room): boolean {
  return room.reader.isKnown() && removals(room).unfinished.size > 0
}

/** Redacts some more. True if there is more. A turn of its own. */
export function finishRemovals(room: Room): boolean {
  const done = room.transactor.turn(() => {
    const [row] = room.reader.sql.exec<RemovalRow>('SELECT * FROM removals ORDER BY by LIMIT 1').toArray()
    if (row) goOn(room, row)
    return { ok: true, more: hasUnfinishedRemovals(room) }
  })
  return done.more
}

/** The kick or ban because of which an event is to be shown redacted that is not redacted yet. */
export function unfinishedRemovalOf(room: Room, event: StoredEvent): Nid | undefined {
  const { unfinished } = removals(room)
  if (unfinished.size === 0 || !unfinished.has(event.sender) || event.redactedBy !== undefined) return undefined
  return neverRedacted.has(event.type) ? undefined : removalOf(room, event)
}

type RemovalRow = { by: Nid; sender: UserId; below: Nid; first: Nid }

/** The stay of an event ended by this kick or ban. */
function removalOf(room: Room, event: StoredEvent): Nid | undefined {
  const { stays } = removals(room)
  if (stays.size === 0) return undefined
  const member = memberBefore(room, event, event.sender)
  return stays.get(event.nid) ?? (member && stays.get(member.nid))
}

/**
 * The member event of a user before an event: by the state there, else by what the event cites, which is all that is known of
 * outliers and while members are missing here.
 */
function memberBefore({ reader, groups }: Room, event: StoredEvent, user: UserId): StoredEvent | undefined {
  const { stateBefore, auth } = event
  const nid = stateBefore === undefined ? undefined : groups.read(stateBefore, stateMapKey('m.room.member', user))
  if (nid !== undefined) return reader.eventOf(nid)
  if (stateBefore !== undefined && !reader.partial.isOpen) return undefined
  return auth.map((cited) => reader.eventOf(cited)).find((cited) => isMember(cited, user))
}

function isMember({ type, state_key }: StoredEvent, user: UserId): boolean {
  return type === 'm.room.member' && state_key === user
}

function beginRemoval(room: Room, event: StoredEvent): void {
  const target = parseUserId(event.state_key)
  if (!target || !asksToRedact(event.pdu)) return
  const before = event.stateBefore
  const state = before === undefined ? citedState(room, event) : stateLookup(room, before)
  if (!mayRedactAll(powerLevelsOf(room.reader.rules, state), event.sender)) return
  const stay = stayBefore(room, event, target)
  if (stay.length === 0 || removals(room).stays.has(stay[0] ?? 0)) return
  const { sql } = room.reader
  const first = Math.min(...stay)
  for (const nid of stay) sql.exec('INSERT OR IGNORE INTO removed_stays(member, by) VALUES (?, ?)', nid, event.nid)
  // What comes from now on is redacted as it comes.
  const row: RemovalRow = { by: event.nid, sender: target, below: room.reader.lastNid() + 1, first }
  sql.exec('INSERT INTO removals(by, sender, below, first) VALUES (?, ?, ?, ?)', row.by, target, row.below, first)
  room.memory.removals = undefined
  goOn(room, row)
}

function citedState({ reader }: Room, { auth }: StoredEvent): StateLookup {
  const cited = auth.map((nid) => reader.eventOf(nid))
  return (type, stateKey) => cited.find((each) => each.type === type && each.state_key === stateKey)?.pdu
}

/** The member events by which a user was in the room when an event put an end to it, newest first. */
function stayBefore(room: Room, end: StoredEvent, user: UserId): Nid[] {
  const stay: Nid[] = []
  let member = memberBefore(room, end, user)
  while (member && membershipOf(member.pdu) === 'join' && stay.length < longestStay) {
    stay.push(member.nid)
    member = memberBefore(room, member, user)
  }
  return stay
}

/**
 * "Events which are delivered after the kick or ban … are still redacted by servers if the user's *current* membership event
 * has `redact_events: true`", also where that was here before the room was, as part of its state.
 */
function noteCurrentRemoval(room: Room, sender: UserId): void {
  const entry = room.reader.currentEntry('m.room.member', sender)
  if (entry?.membership === 'ban' || entry?.membership === 'leave') beginRemoval(room, room.reader.eventOf(entry.nid))
}

/** Redacts some of what is left, newest first. */
function goOn(room: Room, { by, sender, below, first }: RemovalRow): void {
  const { sql } = room.reader
  const from = Math.max(first, below - lookedAt)
  const rows = sql
    .exec<EventRow>(
      `SELECT ${eventColumns} FROM events WHERE nid >= ? AND nid < ? AND sender = ? AND redacted_by IS NULL
       ORDER BY nid DESC LIMIT ?`,
      from,
      below,
      sender,
      redactedAtOnce,
    )
    .toArray()
  for (const row of rows) {
    const event = room.reader.fromRow(row)
    if (removalOf(room, event) === by) remove(room, event, by)
  }
  const reached = rows.length < redactedAtOnce ? from : (rows.at(-1)?.nid ?? from)
  if (reached > first) sql.exec('UPDATE removals SET below = ? WHERE by = ?', reached, by)
  else sql.exec('DELETE FROM removals WHERE by = ?', by)
  room.memory.removals = undefined
}

function remove(room: Room, event: StoredEvent, by: Nid): void {
  if (event.redactedBy !== undefined || neverRedacted.has(event.type)) return
  // A change of the profile that comes late belongs to the stay as well.
  if (isMember(event, event.sender) && membershipOf(event.pdu) === 'join' && !removals(room).stays.has(event.nid)) {
    room.reader.sql.exec('INSERT OR IGNORE INTO removed_stays(member, by) VALUES (?, ?)', event.nid, by)
    room.memory.removals = undefined
  }
  const edited = editedBy(room, event)
  room.transactor.redactEvent(event, by, redact(room.reader.rules, event.pdu.json))
  noteUnsaid(room, event, edited)
}

function removals(room: Room): Removals {
  return (room.memory.removals ??= readRemovals(room))
}

function readRemovals({ reader: { sql } }: Room): Removals {
  const stays = sql.exec<{ member: Nid; by: Nid }>('SELECT member, by FROM removed_stays').toArray()
  const unfinished = sql.exec<{ sender: UserId }>('SELECT sender FROM removals').toArray()
  return {
    stays: new Map(stays.map(({ member, by }) => [member, by])),
    unfinished: new Set(unfinished.map(({ sender }) => sender)),
  }
}
