import type { JsonValue } from '#protocol/json/json.ts'
import { parsePropertyPath, pickFields } from '#protocol/filters/event-fields.ts'
import { matchesType, passesFilter, wantsRoom } from '#protocol/filters/filter.ts'
import { parseRoomEventFilter, parseSyncFilter } from '#protocol/filters/parse-filter.ts'
import { describe, expect, test } from 'vitest'

describe('a filter from a client', () => {
  test('keeps what the specification knows and drops the rest', () => {
    const parsed = parseSyncFilter({
      event_format: 'client',
      event_fields: ['content.body'],
      room: { include_leave: true, timeline: { limit: 5, types: ['m.room.*'], 'org.example.own': 1 }, odd: {} },
      account_data: { not_types: ['m.direct'] },
    })
    expect(parsed).toEqual({
      ok: true,
      filter: {
        event_format: 'client',
        event_fields: ['content.body'],
        room: { include_leave: true, timeline: { limit: 5, types: ['m.room.*'] } },
        account_data: { not_types: ['m.direct'] },
      },
    })
  })

  test.each([
    ['a list', [], ''],
    ['null', null, ''],
    ['text', '{}', ''],
    ['a limit below zero', { room: { timeline: { limit: -1 } } }, 'room.timeline.limit'],
    ['a broken limit', { room: { timeline: { limit: 1.5 } } }, 'room.timeline.limit'],
    ['a limit as text', { presence: { limit: '10' } }, 'presence.limit'],
    ['types that are no list', { room: { state: { types: 'm.room.member' } } }, 'room.state.types'],
    ['a list with a number', { room: { rooms: ['!a:b', 7] } }, 'room.rooms'],
    ['a room that is none', { room: { timeline: { rooms: ['room'] } } }, 'room.timeline.rooms'],
    ['a room that is a user', { room: { not_rooms: ['@a:b'] } }, 'room.not_rooms'],
    ['a sender that is none', { presence: { not_senders: ['a'] } }, 'presence.not_senders'],
    ['an unknown format', { event_format: 'yaml' }, 'event_format'],
    ['a room filter that is a list', { room: [] }, 'room'],
  ])('is refused when it is %s', (_, json, path) => {
    expect(parseSyncFilter(json)).toEqual({ ok: false, path })
  })

  test('asks for relations by their unstable name', () => {
    const filter = { 'org.matrix.msc3874.rel_types': ['m.thread'], 'org.matrix.msc3874.not_rel_types': ['m.reference'] }
    expect(parseRoomEventFilter(filter)).toEqual({ ok: true, filter })
    const event = (relation: JsonValue) => ({ type: 'm.room.message', content: { 'm.relates_to': relation } })
    expect(passesFilter(filter, event({ rel_type: 'm.thread' }))).toBe(true)
    for (const other of [{ rel_type: 'm.reference' }, {}, 7, null])
      expect(passesFilter(filter, event(other))).toBe(false)
    const without = { 'org.matrix.msc3874.not_rel_types': ['m.reference'] }
    expect(passesFilter(without, event({ rel_type: 'm.reference' }))).toBe(false)
    for (const other of [{ rel_type: 'm.thread' }, {}, 7]) expect(passesFilter(without, event(other))).toBe(true)
  })

  test('may write null for what it leaves out', () => {
    expect(parseRoomEventFilter({ types: null, limit: 3 })).toEqual({ ok: true, filter: { limit: 3 } })
  })

  test('cannot smuggle fields in through the prototype', () => {
    const parsed = parseSyncFilter(JSON.parse('{"__proto__": {"room": {"include_leave": true}}}'))
    expect(parsed).toEqual({ ok: true, filter: {} })
  })
})

describe('a type pattern', () => {
  test.each([
    ['m.room.message', 'm.room.message', true],
    ['m.room.message', 'm.room.messages', false],
    ['m.*', 'm.room.message', true],
    ['*', '', true],
    ['*.message', 'm.room.message', true],
    ['m.*.message', 'm.message', false],
    ['m.*.message', 'm..message', true],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['ab*ba', 'aba', false],
    ['m.room.?essage', 'm.room.message', false],
    ['m.r[o]om', 'm.room', false],
    ['**', 'anything', true],
  ])('%s against %s: %s', (pattern, type, matches) => {
    expect(matchesType(pattern, type)).toBe(matches)
  })

  test('of ten thousand stars still ends', () => {
    expect(matchesType(`${'a*'.repeat(10_000)}b`, 'a'.repeat(60_000))).toBe(false)
  })
})

describe('an event passes', () => {
  const event = { type: 'm.room.message', sender: '@a:b', content: { url: 'mxc://x/y' } }

  test('everything without a filter', () => expect(passesFilter(undefined, event)).toBe(true))
  test('not where its type is excluded, even if it is included too', () =>
    expect(passesFilter({ types: ['m.room.message'], not_types: ['m.*'] }, event)).toBe(false))
  test('not where the list of types is empty', () => expect(passesFilter({ types: [] }, event)).toBe(false))
  test('only for the senders named', () => {
    expect(passesFilter({ senders: ['@a:b'] }, event)).toBe(true)
    expect(passesFilter({ senders: ['@c:d'] }, event)).toBe(false)
    expect(passesFilter({ senders: ['@a:b'], not_senders: ['@a:b'] }, event)).toBe(false)
    expect(passesFilter({ senders: ['@a:b'] }, { type: 'm.typing', content: {} })).toBe(false)
  })
  test('by its url key', () => {
    expect(passesFilter({ contains_url: true }, event)).toBe(true)
    expect(passesFilter({ contains_url: false }, event)).toBe(false)
    expect(passesFilter({ contains_url: false }, { ...event, content: {} })).toBe(true)
  })
})

test('not_rooms wins over rooms', () => {
  expect(wantsRoom(undefined, '!a')).toBe(true)
  expect(wantsRoom({ rooms: [] }, '!a')).toBe(false)
  expect(wantsRoom({ rooms: ['!a'] }, '!a')).toBe(true)
  expect(wantsRoom({ rooms: ['!a'], not_rooms: ['!a'] }, '!a')).toBe(false)
})

describe('event fields', () => {
  // The examples of appendices/#dot-separated-property-paths.
  test.each([
    ['content.body', ['content', 'body']],
    ['m\\.relates_to', ['m.relates_to']],
    ['content.m\\.relates_to.event_id', ['content', 'm.relates_to', 'event_id']],
    ['m\\\\foo', ['m\\foo']],
    ['m\\foo', ['m\\foo']],
    ['', ['']],
  ])('%s is read as %j', (path, segments) => expect(parsePropertyPath(path)).toEqual(segments))

  test('pick what they name and no more', () => {
    const event = { type: 't', sender: '@a:b', content: { body: 'hi', more: { a: 1, b: 2 } } }
    const pick = (...paths: string[]) => pickFields(event, paths.map(parsePropertyPath))
    expect(pick('content.body', 'type')).toEqual({ type: 't', content: { body: 'hi' } })
    expect(pick('content.more.a', 'content.body')).toEqual({ content: { body: 'hi', more: { a: 1 } } })
    expect(pick('content', 'content.body')).toEqual({ content: event.content })
    expect(pick('content.nothing', 'state_key', '__proto__.x', 'type.length')).toEqual({})
    expect(event.content).toEqual({ body: 'hi', more: { a: 1, b: 2 } })
  })
})
