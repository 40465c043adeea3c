/** What a push gateway is sent, and when it is tried again. */
import { describe, expect, test } from 'vitest'

import { pushBody, type PushedEvent } from '#protocol/push-rules/push-body.ts'
import { isGivenUp, retryAt } from '#protocol/push-rules/push-retry.ts'

const event: PushedEvent = {
  event_id: '$e',
  room_id: '!r',
  type: 'm.room.message',
  sender: '@a:b',
  user_is_target: false,
  content: { body: 'x' },
  tweaks: {},
}
const pusher = { app_id: 'app', pushkey: 'key', data: { url: 'https://push', brand: 'x' } }
const sent = (more: Partial<PushedEvent>, data: object = {}) => {
  const wanted = { ...pusher, data: { ...pusher.data, ...data } }
  return pushBody({ notification: { ...event, ...more }, unread: 3, pusher: wanted, setAt: 7 })['notification']
}

describe('the priority', () => {
  test.each([
    ['low without any tweak', {}, 'low'],
    ['high with a sound', { tweaks: { sound: 'default' } }, 'high'],
    ['high for a highlight', { tweaks: { highlight: true } }, 'high'],
    ['low for a highlight that is none', { tweaks: { highlight: false } }, 'low'],
    ['low for a sound that is none', { tweaks: { sound: null } }, 'low'],
    ['low for a sound that is not a word', { tweaks: { sound: {} } }, 'low'],
    ['high for what nobody here can read', { type: 'm.room.encrypted' }, 'high'],
  ])('is %s', (_, more, prio) => {
    expect(sent(more)).toMatchObject({ prio })
  })
})

test('the data of a pusher goes along, but for its URL', () => {
  expect(sent({})).toMatchObject({ devices: [{ app_id: 'app', pushkey: 'key', pushkey_ts: 7, data: { brand: 'x' } }] })
})

test('names that there are none of are left out', () => {
  expect(sent({})).toEqual({
    event_id: '$e',
    room_id: '!r',
    type: 'm.room.message',
    sender: '@a:b',
    prio: 'low',
    content: { body: 'x' },
    counts: { unread: 3 },
    devices: [{ app_id: 'app', pushkey: 'key', pushkey_ts: 7, data: { brand: 'x' }, tweaks: {} }],
  })
})

test('with IDs only, no content, sender or name goes out', () => {
  expect(sent({ room_name: 'secret', sender_display_name: 'secret' }, { format: 'event_id_only' })).toEqual({
    event_id: '$e',
    room_id: '!r',
    prio: 'low',
    counts: { unread: 3 },
    devices: [expect.anything()],
  })
})

test('a count of nothing is left out of events, and sent where it is the news', () => {
  expect(pushBody({ notification: event, unread: 0, pusher, setAt: 7 })['notification']).toMatchObject({ counts: {} })
  expect(pushBody({ notification: null, unread: 0, pusher, setAt: 7 })).toEqual({
    notification: {
      counts: { unread: 0 },
      devices: [{ app_id: 'app', pushkey: 'key', pushkey_ts: 7, data: { brand: 'x' } }],
    },
  })
})

test('a gateway is tried again after 5 seconds, then ever later, at least each hour, for a day', () => {
  const waits = Array.from({ length: 12 }, (_, failures) => retryAt(failures + 1, 1000) - 1000)
  expect(waits.slice(0, 4)).toEqual([5_000, 10_000, 20_000, 40_000])
  expect(waits.at(-1)).toBe(3_600_000)
  expect([isGivenUp(0, 86_400_000), isGivenUp(0, 86_400_001)]).toEqual([false, true])
})
