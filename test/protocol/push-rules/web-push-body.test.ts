/** What a client reads of a web push. MSC4174. */
import { describe, expect, test } from 'vitest'

import type { PushedEvent } from '#protocol/push-rules/push-body.ts'
import { activationMessage, maxPlaintext, webPushMessage } from '#protocol/push-rules/web-push-body.ts'

const event = (more: Partial<PushedEvent> = {}): PushedEvent => ({
  event_id: '$e',
  room_id: '!r:x',
  type: 'm.room.message',
  sender: '@a:x',
  sender_display_name: undefined,
  user_is_target: false,
  content: { body: 'hi' },
  tweaks: {},
  ...more,
})
const sent = (notification: PushedEvent | null, data = {}) => {
  const { text, ...rest } = webPushMessage({ notification, unread: 2, data })
  return { ...rest, json: JSON.parse(text) as unknown, bytes: Buffer.byteLength(text) }
}

test('an event, flat, with what is known and nothing else', () => {
  expect(sent(event()).json).toEqual({
    event_id: '$e',
    room_id: '!r:x',
    unread: 2,
    type: 'm.room.message',
    sender: '@a:x',
    tweaks: {},
    content: { body: 'hi' },
  })
})

describe('what is too long', () => {
  test.each(['x', 'é', '€', '😀', '"', '\n'])('of %j goes without its content, then without its names', (letter) => {
    const long = event({ content: { body: letter.repeat(4000) } })
    expect(sent(long).json).toMatchObject({ event_id: '$e', sender: '@a:x' })
    expect(sent(long).json).not.toHaveProperty('content')
    const longer = event({ room_name: letter.repeat(4000), content: {} })
    expect(sent(longer).json).toEqual({ event_id: '$e', room_id: '!r:x', unread: 2 })
    const payload = sent(event(), { default_payload: { x: letter.repeat(4000) } })
    expect(payload.json).toEqual({ event_id: '$e', room_id: '!r:x', unread: 2 })
    expect(payload.bytes).toBeLessThanOrEqual(maxPlaintext)
  })

  test('is measured in bytes', () => {
    const sizes = [3700, 3800, 3900, 4000].map((n) => sent(event({ content: { body: 'x'.repeat(n) } })))
    for (const { bytes } of sizes) expect(bytes).toBeLessThanOrEqual(maxPlaintext)
    expect(sizes.map(({ json }) => JSON.stringify(json).includes('content'))).toEqual([true, true, false, false])
  })
})

test('what makes a sound or is encrypted is urgent', () => {
  expect(sent(event()).urgency).toBe('normal')
  expect(sent(event({ tweaks: { sound: 'default' } })).urgency).toBe('high')
  expect(sent(event({ type: 'm.room.encrypted' })).urgency).toBe('high')
  expect(sent(null)).toMatchObject({ urgency: 'normal', topic: 'unread', json: { unread: 2 } })
})

test('an activation holds the app and the token alone', () => {
  expect(JSON.parse(activationMessage('app', 'token').text)).toEqual({ app_id: 'app', ack_token: 'token' })
})
