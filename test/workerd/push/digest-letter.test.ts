/** The letter about unread messages: names and texts of strangers do no harm in it. */
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { describe, expect, test } from 'vitest'

import type { LetterEvent, LetterRoom } from '../../../durable-objects/user-sync/mail-digest.ts'
import { digestLetter } from '../../../worker/mail/digest-letter.ts'

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('malformed')
  return value
}
const roomId = known(parseRoomId('!room:test.local'))
const at = Date.UTC(2026, 10, 21, 8, 5)

function event(content: JsonObject, more: Partial<LetterEvent> = {}): LetterEvent {
  return {
    event_id: known(parseEventId('$e')),
    room_id: roomId,
    type: 'm.room.message',
    sender: known(parseUserId('@alice:test.local')),
    sender_display_name: 'Alice',
    room_name: 'Mission Control',
    user_is_target: false,
    content,
    tweaks: {},
    at,
    ...more,
  }
}
const said = (body: string, more: Partial<LetterEvent> = {}) => event({ msgtype: 'm.text', body }, more)
const room = (...events: LetterEvent[]): LetterRoom => ({ roomId, events })
const letter = (...rooms: LetterRoom[]) =>
  digestLetter({
    serverName: 'test.local',
    userId: '@bob:test.local',
    rooms,
    unsubscribe: 'https://test.local/end?a=1&b=2',
  })

test('says who wrote what in which room, and how to get no more of it', () => {
  const { subject, text, html, unsubscribe } = letter(room(said('hello')))
  expect(subject).toBe('1 unread message: Mission Control')
  expect(text).toBe(
    'Mission Control\nhttps://matrix.to/#/!room%3Atest.local\n2026-11-21 08:05 UTC, Alice wrote: hello\n\n' +
      'This is for @bob:test.local on test.local, where letters about unread messages were asked for. No more of them:\n\n' +
      'https://test.local/end?a=1&b=2\n',
  )
  expect(html).toContain('Alice wrote: hello')
  expect(html).toContain('href="https://test.local/end?a=1&amp;b=2"')
  expect(unsubscribe).toBe('https://test.local/end?a=1&b=2')
})

test.each([
  ['sent an encrypted message', event({ ciphertext: 'x' }, { type: 'm.room.encrypted' })],
  ['invites you', event({ membership: 'invite' }, { type: 'm.room.member', user_is_target: true })],
  ['sent a picture', event({ msgtype: 'm.image', body: 'a.png' })],
  ['sent a file: a.pdf', event({ msgtype: 'm.file', body: 'a.pdf' })],
  ['waves', event({ msgtype: 'm.emote', body: 'waves' })],
  ['sent something', event({ msgtype: 'm.text', body: { no: 'text' } })],
  ['sent something', event({}, { type: 'm.poll.start' })],
])('%s', (words, each) => {
  expect(letter(room(each)).text).toContain(`UTC, Alice ${words}\n`)
})

test('shows the newest of many, and counts the rest', () => {
  const many = Array.from({ length: 9 }, (_, n) => said(`message ${n}`))
  const { subject, text } = letter(room(...many), ...Array.from({ length: 24 }, () => room(said('x'))))
  expect(subject).toBe('33 unread messages: 25 rooms')
  expect(text).toContain('4 earlier messages\n')
  expect(text).not.toContain('message 3')
  expect(text).toContain('message 8')
  expect(text).toContain('And 5 more rooms.')
})

describe('names and texts', () => {
  test('are no HTML', () => {
    const evil = '<script>alert("x")</script>'
    const { html } = letter(room(said(evil, { sender_display_name: evil, room_name: evil })))
    expect(html).not.toContain('<script')
    expect(html).toContain('&lt;script&gt;')
  })

  test('break no header and no line', () => {
    const evil = 'a\r\nBcc: everybody@example.org\u2028b\u0000'
    const { subject, text } = letter(room(said(evil, { sender_display_name: evil, room_name: evil })))
    expect(subject).toBe('1 unread message: a Bcc: everybody@example.org b')
    expect(text.split('\n').some((line) => line.startsWith('Bcc'))).toBe(false)
  })

  test('are cut short between characters', () => {
    const { subject } = letter(room(said('x', { room_name: '😀'.repeat(1000) })))
    expect(subject).toBe(`1 unread message: ${'😀'.repeat(59)}…`)
  })

  test('of a room without a name are those of who is in it', () => {
    const nameless = said('x', { room_name: undefined, sender_display_name: undefined })
    expect(letter(room(nameless)).subject).toBe('1 unread message: Conversation with @alice:test.local')
  })
})
