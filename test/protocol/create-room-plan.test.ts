/** What a new room starts with, for every room version. Spec: client-server-api/#post_matrixclientv3createroom. */
import { type PlannedEvent, planRoom, type RoomPlan, type RoomWishes } from '#protocol/create-room-plan.ts'
import { parseRoomAlias } from '#protocol/identifiers/room-alias.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject } from '#protocol/json/json.ts'
import { roomVersions, rulesOf, type RoomVersion, type RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { describe, expect, it } from 'vitest'

import { timeline } from '../dsl/room-timeline.ts'

const user = (name: string): UserId => parseUserId(`@${name}:example.org`) ?? expect.fail()
const alias = (text: string) => parseRoomAlias(text) ?? expect.fail()
const rules = (version: RoomVersion): RoomVersionRules => rulesOf(version) ?? expect.fail()
const [alice, bob, carol] = [user('alice'), user('bob'), user('carol')]

const plain = (version: RoomVersion, more: Partial<RoomWishes> = {}): RoomWishes => ({
  rules: rules(version),
  creator: alice,
  profile: { displayname: 'Alice' },
  visibility: 'private',
  invite: [],
  creationContent: {},
  initialState: [],
  powerLevelContentOverride: {},
  ...more,
})

function planned(wishes: RoomWishes): RoomPlan {
  const outcome = planRoom(wishes)
  return outcome.ok ? outcome.plan : expect.fail(outcome.reason)
}
function refused(wishes: RoomWishes): string {
  const outcome = planRoom(wishes)
  return outcome.ok ? 'planned' : outcome.reason
}
const types = (plan: RoomPlan) => plan.events.map((event) => event.type)
const contentOf = (plan: RoomPlan, type: string): JsonObject =>
  plan.events.findLast((event) => event.type === type)?.content ?? expect.fail(`no ${type}`)
const levels = (plan: RoomPlan, key: string): JsonObject => {
  const value = contentOf(plan, 'm.room.power_levels')[key]
  return isObject(value) ? value : expect.fail(key)
}
/** The types of the events that the rules of the room refuse. */
const refusals = ({ createContent, events }: RoomPlan, version: RoomVersion): string[] => {
  const room = timeline(version).send('m.room.create', '', createContent, alice)
  for (const { type, state_key, content } of events) room.send(type, state_key, content, alice)
  return room.events.filter((event) => event.rejected).map((event) => event.pdu.type)
}
const state = (type: string, content: JsonObject, state_key = ''): PlannedEvent => ({ type, state_key, content })

describe.each(roomVersions)('a room of version %s', (version) => {
  const { creatorIsSender, privilegedCreators } = rules(version)

  it('begins with its creator, power, and the preset', () => {
    const plan = planned(plain(version))
    expect(plan.events.map(({ type, state_key }) => [type, state_key])).toEqual([
      ['m.room.member', alice],
      ['m.room.power_levels', ''],
      ['m.room.join_rules', ''],
      ['m.room.history_visibility', ''],
      ['m.room.guest_access', ''],
    ])
    expect(contentOf(plan, 'm.room.member')).toEqual({ membership: 'join', displayname: 'Alice' })
    expect(plan.createContent).toEqual(
      creatorIsSender ? { room_version: version } : { room_version: version, creator: alice },
    )
  })

  it('sends everything it was asked for in the order of the specification', () => {
    const plan = planned(
      plain(version, {
        alias: alias('#pub:example.org'),
        name: 'Pub',
        topic: 'Beer',
        invite: [bob],
        initialState: [state('m.room.encryption', { algorithm: 'm.megolm.v1.aes-sha2' }), state('x', {}, 'key')],
      }),
    )
    expect(types(plan)).toEqual([
      'm.room.member',
      'm.room.power_levels',
      'm.room.canonical_alias',
      'm.room.join_rules',
      'm.room.history_visibility',
      'm.room.guest_access',
      'm.room.encryption',
      'x',
      'm.room.name',
      'm.room.topic',
    ])
    expect(contentOf(plan, 'm.room.canonical_alias')).toEqual({ alias: '#pub:example.org' })
    expect(contentOf(plan, 'm.room.topic')).toEqual({ topic: 'Beer', 'm.topic': { 'm.text': [{ body: 'Beer' }] } })
    expect(plan.invites).toEqual([bob])
  })

  it('gives its creator power', () => {
    const plan = planned(plain(version))
    expect(levels(plan, 'users')).toEqual(privilegedCreators ? {} : { [alice]: 100 })
    expect(levels(plan, 'events')['m.room.tombstone']).toBe(privilegedCreators ? 150 : 100)
  })

  it('makes peers of the invitees of a trusted private chat', () => {
    const plan = planned(plain(version, { preset: 'trusted_private_chat', invite: [bob, bob, carol, alice] }))
    expect(plan.invites).toEqual([bob, carol])
    expect(levels(plan, 'users')).toEqual(privilegedCreators ? {} : { [alice]: 100, [bob]: 100, [carol]: 100 })
    expect(plan.createContent['additional_creators']).toEqual(privilegedCreators ? [bob, carol] : undefined)
  })

  it('lets nobody choose the version or creator through creation_content', () => {
    const creationContent = { room_version: '99', creator: bob, type: 'm.space', 'm.federate': false, mine: 1 }
    const { createContent } = planned(plain(version, { creationContent }))
    expect(createContent).toEqual({
      type: 'm.space',
      'm.federate': false,
      mine: 1,
      room_version: version,
      ...(creatorIsSender ? {} : { creator: alice }),
    })
  })

  it.each(['private_chat', 'trusted_private_chat', 'public_chat'] as const)('keeps its own rules as %s', (preset) => {
    const wishes = {
      preset,
      alias: alias('#pub:example.org'),
      name: 'Pub',
      topic: 'Beer',
      invite: [bob, carol],
      initialState: [state('m.room.encryption', { algorithm: 'm.megolm.v1.aes-sha2' }), state('x', {}, alice)],
    }
    expect(refusals(planned(plain(version, wishes)), version)).toEqual([])
  })

  it('refuses what its creator gave up the power for', () => {
    const plan = planned(plain(version, { name: 'Pub', powerLevelContentOverride: { users: { [bob]: 100 } } }))
    expect(refusals(plan, version)).toEqual(
      privilegedCreators
        ? []
        : ['m.room.join_rules', 'm.room.history_visibility', 'm.room.guest_access', 'm.room.name'],
    )
  })

  it('merges the override of power levels key by key', () => {
    const plan = planned(plain(version, { powerLevelContentOverride: { users: { [bob]: 50 }, invite: 75 } }))
    expect(levels(plan, 'users')).toEqual({ [bob]: 50 })
    expect(contentOf(plan, 'm.room.power_levels')).toMatchObject({ invite: 75, ban: 50, users_default: 0 })
  })
})

describe('presets', () => {
  it.each([
    [{}, 'invite', 'can_join'],
    [{ visibility: 'public' }, 'public', 'forbidden'],
    [{ visibility: 'public', preset: 'private_chat' }, 'invite', 'can_join'],
    [{ preset: 'public_chat' }, 'public', 'forbidden'],
    [{ preset: 'trusted_private_chat' }, 'invite', 'can_join'],
  ] as const)('%j means join rule %s, guests %s', (wishes, joinRule, guestAccess) => {
    const plan = planned(plain('12', wishes))
    expect(contentOf(plan, 'm.room.join_rules')).toEqual({ join_rule: joinRule })
    expect(contentOf(plan, 'm.room.history_visibility')).toEqual({ history_visibility: 'shared' })
    const guests = plan.events.find((event) => event.type === 'm.room.guest_access')
    // A room without the event forbids guests.
    expect(guests?.content['guest_access'] ?? 'forbidden').toBe(guestAccess)
    expect(guests === undefined).toBe(guestAccess === 'forbidden')
  })

  it('yield to initial_state, which yields to name and topic', () => {
    const plan = planned(
      plain('12', {
        name: 'Kept',
        initialState: [
          state('m.room.join_rules', { join_rule: 'knock' }),
          state('m.room.name', { name: 'Overridden' }),
          state('m.room.topic', { topic: 'Plain' }),
          state('m.room.guest_access', {}, 'of another key'),
        ],
      }),
    )
    expect(plan.events.filter((event) => event.type === 'm.room.join_rules')).toHaveLength(1)
    expect(plan.events.filter((event) => event.type === 'm.room.name')).toEqual([
      state('m.room.name', { name: 'Kept' }),
    ])
    expect(contentOf(plan, 'm.room.join_rules')).toEqual({ join_rule: 'knock' })
    expect(contentOf(plan, 'm.room.topic')).toEqual({ topic: 'Plain' })
    expect(plan.events.filter((event) => event.type === 'm.room.guest_access')).toHaveLength(2)
  })

  it('keeps an empty name, since that is one', () => {
    expect(contentOf(planned(plain('12', { name: '' })), 'm.room.name')).toEqual({ name: '' })
  })
})

describe('creators of version 12', () => {
  it('come from creation_content and from the invitees of a trusted chat, each once', () => {
    const { createContent } = planned(
      plain('12', {
        preset: 'trusted_private_chat',
        invite: [bob, carol],
        creationContent: { additional_creators: [carol, alice] },
      }),
    )
    expect(createContent['additional_creators']).toEqual([carol, bob])
  })

  it.each([
    ['a text', 'not-an-array'],
    ['a number among them', ['@foo:example.com', 42]],
    ['no user ID', ['@foo:example.com', 'not-a-user-id']],
    ['a server that cannot be', ['@invalid:dom$ain$.com']],
    ['an object', { 0: '@foo:example.com' }],
    ['null', null],
  ])('are refused when they are %s', (_, additional_creators) => {
    expect(refused(plain('12', { creationContent: { additional_creators } }))).toBe('invalid_param')
    // "In room versions 1 through 11, this field serves no purpose and is not validated."
    expect(planned(plain('11', { creationContent: { additional_creators } })).createContent).toMatchObject({
      additional_creators,
    })
  })

  it.each([
    ['the creator', alice, {}],
    ['an additional creator', bob, { additional_creators: [bob] }],
  ])('cannot be listed in the power levels: %s', (_, listed, creationContent) => {
    const powerLevelContentOverride = { users: { [listed]: 100 } }
    expect(refused(plain('12', { creationContent, powerLevelContentOverride }))).toBe('invalid_room_state')
    expect(refused(plain('11', { creationContent, powerLevelContentOverride }))).toBe('planned')
  })

  it.each([
    ['other events', { events: { 'm.room.name': 0 } }, 150],
    ['a level below state_default', { events: { 'm.room.tombstone': 50 } }, 150],
    ['a high state_default', { state_default: 200 }, 201],
    ['a level of its own', { events: { 'm.room.tombstone': 60 } }, 60],
  ])('keep the tombstone above state_default: the override has %s', (_, powerLevelContentOverride, level) => {
    const plan = planned(plain('12', { powerLevelContentOverride }))
    expect(levels(plan, 'events')['m.room.tombstone']).toBe(level)
  })

  it('leaves power levels of another form for the rules to refuse', () => {
    const plan = planned(plain('12', { powerLevelContentOverride: { events: 'all', users: [] } }))
    expect(contentOf(plan, 'm.room.power_levels')).toMatchObject({ events: 'all', users: [] })
  })
})

describe('initial_state', () => {
  it.each([
    ['a second create event', state('m.room.create', {}), 'invalid_room_state'],
    ['a member', state('m.room.member', { membership: 'invite' }, bob), 'invalid_room_state'],
    ['an alias of another room', state('m.room.canonical_alias', { alias: '#other:example.org' }), 'bad_alias'],
    ['an alternative of another room', state('m.room.canonical_alias', { alt_aliases: ['#x:y'] }), 'bad_alias'],
    ['no alias at all', state('m.room.canonical_alias', { alias: '%pub:example.org' }), 'invalid_param'],
    ['aliases of another form', state('m.room.canonical_alias', { alt_aliases: '#pub:example.org' }), 'invalid_param'],
  ])('is refused with %s', (_, event, reason) => {
    expect(refused(plain('12', { alias: alias('#pub:example.org'), initialState: [event] }))).toBe(reason)
  })

  it('may place the alias that is being made itself', () => {
    const event = state('m.room.canonical_alias', { alt_aliases: ['#pub:example.org'] })
    const plan = planned(plain('12', { alias: alias('#pub:example.org'), initialState: [event] }))
    expect(plan.events.filter(({ type }) => type === 'm.room.canonical_alias')).toEqual([event])
  })
})
