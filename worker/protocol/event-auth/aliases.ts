/**
 * Authorisation of `m.room.aliases`, by which a server said which aliases it has for the room. Its sender need not even
 * be joined.
 *
 * Spec: rooms/v1 to v5, rule 4. Later versions treat it like any state event.
 */
import type { Pdu } from '#protocol/events/pdu.ts'
import { serverNameOf } from '#protocol/identifiers/user-id.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { allow, reject } from './verdict.ts'
import type { Verdict } from './verdict.ts'

export function checkAliases(rules: RoomVersionRules, pdu: Pdu): Verdict {
  // "If event has no state_key, reject."
  if (pdu.state_key === undefined) return reject(rules, 'aliases.stateKey', 'aliases without a state key')
  // "If sender's domain doesn't match state_key, reject."
  if (serverNameOf(pdu.sender) !== pdu.state_key) return reject(rules, 'aliases.server', 'aliases of another server')
  return allow
}
