/**
 * The `m.room.power_levels` content with which a new room starts.
 *
 * Spec: client-server-api/#post_matrixclientv3createroom step 3, rooms/v12 "Room creators". Power levels are written out
 * rather than left to their defaults: clients show them, and a default must not change what a room meant.
 */
import type { UserId } from './identifiers/user-id.ts'
import { isObject, type JsonObject, own } from './json/json.ts'
import type { RoomVersionRules } from './room-versions/rules.ts'

const tombstone = 'm.room.tombstone'

export interface InitialPowerLevels {
  readonly rules: RoomVersionRules
  readonly creator: UserId
  /** Who gets the creator's level besides the creator. Not used where creators are privileged. */
  readonly peers: readonly UserId[]
  /** Anybody may come in: then inviting is no favour to strangers that every member should be able to do. */
  readonly isPublic: boolean
  /** `power_level_content_override`: each of its keys replaces the generated one, whole. */
  readonly override: JsonObject
}

/** The default power levels with the override applied on top. */
export function initialPowerLevels({ rules, creator, peers, isPublic, override }: InitialPowerLevels): JsonObject {
  const content: JsonObject = {
    // "In room versions 12 and later, the room creator … is not listed explicitly."
    users: rules.privilegedCreators ? {} : Object.fromEntries([creator, ...peers].map((user) => [user, 100])),
    users_default: 0,
    events: {
      'm.room.name': 50,
      'm.room.avatar': 50,
      'm.room.canonical_alias': 50,
      'm.room.power_levels': 100,
      'm.room.history_visibility': 100,
      'm.room.encryption': 100,
      'm.room.server_acl': 100,
      [tombstone]: rules.privilegedCreators ? 150 : 100,
    },
    events_default: 0,
    state_default: 50,
    // As other servers have it: members of private rooms bring others in, those of public ones need power for that.
    invite: isPublic ? 50 : 0,
    kick: 50,
    ban: 50,
    redact: 50,
    ...override,
  }
  return rules.privilegedCreators ? guardTombstone(content) : content
}

/**
 * "If the room's version is 12 or higher, the power level for sending `m.room.tombstone` events MUST explicitly be
 * higher than `state_default`": an administrator should not be able to move a room away from its creators. A level that
 * is explicit and high enough stays; content of another form is left for the authorisation rules to refuse.
 */
export function guardTombstone(content: JsonObject): JsonObject {
  const events = own(content, 'events') ?? {}
  const stateDefault = own(content, 'state_default') ?? 50
  if (!isObject(events) || typeof stateDefault !== 'number') return content
  const level = own(events, tombstone)
  if (typeof level === 'number' && level > stateDefault) return content
  return { ...content, events: { ...events, [tombstone]: Math.max(150, stateDefault + 1) } }
}
