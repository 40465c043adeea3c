/**
 * Authorisation of `m.room.redaction`.
 *
 * Spec: rooms/v1 and v2, rule 11. From version 3 on every redaction event is allowed, and `permissions.ts` tells whether
 * it is carried out.
 */
import type { Pdu } from '#protocol/events/pdu.ts'
import { serverNameOfEventId } from '#protocol/identifiers/event-id.ts'
import type { PowerLevels } from '#protocol/power-levels.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { allow, reject } from './verdict.ts'
import type { Verdict } from './verdict.ts'

export function checkRedaction(rules: RoomVersionRules, pdu: Pdu, levels: PowerLevels): Verdict {
  // "If the sender's power level is greater than or equal to the redact level, allow."
  if (levels.userLevel(pdu.sender) >= levels.redact) return allow
  // "If the domain of the event_id of the event being redacted is the same as the domain of the event_id of the
  // m.room.redaction, allow."
  const redacted = pdu.redacts === undefined ? undefined : serverNameOfEventId(pdu.redacts)
  if (redacted !== undefined && redacted === serverNameOfEventId(pdu.event_id)) return allow
  return reject(rules, 'redaction.otherwise', "the sender may not redact another server's event")
}
