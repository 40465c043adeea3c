import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { redact } from '#protocol/events/redaction.ts'
import type { JsonObject, JsonValue } from '#protocol/json/json.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'
import { rulesFor } from '../signing/synapse-cases.ts'

const since = (first: number) => roomVersions.filter((version) => Number(version) >= first)
const until = (last: number) => roomVersions.filter((version) => Number(version) <= last)

/** What a redaction leaves of `content`. */
function contentLeft(version: RoomVersion, type: string, content: JsonObject): unknown {
  return redact(rulesFor(version), { type, content })['content']
}

describe.each(roomVersions)('room version %s', (version) => {
  const rules = rulesFor(version)

  it('keeps the envelope and drops what nobody knows', () => {
    const kept = {
      event_id: '$e',
      type: 'm.room.message',
      room_id: '!r:d',
      sender: '@a:d',
      state_key: '',
      hashes: { sha256: 'x' },
      signatures: { d: {} },
      depth: 1,
      prev_events: ['$p'],
      auth_events: ['$a'],
      origin_server_ts: 2,
    }
    const dropped = { unsigned: { age: 1 }, redacts: '$x', 'org.example': 1, age_ts: 3, event: 4, ['__proto__']: 5 }
    expect(redact(rules, { ...kept, ...dropped, content: { body: 'x' } })).toEqual({ ...kept, content: {} })
  })

  it('keeps `origin`, `membership` and `prev_state` up to v10', () => {
    const old = { origin: 'd', membership: 'join', prev_state: [] }
    expect(redact(rules, { type: 'x', content: {}, ...old })).toEqual({
      type: 'x',
      content: {},
      ...(Number(version) <= 10 ? old : {}),
    })
  })

  it('changes nothing when done twice, and does not touch the original', () => {
    const value = fc.jsonValue({ maxDepth: 2 }).map((json) => JSON.stringify(json))
    const type = fc.constantFrom('m.room.member', 'm.room.create', 'm.room.power_levels', 'm.room.redaction', 'x')
    fc.assert(
      fc.property(type, value, value, (eventType, a, b) => {
        const invite = JSON.parse(`{"third_party_invite":${a},"membership":${b},"users":${a},"extra":${b}}`)
        const event = { type: eventType, content: invite, extra: 1 }
        const before = JSON.stringify(event)
        const once = redact(rules, event)
        expect(redact(rules, once)).toEqual(once)
        expect(JSON.stringify(event)).toBe(before)
      }),
    )
  })

  it.each([undefined, null, 1, 'x', []])('leaves an empty object of content that is %j', (content) => {
    expect(redact(rules, { type: 'm.room.create', content })).toEqual({ type: 'm.room.create', content: {} })
  })

  it.each([undefined, null, 1, ['m.room.create']])('knows no event of type %j', (type) => {
    expect(redact(rules, { type, content: { creator: '@a:d' } })['content']).toEqual({})
  })

  it('keeps nothing of message events, nor of unknown ones', () => {
    const content = { membership: 'join', creator: '@a:d', users: {}, aliases: [], redacted: 1, body: 'x' }
    for (const type of ['m.room.message', 'm.room.topic', 'm.room.third_party_invite', 'constructor', '__proto__']) {
      expect(contentLeft(version, type, content)).toEqual({})
    }
  })

  it('keeps `history_visibility`', () => {
    expect(contentLeft(version, 'm.room.history_visibility', { history_visibility: 'shared', x: 1 })).toEqual({
      history_visibility: 'shared',
    })
  })
})

const levels = {
  ban: 1,
  events: { x: 2 },
  events_default: 3,
  kick: 4,
  redact: 5,
  state_default: 6,
  users: { '@a:d': 7 },
  users_default: 8,
}

describe('by event type', () => {
  it.each(until(10))('v%s keeps all power levels but `invite`', (version) => {
    expect(contentLeft(version, 'm.room.power_levels', { ...levels, invite: 9, notifications: {} })).toEqual(levels)
  })
  it.each(since(11))('v%s keeps `invite` too', (version) => {
    const content = { ...levels, invite: 9 }
    expect(contentLeft(version, 'm.room.power_levels', { ...content, notifications: {} })).toEqual(content)
  })

  it.each(until(10))('v%s keeps `creator` alone of the create event', (version) => {
    const content = { creator: '@a:d', room_version: version, 'm.federate': false }
    expect(contentLeft(version, 'm.room.create', content)).toEqual({ creator: '@a:d' })
  })
  it.each(since(11))('v%s keeps the whole content of the create event', (version) => {
    const content = { creator: '@a:d', room_version: version, 'm.federate': false, anything: { at: ['all'] } }
    expect(contentLeft(version, 'm.room.create', content)).toEqual(content)
  })

  it.each(until(7))('v%s keeps `join_rule`', (version) => {
    expect(contentLeft(version, 'm.room.join_rules', { join_rule: 'restricted', allow: [] })).toEqual({
      join_rule: 'restricted',
    })
  })
  it.each(since(8))('v%s keeps `allow` too', (version) => {
    const content = { join_rule: 'restricted', allow: [] }
    expect(contentLeft(version, 'm.room.join_rules', { ...content, x: 1 })).toEqual(content)
  })

  it.each(until(5))('v%s keeps `aliases`', (version) => {
    expect(contentLeft(version, 'm.room.aliases', { aliases: ['#a:d'], x: 1 })).toEqual({ aliases: ['#a:d'] })
  })
  it.each(since(6))('v%s does not', (version) => {
    expect(contentLeft(version, 'm.room.aliases', { aliases: ['#a:d'] })).toEqual({})
  })

  it.each(until(10))('v%s keeps nothing of a redaction', (version) => {
    expect(contentLeft(version, 'm.room.redaction', { redacts: '$x', reason: 'y' })).toEqual({})
  })
  it.each(since(11))('v%s keeps what it redacts', (version) => {
    expect(contentLeft(version, 'm.room.redaction', { redacts: '$x', reason: 'y' })).toEqual({ redacts: '$x' })
  })
})

describe('member events', () => {
  const signed = { mxid: '@a:d', token: 't', signatures: {} }
  const content = {
    membership: 'invite',
    displayname: 'Al',
    reason: 'r',
    join_authorised_via_users_server: '@b:d',
    third_party_invite: { display_name: 'Al', signed },
  }

  it.each(until(8))('v%s keeps `membership`', (version) => {
    expect(contentLeft(version, 'm.room.member', content)).toEqual({ membership: 'invite' })
  })
  it.each(['9', '10'] as const)('v%s keeps the authorising user too', (version) => {
    expect(contentLeft(version, 'm.room.member', content)).toEqual({
      membership: 'invite',
      join_authorised_via_users_server: '@b:d',
    })
  })
  it.each(since(11))('v%s keeps `signed` of a third-party invite too', (version) => {
    expect(contentLeft(version, 'm.room.member', content)).toEqual({
      membership: 'invite',
      join_authorised_via_users_server: '@b:d',
      third_party_invite: { signed },
    })
  })
  it.each(since(11))('v%s keeps no third-party invite that is no object', (version) => {
    const left = (third_party_invite: JsonValue) => contentLeft(version, 'm.room.member', { third_party_invite })
    expect(left({ display_name: 'Al' })).toEqual({ third_party_invite: {} })
    expect(left({ signed: 'whatever' })).toEqual({ third_party_invite: { signed: 'whatever' } })
    for (const invite of ['x', 1, null, ['signed']]) expect(left(invite)).toEqual({})
  })
})

describe('the room ID of a create event', () => {
  const create = { type: 'm.room.create', room_id: '!r:d', content: {} }
  it.each(until(11))('is kept in v%s', (version) => {
    expect(redact(rulesFor(version), create)).toEqual(create)
  })
  it('is not in v12, where it would be part of its own hash', () => {
    expect(redact(rulesFor('12'), create)).toEqual({ type: 'm.room.create', content: {} })
    expect(redact(rulesFor('12'), { ...create, type: 'm.room.member' })).toEqual({ ...create, type: 'm.room.member' })
  })
})
