/**
 * What `POST /createRoom` makes of its parameters: the content of `m.room.create` and the events after it, in the order
 * in which they must be sent.
 *
 * Spec: client-server-api/#post_matrixclientv3createroom. Nothing is authorised here: the room judges every event by
 * its rules, and one refusal refuses the whole room.
 */
import { aliasesOf } from './canonical-alias.ts'
import { fail, type Outcome } from './errors.ts'
import type { RoomAlias } from './identifiers/room-alias.ts'
import { parseUserId, type UserId } from './identifiers/user-id.ts'
import { initialPowerLevels } from './initial-power-levels.ts'
import { isObject, type JsonObject, own } from './json/json.ts'
import type { RoomVersionRules } from './room-versions/rules.ts'

export type Preset = 'private_chat' | 'trusted_private_chat' | 'public_chat'

/** A state event of a room in the making; its sender is the creator. */
export interface PlannedEvent {
  readonly type: string
  readonly state_key: string
  readonly content: JsonObject
}

export interface RoomWishes {
  readonly rules: RoomVersionRules
  readonly creator: UserId
  /** What the creator's membership says about the creator. */
  readonly profile: { readonly displayname?: string; readonly avatar_url?: string }
  readonly visibility: 'public' | 'private'
  readonly preset?: Preset | undefined
  /** The alias that the server has made for `room_alias_name`. */
  readonly alias?: RoomAlias | undefined
  readonly name?: string | undefined
  readonly topic?: string | undefined
  readonly invite: readonly UserId[]
  readonly creationContent: JsonObject
  readonly initialState: readonly PlannedEvent[]
  readonly powerLevelContentOverride: JsonObject
}

export interface RoomPlan {
  /** Content of `m.room.create`. */
  readonly createContent: JsonObject
  /** From the creator's join to the topic. Invites are sent to the finished room. */
  readonly events: readonly PlannedEvent[]
  /** Whom to invite, each once, never the creator. */
  readonly invites: readonly UserId[]
}

const presets = {
  private_chat: { joinRule: 'invite', historyVisibility: 'shared', guestAccess: 'can_join' },
  trusted_private_chat: { joinRule: 'invite', historyVisibility: 'shared', guestAccess: 'can_join' },
  public_chat: { joinRule: 'public', historyVisibility: 'shared', guestAccess: 'forbidden' },
} as const

/** Plans a room. Fails with `invalid_param`, `bad_alias` or `invalid_room_state` for wishes no room can have. */
export function planRoom(wishes: RoomWishes): Outcome<{ plan: RoomPlan }> {
  const { rules, creator, initialState } = wishes
  const refused = checkInitialState(initialState, wishes.alias)
  if (refused) return refused
  const invites = [...new Set(wishes.invite)].filter((user) => user !== creator)
  // "If unspecified, the server should use the `visibility` to determine which preset to use."
  const presetName = wishes.preset ?? (wishes.visibility === 'public' ? 'public_chat' : 'private_chat')
  const peers = presetName === 'trusted_private_chat' ? invites : []

  const creation = createContent(wishes, peers)
  if (!creation.ok) return creation
  const powerLevels = initialPowerLevels({
    rules,
    creator,
    peers,
    isPublic: presetName === 'public_chat',
    override: wishes.powerLevelContentOverride,
  })
  if (rules.privilegedCreators && listsCreator(powerLevels, [creator, ...creation.additional])) {
    return fail('invalid_room_state', 'Creators cannot be listed in the power levels')
  }

  const preset = presets[presetName]
  const isSet = (type: string) => initialState.some((event) => event.type === type && event.state_key === '')
  const events: PlannedEvent[] = [
    // 1. The create event is not among these: it makes the room ID.
    // 2. "An `m.room.member` event for the creator to join the room."
    { type: 'm.room.member', state_key: creator, content: { membership: 'join', ...wishes.profile } },
    // 3. "A default `m.room.power_levels` event."
    state('m.room.power_levels', powerLevels),
  ]
  // 4. "An `m.room.canonical_alias` event if `room_alias_name` is given."
  if (wishes.alias !== undefined && !isSet('m.room.canonical_alias')) {
    events.push(state('m.room.canonical_alias', { alias: wishes.alias }))
  }
  // 5. "Events set by the `preset`", of which `initial_state` takes precedence.
  const byPreset = [
    state('m.room.join_rules', { join_rule: preset.joinRule }),
    state('m.room.history_visibility', { history_visibility: preset.historyVisibility }),
    // Forbidden is what a room without this event means.
    ...(preset.guestAccess === 'forbidden' ? [] : [state('m.room.guest_access', { guest_access: preset.guestAccess })]),
  ]
  events.push(...byPreset.filter((event) => !isSet(event.type)))
  // 6. "Events listed in `initial_state`, in the order that they are listed", but those which `name` and `topic` override.
  const overridden = (event: PlannedEvent) =>
    event.state_key === '' &&
    ((event.type === 'm.room.name' && wishes.name !== undefined) ||
      (event.type === 'm.room.topic' && wishes.topic !== undefined))
  events.push(...initialState.filter((event) => !overridden(event)))
  // 7. "Events implied by `name` and `topic`."
  if (wishes.name !== undefined) events.push(state('m.room.name', { name: wishes.name }))
  if (wishes.topic !== undefined) events.push(state('m.room.topic', topicContent(wishes.topic)))
  // 8. "Invite events": for the finished room.
  return { ok: true, plan: { createContent: creation.content, events, invites } }
}

function state(type: string, content: JsonObject): PlannedEvent {
  return { type, state_key: '', content }
}

/** "An `m.room.topic` event with a `text/plain` mimetype", which is what a text without a mimetype is. */
function topicContent(topic: string): JsonObject {
  return { topic, 'm.topic': { 'm.text': [{ body: topic }] } }
}

/** `creation_content` with what the server decides put over it. */
function createContent(
  { rules, creator, creationContent }: RoomWishes,
  peers: readonly UserId[],
): Outcome<{ content: JsonObject; additional: readonly UserId[] }> {
  // "The server will overwrite the following keys: `creator`, `room_version`."
  const { creator: _, additional_creators: given, ...rest } = creationContent
  const content = { ...rest, room_version: rules.version }
  if (!rules.privilegedCreators) {
    // Before version 12 the field "serves no purpose and is not validated".
    const untouched = given === undefined ? content : { ...content, additional_creators: given }
    return { ok: true, content: rules.creatorIsSender ? untouched : { ...untouched, creator }, additional: [] }
  }
  const listed = given === undefined ? [] : userIds(given)
  if (!listed) return fail('invalid_param', 'additional_creators must be a list of user IDs')
  // "… combine `additional_creators` specified here and the `invite` array …, deduplicating between the two."
  const additional = [...new Set([...listed, ...peers])].filter((user) => user !== creator)
  return {
    ok: true,
    content: additional.length === 0 ? content : { ...content, additional_creators: additional },
    additional,
  }
}

/** The user IDs in a list of nothing else, or undefined. */
export function userIds(value: unknown): UserId[] | undefined {
  if (!Array.isArray(value)) return undefined
  const parsed = value.map(parseUserId).filter((user) => user !== undefined)
  return parsed.length === value.length ? parsed : undefined
}

/** Rooms of version 12 refuse power levels that list a creator; it is the one refusal clients are told as a bad request. */
export function listsCreator(powerLevels: JsonObject, creators: readonly UserId[]): boolean {
  const users = own(powerLevels, 'users')
  return isObject(users) && creators.some((creator) => Object.hasOwn(users, creator))
}

function checkInitialState(initialState: readonly PlannedEvent[], alias: RoomAlias | undefined) {
  for (const { type, content } of initialState) {
    if (type === 'm.room.create') return fail('invalid_room_state', 'A room has one m.room.create event')
    // Their targets would not hear of them: who is told of a membership is decided where memberships are changed.
    if (type === 'm.room.member') return fail('invalid_room_state', 'Members of a new room are invited by "invite"')
    if (type === 'm.room.canonical_alias') {
      const aliases = aliasesOf(content)
      if (!aliases) return fail('invalid_param', 'A canonical alias is not a room alias')
      if (aliases.some((each) => each !== alias)) return fail('bad_alias')
    }
  }
  return undefined
}
