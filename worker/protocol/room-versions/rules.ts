/**
 * What each room version means, as one table: every version is the previous one plus named differences.
 *
 * Spec: rooms/v1 … rooms/v12. This table is the only place where a room version is compared; everything else asks for
 * the named difference.
 */

export interface RedactionRules {
  /** `m.room.aliases` keeps `aliases` (v1–v5). */
  readonly keepsAliases: boolean
  /** `m.room.join_rules` keeps `allow` (v8+). */
  readonly keepsJoinRuleAllow: boolean
  /** `m.room.member` keeps `join_authorised_via_users_server` (v9+). */
  readonly keepsAuthorisingServer: boolean
  /**
   * The rules of v11: `origin`, `membership` and `prev_state` go, the whole content of `m.room.create` stays,
   * `m.room.redaction` keeps `redacts`, `m.room.power_levels` keeps `invite`, `m.room.member` keeps the `signed` of a
   * third-party invite.
   */
  readonly v11: boolean
}

export interface RoomVersionRules {
  readonly version: RoomVersion
  /** How an event gets its ID: v1/v2 carry one; v3 is unpadded base64 of the reference hash, v4+ the URL-safe kind. */
  readonly eventId: 'in-event' | 'hash-base64' | 'hash-url-safe'
  /** State resolution algorithm. */
  readonly stateResolution: 'v1' | 'v2' | 'v2.1'
  /** A signing key counts only while `valid_until_ts` covers the event (v5+). */
  readonly enforcesKeyValidity: boolean
  /** Events must be canonical JSON: integers in range only (v6+). */
  readonly strictCanonicalJson: boolean
  /** `m.room.aliases` has an authorisation rule of its own (v1–v5). */
  readonly specialAliasesRule: boolean
  /** `m.room.redaction` has an authorisation rule of its own (v1, v2). */
  readonly specialRedactionRule: boolean
  /** `notifications` of `m.room.power_levels` is guarded like `events` (v6+). */
  readonly guardsNotificationLevels: boolean
  /** Join rule and membership `knock` (v7+). */
  readonly knocking: boolean
  /** Join rule `restricted` (v8+). */
  readonly restrictedJoins: boolean
  /** Join rule `knock_restricted` (v10+). */
  readonly knockRestricted: boolean
  /** Power levels must be integers, not strings (v10+). */
  readonly integerPowerLevels: boolean
  /** The sender of `m.room.create` is the creator; `content.creator` means nothing (v11+). */
  readonly creatorIsSender: boolean
  /** A type or state key of more than 255 bytes is malformed (v11+); before, one of up to 255 characters is rejected only. */
  readonly strictFieldBytes: boolean
  /** `redacts` lives in the content of `m.room.redaction` (v11+). */
  readonly redactsInContent: boolean
  /** The room ID is the reference hash of `m.room.create`, which has no `room_id` and is in no `auth_events` (v12+). */
  readonly roomIdIsCreateHash: boolean
  /** Creators (with `additional_creators`) stand above every power level and are never in `users` (v12+). */
  readonly privilegedCreators: boolean
  /** A state key may be a user ID with `_…` behind it, and who stands above a user may set their state (MSC3757). */
  readonly ownedStateKeys: boolean
  readonly redaction: RedactionRules
}

export const roomVersions = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12'] as const
/** Versions 10 and 11 with owned state keys. Spec: MSC3757. */
export const unstableRoomVersions = ['org.matrix.msc3757.10', 'org.matrix.msc3757.11'] as const
export type RoomVersion = (typeof roomVersions)[number] | (typeof unstableRoomVersions)[number]

const v1: RoomVersionRules = {
  version: '1',
  eventId: 'in-event',
  stateResolution: 'v1',
  enforcesKeyValidity: false,
  strictCanonicalJson: false,
  specialAliasesRule: true,
  specialRedactionRule: true,
  guardsNotificationLevels: false,
  knocking: false,
  restrictedJoins: false,
  knockRestricted: false,
  integerPowerLevels: false,
  creatorIsSender: false,
  strictFieldBytes: false,
  redactsInContent: false,
  roomIdIsCreateHash: false,
  privilegedCreators: false,
  ownedStateKeys: false,
  redaction: { keepsAliases: true, keepsJoinRuleAllow: false, keepsAuthorisingServer: false, v11: false },
}
const v2: RoomVersionRules = { ...v1, version: '2', stateResolution: 'v2' }
const v3: RoomVersionRules = { ...v2, version: '3', eventId: 'hash-base64', specialRedactionRule: false }
const v4: RoomVersionRules = { ...v3, version: '4', eventId: 'hash-url-safe' }
const v5: RoomVersionRules = { ...v4, version: '5', enforcesKeyValidity: true }
const v6: RoomVersionRules = {
  ...v5,
  version: '6',
  strictCanonicalJson: true,
  specialAliasesRule: false,
  guardsNotificationLevels: true,
  redaction: { ...v5.redaction, keepsAliases: false },
}
const v7: RoomVersionRules = { ...v6, version: '7', knocking: true }
const v8: RoomVersionRules = {
  ...v7,
  version: '8',
  restrictedJoins: true,
  redaction: { ...v7.redaction, keepsJoinRuleAllow: true },
}
const v9: RoomVersionRules = { ...v8, version: '9', redaction: { ...v8.redaction, keepsAuthorisingServer: true } }
const v10: RoomVersionRules = { ...v9, version: '10', knockRestricted: true, integerPowerLevels: true }
const v11: RoomVersionRules = {
  ...v10,
  version: '11',
  creatorIsSender: true,
  strictFieldBytes: true,
  redactsInContent: true,
  redaction: { ...v10.redaction, v11: true },
}
const v12: RoomVersionRules = {
  ...v11,
  version: '12',
  stateResolution: 'v2.1',
  roomIdIsCreateHash: true,
  privilegedCreators: true,
}

const table: Readonly<Record<RoomVersion, RoomVersionRules>> = {
  '1': v1,
  '2': v2,
  '3': v3,
  '4': v4,
  '5': v5,
  '6': v6,
  '7': v7,
  '8': v8,
  '9': v9,
  '10': v10,
  '11': v11,
  '12': v12,
  'org.matrix.msc3757.10': { ...v10, version: 'org.matrix.msc3757.10', ownedStateKeys: true },
  'org.matrix.msc3757.11': { ...v11, version: 'org.matrix.msc3757.11', ownedStateKeys: true },
}

/** The rules of a room version, or undefined for one that this server does not know. */
export function rulesOf(version: unknown): RoomVersionRules | undefined {
  return typeof version === 'string' && Object.hasOwn(table, version) ? table[version as RoomVersion] : undefined
}
