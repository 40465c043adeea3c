/**
 * Whose state key it is: rule 8 of versions 6 to 11, 9 of the others, and what MSC3757 makes of it in its own versions.
 */
import type { Pdu } from '#protocol/events/pdu.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import type { PowerLevels } from '#protocol/power-levels.ts'
import type { RoomVersionRules } from '#protocol/room-versions/rules.ts'

/**
 * "If the event has a state_key that starts with an @ and does not match the sender, reject." With owned state keys: unless
 * it begins with the ID of a user who is the sender, or stands below the sender.
 */
export function mayUseStateKey(rules: RoomVersionRules, { state_key: key, sender }: Pdu, levels: PowerLevels): boolean {
  if (key === undefined || !key.startsWith('@') || key === sender) return true
  const owner = rules.ownedStateKeys ? ownerOfStateKey(key) : undefined
  if (owner === undefined) return false
  return owner === sender || levels.userLevel(sender) > levels.userLevel(owner)
}

/** "A valid user ID, or one followed by an underscore and anything": that user. A server name has no underscore. */
export function ownerOfStateKey(key: string): UserId | undefined {
  const colon = key.indexOf(':', 1)
  const underscore = colon < 0 ? -1 : key.indexOf('_', colon)
  return parseUserId(underscore < 0 ? key : key.slice(0, underscore))
}
