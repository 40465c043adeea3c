/**
 * Whether a redaction does what it says, and who gets to see one that does not.
 *
 * Spec: rooms/v3 "Handling redactions": "they should not be sent to clients until both the redaction event and the event the
 * redaction affects have been received, and can be validated." In room versions 1 and 2 the authorisation rules decide.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { canRedact } from '#protocol/permissions.ts'
import { powerLevelsOf } from '#protocol/power-levels.ts'

import { type Room, stateLookup } from './room.ts'
import type { StoredEvent } from './stored-event.ts'

/** Whether the sender of a redaction may redact this event. */
export function takesEffect(room: Room, target: StoredEvent, redaction: StoredEvent): boolean {
  const { rules } = room.reader
  if (rules.specialRedactionRule) return true
  if (redaction.stateBefore === undefined) return false
  return canRedact(powerLevelsOf(rules, stateLookup(room, redaction.stateBefore)), redaction.sender, target.sender)
}

/** A redaction of what is not here, or not yet: who has its ID, and may see its time, may ask for it. */
export function redactsUnknown(room: Room, { type, pdu: { redacts } }: StoredEvent): boolean {
  return type === 'm.room.redaction' && redacts !== undefined && room.reader.eventById(redacts) === undefined
}

/** A redaction of what is not here, or not the sender's to redact. Who sent it sees it: their client waits for it. */
export function isWithheld(room: Room, event: StoredEvent, reader: UserId): boolean {
  if (event.type !== 'm.room.redaction' || room.reader.rules.specialRedactionRule || event.sender === reader)
    return false
  const { redacts } = event.pdu
  const target = redacts === undefined ? undefined : room.reader.eventById(redacts)
  return target === undefined || (target.redactedBy !== event.nid && !takesEffect(room, target, event))
}
