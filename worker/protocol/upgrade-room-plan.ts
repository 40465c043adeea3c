/**
 * What `POST /rooms/{roomId}/upgrade` makes: the room that replaces a room, and the power levels that quieten the old one.
 *
 * Spec: client-server-api/#room-upgrades "Server behaviour". Members are not carried over (servers cannot speak for each
 * other's users) but bans are: leaving them behind would open the new room to everyone the old one shut out.
 */
import { withoutAliases } from './canonical-alias.ts'
import type { PlannedEvent } from './create-room-plan.ts'
import type { EventId } from './identifiers/event-id.ts'
import type { RoomId } from './identifiers/room-id.ts'
import type { UserId } from './identifiers/user-id.ts'
import { guardTombstone } from './initial-power-levels.ts'
import { isObject, type JsonObject, type JsonValue, own } from './json/json.ts'
import type { RoomVersionRules } from './room-versions/rules.ts'

export interface UpgradeWishes {
  readonly rules: RoomVersionRules
  /** Who upgrades, and so creates the new room. */
  readonly creator: UserId
  readonly profile: { readonly displayname?: string; readonly avatar_url?: string }
  readonly additionalCreators: readonly UserId[]
  readonly oldRoomId: RoomId
  /** "The event ID of the last known event in the old room", for room versions that say so. */
  readonly lastEventId: EventId | undefined
  /** The whole state of the old room. */
  readonly oldState: readonly PlannedEvent[]
  /** Who stands above the power levels of the old room; nobody before version 12. */
  readonly oldCreators: readonly UserId[]
  /** Tells aliases that move along with the room from those which other servers hold. */
  readonly moves: (alias: string) => boolean
}

export interface UpgradePlan {
  readonly createContent: JsonObject
  readonly events: readonly PlannedEvent[]
  /** What step 6 makes of the power levels of the old room; undefined when they do that already. */
  readonly oldPowerLevels: JsonObject | undefined
}

/** The state that moves as it is. The order is that of sending: power levels stand before, bans and aliases after. */
const transferred = [
  'm.room.join_rules',
  'm.room.history_visibility',
  'm.room.guest_access',
  'm.room.name',
  'm.room.topic',
  'm.room.avatar',
  'm.room.encryption',
  'm.room.server_acl',
  // MSC1763: what was said to be gone in time shall not stay because the room moves.
  'm.room.retention',
]

/** Plans the replacement of a room. */
export function planUpgrade(wishes: UpgradeWishes): UpgradePlan {
  const { creator, oldState } = wishes
  const contentOf = (type: string) =>
    oldState.find((event) => event.type === type && event.state_key === '')?.content ?? undefined
  const create = contentOf('m.room.create') ?? {}
  // Without the event the creator of a room has 100 and nobody else has anything.
  const powerLevels = contentOf('m.room.power_levels') ?? { users: { [creator]: 100 } }
  const lasting = carriedPowerLevels(wishes, powerLevels)
  const working = withPowerToBuild(wishes, lasting)
  const copied = transferred.flatMap((type) => {
    const content = contentOf(type)
    return content === undefined ? [] : [{ type, state_key: '', content }]
  })
  const events: PlannedEvent[] = [
    { type: 'm.room.member', state_key: creator, content: { membership: 'join', ...wishes.profile } },
    { type: 'm.room.power_levels', state_key: '', content: working },
    ...copied,
    ...oldState.filter(isSpaceChild),
    ...canonicalAlias(contentOf('m.room.canonical_alias'), wishes.moves),
    ...bans(wishes),
  ]
  if (working !== lasting) events.push({ type: 'm.room.power_levels', state_key: '', content: lasting })
  return { createContent: createContent(wishes, create), events, oldPowerLevels: quietened(powerLevels) }
}

/** Nobody can ban a creator, so who is made one is not banned any more. */
function bans({ rules, creator, additionalCreators, oldState }: UpgradeWishes): PlannedEvent[] {
  const creators = rules.privilegedCreators ? [creator, ...additionalCreators] : [creator]
  return oldState.filter(
    ({ type, state_key, content }) =>
      type === 'm.room.member' && own(content, 'membership') === 'ban' && !creators.some((user) => user === state_key),
  )
}

/** The rooms of a space are the space. A child that was removed has lost its content. */
function isSpaceChild({ type, content }: PlannedEvent): boolean {
  return type === 'm.space.child' && Object.keys(content).length > 0
}

function canonicalAlias(content: JsonObject | undefined, moves: (alias: string) => boolean): PlannedEvent[] {
  if (content === undefined) return []
  const kept = withoutAliases(content, (alias) => !moves(alias)) ?? content
  return [{ type: 'm.room.canonical_alias', state_key: '', content: kept }]
}

/** Step 2: `predecessor`, `room_version`, and "a `type` field which is copied from the `predecessor` room". */
function createContent(wishes: UpgradeWishes, old: JsonObject): JsonObject {
  const { rules, creator, additionalCreators } = wishes
  const additional = [...new Set(additionalCreators)].filter((user) => user !== creator)
  const type = own(old, 'type')
  return {
    ...(typeof type === 'string' ? { type } : {}),
    ...(own(old, 'm.federate') === false ? { 'm.federate': false } : {}),
    ...(rules.creatorIsSender ? {} : { creator }),
    ...(rules.privilegedCreators && additional.length > 0 ? { additional_creators: additional } : {}),
    room_version: rules.version,
    predecessor: {
      room_id: wishes.oldRoomId,
      ...(wishes.lastEventId === undefined || rules.privilegedCreators ? {} : { event_id: wishes.lastEventId }),
    },
  }
}

/** The power levels of the old room in the form that the new version asks for. */
function carriedPowerLevels({ rules, creator, additionalCreators, oldCreators }: UpgradeWishes, old: JsonObject) {
  const content = rules.integerPowerLevels ? withIntegers(old) : old
  const listed = usersOf(content)
  if (rules.privilegedCreators) {
    const creators = new Set<string>([creator, ...additionalCreators])
    const others = Object.entries(listed).filter(([user]) => !creators.has(user))
    return guardTombstone({ ...content, users: Object.fromEntries(others) })
  }
  if (oldCreators.length === 0) return content
  // Creators stood above all levels and are listed nowhere: here they would have none at all.
  const top = Math.max(100, neededLevel(content))
  return { ...content, users: { ...listed, ...Object.fromEntries(oldCreators.map((user) => [user, top])) } }
}

/** Gives the creator, for as long as the room is being built, the power to send all of its state. */
function withPowerToBuild(wishes: UpgradeWishes, content: JsonObject): JsonObject {
  const { rules, creator } = wishes
  if (rules.privilegedCreators) return content
  const listed = usersOf(content)
  const byDefault = levelOf(own(content, 'users_default')) ?? 0
  // A ban needs more power than the banned have.
  const banned = bans(wishes).map((ban) => (levelOf(own(listed, ban.state_key)) ?? byDefault) + 1)
  const needed = Math.max(neededLevel(content), ...banned)
  const level = levelOf(own(listed, creator)) ?? byDefault
  return level >= needed ? content : { ...content, users: { ...listed, [creator]: needed } }
}

function usersOf(content: JsonObject): JsonObject {
  const users = own(content, 'users')
  return isObject(users) ? users : {}
}

/** The level that may ban and send every state event. */
function neededLevel(content: JsonObject): number {
  const events = own(content, 'events')
  return Math.max(
    levelOf(own(content, 'state_default')) ?? 50,
    levelOf(own(content, 'ban')) ?? 50,
    ...(isObject(events) ? Object.values(events).map((level) => levelOf(level) ?? 0) : []),
  )
}

/** Step 6: `events_default` and `invite` rise to "the greater of `50` and `users_default + 1`". */
function quietened(content: JsonObject): JsonObject | undefined {
  const least = Math.max(50, (levelOf(own(content, 'users_default')) ?? 0) + 1)
  const raised = ['events_default', 'invite'].filter((key) => (levelOf(own(content, key)) ?? 0) < least)
  return raised.length === 0 ? undefined : { ...content, ...Object.fromEntries(raised.map((key) => [key, least])) }
}

/** Before room version 10 a power level may be a string. */
function levelOf(value: JsonValue | undefined): number | undefined {
  const level = typeof value === 'string' && /^\s*[+-]?\d+\s*$/.test(value) ? Number(value) : value
  return typeof level === 'number' && Number.isSafeInteger(level) ? level : undefined
}

function withIntegers(content: JsonObject): JsonObject {
  const entries = Object.entries(content).map(([key, value]) => [
    key,
    typeof value === 'string' ? (levelOf(value) ?? value) : isObject(value) ? withIntegers(value) : value,
  ])
  return Object.fromEntries(entries)
}
