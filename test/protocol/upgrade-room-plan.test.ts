/** What replaces a room that is upgraded, from and to every room version. Spec: client-server-api/#room-upgrades. */
import type { PlannedEvent } from '#protocol/create-room-plan.ts'
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject } from '#protocol/json/json.ts'
import { roomVersions, rulesOf, type RoomVersion, type RoomVersionRules } from '#protocol/room-versions/rules.ts'
import { planUpgrade, type UpgradePlan, type UpgradeWishes } from '#protocol/upgrade-room-plan.ts'
import { describe, expect, it } from 'vitest'

import { timeline } from '../dsl/room-timeline.ts'

const user = (name: string): UserId => parseUserId(`@${name}:example.org`) ?? expect.fail()
const rules = (version: RoomVersion): RoomVersionRules => rulesOf(version) ?? expect.fail()
const [alice, bob, carol, mallory] = [user('alice'), user('bob'), user('carol'), user('mallory')]
const oldRoomId = parseRoomId('!old:example.org') ?? expect.fail()
const lastEventId = parseEventId('$last:example.org') ?? expect.fail()

const state = (type: string, content: JsonObject, state_key = ''): PlannedEvent => ({ type, state_key, content })
const levelsOf = (users: JsonObject, more: JsonObject = {}) => state('m.room.power_levels', { users, ...more })

const plan = (version: RoomVersion, oldState: PlannedEvent[], more: Partial<UpgradeWishes> = {}): UpgradePlan =>
  planUpgrade({
    rules: rules(version),
    creator: alice,
    profile: {},
    additionalCreators: [],
    oldRoomId,
    lastEventId,
    oldState,
    oldCreators: [],
    moves: (alias) => alias.endsWith(':example.org'),
    ...more,
  })
const contents = ({ events }: UpgradePlan, type: string) =>
  events.filter((event) => event.type === type).map((event) => event.content)
/** The types of the events that the rules of the new room refuse. */
const refusals = ({ createContent, events }: UpgradePlan, version: RoomVersion): string[] => {
  const room = timeline(version).send('m.room.create', '', createContent, alice)
  for (const { type, state_key, content } of events) room.send(type, state_key, content, alice)
  return room.events.filter((event) => event.rejected).map((event) => event.pdu.type)
}
const finalUsers = (upgrade: UpgradePlan): JsonObject => {
  const users = contents(upgrade, 'm.room.power_levels').at(-1)?.['users']
  return isObject(users) ? users : expect.fail()
}

describe.each(roomVersions)('a room of version %s in place of an old one', (version) => {
  const { privilegedCreators, creatorIsSender } = rules(version)
  const old = [
    state('m.room.create', { type: 'm.space', 'm.federate': false, mine: 1, room_version: '1', creator: bob }),
    state('m.room.member', { membership: 'join' }, alice),
    state('m.room.member', { membership: 'join' }, bob),
    state('m.room.member', { membership: 'ban' }, mallory),
    levelsOf({ [alice]: 100, [bob]: 100, [carol]: 50 }),
    state('m.room.topic', { topic: 'Beer' }),
    state('m.room.name', { name: 'Pub' }),
    state('m.room.join_rules', { join_rule: 'knock' }),
    state('m.room.retention', { max_lifetime: 86_400_000 }),
    state('m.space.child', { via: ['example.org'] }, '!child:example.org'),
    state('m.space.child', {}, '!removed:example.org'),
    state('org.example.own', { depends: 'on its sender' }),
    state('m.room.canonical_alias', { alias: '#pub:example.org', alt_aliases: ['#pub:elsewhere.org'] }),
  ]

  it('says where it comes from and keeps what it is', () => {
    const { createContent } = plan(version, old)
    expect(createContent).toEqual({
      type: 'm.space',
      'm.federate': false,
      room_version: version,
      ...(creatorIsSender ? {} : { creator: alice }),
      predecessor: privilegedCreators ? { room_id: oldRoomId } : { room_id: oldRoomId, event_id: lastEventId },
    })
  })

  it('carries over the state that does not depend on its sender, and bans', () => {
    expect(plan(version, old).events.map(({ type, state_key }) => [type, state_key])).toEqual([
      ['m.room.member', alice],
      ['m.room.power_levels', ''],
      ['m.room.join_rules', ''],
      ['m.room.name', ''],
      ['m.room.topic', ''],
      ['m.room.retention', ''],
      ['m.space.child', '!child:example.org'],
      ['m.room.canonical_alias', ''],
      ['m.room.member', mallory],
    ])
  })

  it('keeps the aliases that move with it, not those other servers hold', () => {
    expect(contents(plan(version, old), 'm.room.canonical_alias')).toEqual([{ alias: '#pub:example.org' }])
  })

  it('keeps the power levels of those who do not become creators', () => {
    expect(finalUsers(plan(version, old))).toEqual(
      privilegedCreators ? { [bob]: 100, [carol]: 50 } : { [alice]: 100, [bob]: 100, [carol]: 50 },
    )
    expect(finalUsers(plan(version, old, { additionalCreators: [carol] }))).toEqual(
      privilegedCreators ? { [bob]: 100 } : { [alice]: 100, [bob]: 100, [carol]: 50 },
    )
  })

  it('names additional creators only where there are such', () => {
    const { createContent } = plan(version, old, { additionalCreators: [carol, carol, alice] })
    expect(createContent['additional_creators']).toEqual(privilegedCreators ? [carol] : undefined)
  })

  it('gives creators of a version 12 room a level where creators are nothing', () => {
    const upgrade = plan(version, [levelsOf({ [bob]: 50 })], { oldCreators: [alice, carol] })
    expect(finalUsers(upgrade)).toEqual(privilegedCreators ? { [bob]: 50 } : { [alice]: 100, [carol]: 100, [bob]: 50 })
  })

  it('lets a moderator build it and be a moderator again', () => {
    const upgrade = plan(version, [
      levelsOf({ [alice]: 50, [bob]: 100 }, { events: { 'm.room.power_levels': 100 } }),
      state('m.room.member', { membership: 'ban' }, bob),
    ])
    const [building, lasting] = contents(upgrade, 'm.room.power_levels')
    if (privilegedCreators) {
      expect(lasting).toBeUndefined()
      expect(building).toMatchObject({ users: { [bob]: 100 } })
    } else {
      // Banning someone of level 100 takes 101.
      expect(building).toMatchObject({ users: { [alice]: 101, [bob]: 100 } })
      expect(lasting).toMatchObject({ users: { [alice]: 50, [bob]: 100 } })
      expect(upgrade.events.at(-1)?.type).toBe('m.room.power_levels')
    }
  })

  it.each([
    ['an administrator', { [alice]: 100, [bob]: 100 }, {}],
    ['a moderator', { [alice]: 50, [bob]: 100, [mallory]: 75 }, {}],
    ['one of many below the top', { [alice]: 60, [bob]: 9000 }, { events: { 'm.room.topic': 500 }, ban: 100 }],
    ['anyone, where everyone may', { [bob]: 100 }, { users_default: 50 }],
  ])('keeps its own rules when built by %s', (_, users, more) => {
    expect(refusals(plan(version, [...old, levelsOf(users, more)].reverse()), version)).toEqual([])
  })

  it('reads levels that are text', () => {
    const upgrade = plan(version, [levelsOf({ [alice]: '100', [bob]: ' 50 ' }, { ban: '+60', redact: 'no number' })])
    expect(contents(upgrade, 'm.room.power_levels')).toHaveLength(1)
    if (rules(version).integerPowerLevels) {
      expect(contents(upgrade, 'm.room.power_levels')[0]).toMatchObject({ ban: 60, redact: 'no number' })
      expect(finalUsers(upgrade)[bob]).toBe(50)
    }
  })

  it('has power levels though the old room had none', () => {
    const upgrade = plan(version, [state('m.room.create', {})])
    expect(finalUsers(upgrade)).toEqual(privilegedCreators ? {} : { [alice]: 100 })
  })
})

describe('an upgrade to version 12', () => {
  it('raises the tombstone above state_default, and no further', () => {
    const tombstone = (more: JsonObject) => contents(plan('12', [levelsOf({}, more)]), 'm.room.power_levels')[0]
    expect(tombstone({ events: { 'm.room.tombstone': 100 } })).toMatchObject({ events: { 'm.room.tombstone': 100 } })
    expect(tombstone({})).toMatchObject({ events: { 'm.room.tombstone': 150 } })
    expect(tombstone({ state_default: 200 })).toMatchObject({ events: { 'm.room.tombstone': 201 } })
  })

  it('does not ban those whom it makes creators', () => {
    const banned = [carol, mallory].map((who) => state('m.room.member', { membership: 'ban' }, who))
    const { events } = plan('12', banned, { additionalCreators: [carol] })
    expect(events.filter(({ content }) => content['membership'] === 'ban').map((event) => event.state_key)).toEqual([
      mallory,
    ])
  })
})

describe('the power levels of the old room', () => {
  it.each([
    [{}, { events_default: 50, invite: 50 }],
    [{ users_default: 60 }, { users_default: 60, events_default: 61, invite: 61 }],
    [{ invite: 100 }, { invite: 100, events_default: 50 }],
    [{ invite: '75', events_default: 50 }, undefined],
  ])('of %j become %j', (old, quietened) => {
    expect(plan('12', [state('m.room.power_levels', old)]).oldPowerLevels).toEqual(quietened)
  })
})
