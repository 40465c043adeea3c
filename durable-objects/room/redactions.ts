/**
 * What a redaction does to the event it names, whichever of the two arrives first.
 *
 * Spec: rooms/v3 "Handling redactions", client-server-api/#redactions. In room versions 1 and 2 the authorisation rules
 * decide; from version 3 on every redaction is accepted and takes effect only if its sender may redact.
 */
import { redact } from '#protocol/events/redaction.ts'

import type { Arrival } from './append.ts'
import { applyRemovals } from './removals.ts'
import { takesEffect } from './redaction-effect.ts'
import type { Room } from './room.ts'
import { editedBy, noteUnsaid } from './search/search-index.ts'
import { unstick } from './sticky/sticky-rows.ts'
import { outcomes, type StoredEvent } from './stored-event.ts'

/** Carries out what a newly stored event redacts, be it a redaction or a ban, and what waited to redact it. */
export function applyRedactions(room: Room, event: StoredEvent, source: Arrival['source']): void {
  const { reader, transactor } = room
  if (event.type === 'm.room.redaction' && event.outcome === outcomes.accepted) redactTarget(room, event)
  applyRemovals(room, event, source === 'own')
  // Nobody can have redacted what was made just now.
  if (source === 'own') return
  for (const nid of transactor.takeWaitingRedactions(event.event_id)) {
    applyTo(room, reader.eventOf(event.nid), reader.eventOf(nid))
  }
}

function redactTarget(room: Room, redaction: StoredEvent): void {
  const { redacts } = redaction.pdu
  if (redacts === undefined) return
  const target = room.reader.eventById(redacts)
  if (target) applyTo(room, target, redaction)
  else room.transactor.waitForRedacted(redacts, redaction.nid)
}

function applyTo(room: Room, target: StoredEvent, redaction: StoredEvent): void {
  if (target.redactedBy !== undefined || !takesEffect(room, target, redaction)) return
  const edited = editedBy(room, target)
  room.transactor.redactEvent(target, redaction.nid, redact(room.reader.rules, target.pdu.json))
  unstick(room, target)
  noteUnsaid(room, target, edited)
}
