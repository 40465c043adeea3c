/**
 * Kicks and bans that redact what the removed user sent: whether a member event is one, and whether its sender may.
 *
 * Spec: MSC4293 (unstable). What there is to redact is decided by the room (durable-objects/room/removals.ts).
 */
import { membershipOf } from './events/fields.ts'
import { type JsonObject, own } from './json/json.ts'
import { canSendMessage } from './permissions.ts'
import type { PowerLevels } from './power-levels.ts'

/** In the request and in the content of the member event. */
export const redactEventsKey = 'org.matrix.msc4293.redact_events'

interface MemberEvent {
  readonly type: string
  readonly sender: string
  readonly state_key?: string | undefined
  readonly content: JsonObject
}

/** "The `redact_events` flag has no effect when present on any other membership state". */
export function asksToRedact(event: MemberEvent): boolean {
  const { type, sender, state_key, content } = event
  if (type !== 'm.room.member' || sender === state_key || own(content, redactEventsKey) !== true) return false
  const membership = membershipOf(event)
  return membership === 'ban' || membership === 'leave'
}

/** "…a power level higher than or equal to `redact` *and* `events["m.room.redaction"]`". */
export function mayRedactAll(levels: PowerLevels, sender: string): boolean {
  return levels.userLevel(sender) >= levels.redact && canSendMessage(levels, sender, 'm.room.redaction')
}
