/** Messages that are over, as clients see them: by no way, from the moment on which the room's policy says. MSC1763. */
import type { JsonObject } from '#protocol/json/json.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, test } from 'vitest'

import { roomOf } from '../../../worker/rooms.ts'
import { ask } from '../accounts/servers.ts'
import { anonymous, registerUser, type User } from '../client.ts'
import { at, createRoom, fullState, join, ok, refused, setState } from './rooms.ts'

const day = 86_400_000

let alice: User
let bob: User
beforeAll(async () => {
  ;[alice, bob] = [await registerUser('retention-alice'), await registerUser('retention-bob')]
})

function known<T>(parsed: T | undefined): T {
  if (parsed === undefined) throw new TypeError('no such ID')
  return parsed
}

/** Alice sends something, so many days ago. */
async function send(roomId: string, daysAgo: number, content: JsonObject, type = 'm.room.message'): Promise<string> {
  const sender = known(parseUserId(alice.userId))
  const originServerTs = Date.now() - daysAgo * day
  const sent = await roomOf(env, known(parseRoomId(roomId))).sendEvent({ sender, type, content, originServerTs })
  if (!sent.ok) throw new Error(sent.message)
  return sent.event_id
}

const text = (body: string, more: JsonObject = {}): JsonObject => ({ msgtype: 'm.text', body, ...more })
const toBob = (): JsonObject => ({ 'm.mentions': { user_ids: [bob.userId] } })
const relatesTo = (event_id: string, rel_type: string, more: JsonObject = {}): JsonObject => ({
  'm.relates_to': { event_id, rel_type, ...more },
})

/** A room of both, in which messages are kept for so many days. */
async function roomOfBoth(policy?: JsonObject): Promise<string> {
  const roomId = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, roomId)
  if (policy) await ok(setState(alice, roomId, 'm.room.retention', policy))
  return roomId
}

const v1 = (roomId: string, path: string) => `/_matrix/client/v1${at(roomId, path)}`
const eventPath = (roomId: string, eventId: string) => at(roomId, `/event/${encodeURIComponent(eventId)}`)
const slidingPath = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync'

/** Every way to read messages that is not about a single one. */
const ways: readonly [
  name: string,
  read: (roomId: string, fresh: string) => Promise<{ status: number; text: string }>,
][] = [
  ['/sync', () => bob.get('/sync')],
  [
    'sliding sync',
    (roomId) => bob.post(slidingPath, { room_subscriptions: { [roomId]: { timeline_limit: 50, required_state: [] } } }),
  ],
  ['/messages backwards', (roomId) => bob.get(at(roomId, '/messages?dir=b&limit=100'))],
  ['/messages forwards', (roomId) => bob.get(at(roomId, '/messages?dir=f&limit=100'))],
  [
    '/messages of what others relate to',
    (roomId) =>
      bob.get(
        at(roomId, `/messages?dir=b&limit=100&filter=${encodeURIComponent('{"related_by_rel_types":["m.thread"]}')}`),
      ),
  ],
  ['/context', (roomId, fresh) => bob.get(at(roomId, `/context/${encodeURIComponent(fresh)}?limit=50`))],
  ['/event', (roomId, fresh) => bob.get(eventPath(roomId, fresh))],
  ['/relations', (roomId, fresh) => bob.get(v1(roomId, `/relations/${encodeURIComponent(fresh)}?recurse=true`))],
  ['/threads', (roomId) => bob.get(v1(roomId, '/threads'))],
  ['/initialSync', (roomId) => bob.get(at(roomId, '/initialSync?limit=100'))],
  ['/notifications', () => bob.get('/notifications')],
  [
    '/search',
    (roomId) =>
      bob.post('/search', {
        search_categories: {
          room_events: {
            search_term: 'word',
            filter: { rooms: [roomId] },
            event_context: { before_limit: 10, after_limit: 10 },
          },
        },
      }),
  ],
]

describe('a message that is over', () => {
  let roomId: string
  let fresh: string
  let over: string[]
  beforeAll(async () => {
    roomId = await roomOfBoth({ max_lifetime: day })
    const first = await send(roomId, 3, text('overdue word', toBob()))
    fresh = await send(roomId, 0.5, text('fresh word', toBob()))
    await send(roomId, 0.4, text('fresh word in the thread', { ...relatesTo(fresh, 'm.thread'), ...toBob() }))
    over = [
      first,
      // Times are what senders write: these came later.
      await send(roomId, 2, text('overdue word of a thread', { ...relatesTo(fresh, 'm.thread'), ...toBob() })),
      await send(roomId, 2, {
        ...text('* overdue word of an edit', { 'm.new_content': text('overdue word') }),
        ...relatesTo(fresh, 'm.replace'),
      }),
      await send(roomId, 2, relatesTo(fresh, 'm.reference'), 'org.example.overdue'),
      await send(roomId, 2, relatesTo(fresh, 'm.annotation', { key: 'overdue' }), 'm.reaction'),
      await send(roomId, 40, { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: 'overdue' }, 'm.room.encrypted'),
    ]
    // An old topic is no message.
    await send(roomId, 0, text('fresh word at the end', toBob()))
  })

  test.each(ways)('is not in %s', async (_, read) => {
    const answer = await read(roomId, fresh)
    expect(answer, answer.text).toMatchObject({ status: 200 })
    expect(answer.text).toContain('fresh word')
    expect(answer.text).not.toContain('overdue')
    for (const each of over) expect(answer.text).not.toContain(each)
  })

  test('cannot be had by its ID, nor what is around it', async () => {
    for (const each of over) {
      const id = encodeURIComponent(each)
      expect(await bob.get(eventPath(roomId, each))).toMatchObject(refused(404, 'M_NOT_FOUND'))
      expect(await alice.get(eventPath(roomId, each))).toMatchObject(refused(404, 'M_NOT_FOUND'))
      expect(await bob.get(at(roomId, `/context/${id}`))).toMatchObject(refused(404, 'M_NOT_FOUND'))
      expect(await bob.get(v1(roomId, `/relations/${id}`))).toMatchObject(refused(404, 'M_NOT_FOUND'))
    }
  })

  test('is passed over by a jump to its date', async () => {
    const found = await ok(
      bob.get<{ event_id: string }>(v1(roomId, `/timestamp_to_event?ts=${Date.now() - 3.1 * day}&dir=f`)),
    )
    expect(found.event_id).toBe(fresh)
  })

  test('does not count as unread', async () => {
    const { body } = await bob.get<{ rooms: { join: Record<string, { unread_notifications: JsonObject }> } }>('/sync')
    expect(body.rooms.join[roomId]?.unread_notifications).toEqual({ highlight_count: 3, notification_count: 3 })
  })

  test('is not in what its sender gets of their data', async () => {
    const sender = known(parseUserId(alice.userId))
    const { events } = await roomOf(env, known(parseRoomId(roomId))).sentBy({ user: sender, after: 0 })
    expect(JSON.stringify(events)).toContain('fresh word')
    expect(JSON.stringify(events)).not.toContain('overdue')
  })

  test('is not even shown where it is sticky', async () => {
    const minute = day / 1440
    const other = await roomOfBoth({ max_lifetime: 10 * minute })
    const sticky = async (minutesAgo: number, body: string) => {
      const sent = await roomOf(env, known(parseRoomId(other))).sendEvent({
        sender: known(parseUserId(alice.userId)),
        type: 'm.room.message',
        content: text(body),
        originServerTs: Date.now() - minutesAgo * minute,
        stickyDuration: 60 * minute,
      })
      if (!sent.ok) throw new Error(sent.message)
      return sent.event_id
    }
    const [old] = [await sticky(20, 'overdue'), await sticky(1, 'fresh')]
    const extensions = { 'org.matrix.msc4354.sticky_events': { enabled: true } }
    const subscriptions = { room_subscriptions: { [other]: { timeline_limit: 1, required_state: [] } } }
    for (const { text: answer } of [
      await bob.get('/sync?filter={"room":{"timeline":{"limit":1}}}'),
      await bob.post(slidingPath, { ...subscriptions, extensions }),
    ]) {
      expect(answer).toContain('fresh')
      expect(answer).not.toContain('overdue')
    }
    expect(await bob.get(eventPath(other, old))).toMatchObject(refused(404, 'M_NOT_FOUND'))
  })

  test('leaves a receipt where it was: it says how far somebody has read', async () => {
    const other = await roomOfBoth()
    const old = await send(other, 2, text('overdue'))
    await ok(bob.post(at(other, `/receipt/m.read/${encodeURIComponent(old)}`)))
    await ok(setState(alice, other, 'm.room.retention', { max_lifetime: day }))
    const { text: answer } = await alice.get('/sync')
    expect(answer).toContain(`${JSON.stringify(old)}:{"m.read"`)
  })
})

describe('the policy', () => {
  const isThere = async (roomId: string, eventId: string) => {
    const { status } = await bob.get(eventPath(roomId, eventId))
    expect([200, 404]).toContain(status)
    return status === 200
  }

  test('keeps state, however old it is', async () => {
    const roomId = await roomOfBoth({ max_lifetime: 1 })
    const sender = known(parseUserId(alice.userId))
    const topic = await roomOf(env, known(parseRoomId(roomId))).sendEvent({
      sender,
      type: 'm.room.topic',
      stateKey: '',
      content: { topic: 'as ever' },
      originServerTs: Date.now() - 99 * day,
    })
    if (!topic.ok) throw new Error(topic.message)
    expect(await isThere(roomId, topic.event_id)).toBe(true)
    expect((await fullState(bob, roomId)).map(({ event_id }) => event_id)).toContain(topic.event_id)
  })

  test('counts from the moment at which it is set, and no longer when it is gone', async () => {
    const roomId = await roomOfBoth()
    const old = await send(roomId, 9, text('old'))
    expect(await isThere(roomId, old)).toBe(true)
    await ok(setState(alice, roomId, 'm.room.retention', { max_lifetime: 8 * day }))
    expect(await isThere(roomId, old)).toBe(false)
    await ok(setState(alice, roomId, 'm.room.retention', { max_lifetime: 10 * day }))
    expect(await isThere(roomId, old)).toBe(true)
    await ok(setState(alice, roomId, 'm.room.retention', { max_lifetime: 8 * day }))
    expect(await isThere(roomId, old)).toBe(false)
    const emptied = await ok(setState(alice, roomId, 'm.room.retention', {}))
    expect(await isThere(roomId, old)).toBe(true)
    await ok(setState(alice, roomId, 'm.room.retention', { max_lifetime: 8 * day }))
    const [last] = (await fullState(bob, roomId)).filter(({ type }) => type === 'm.room.retention')
    expect(last?.event_id).not.toBe(emptied)
    // Redacted, it says nothing.
    await ok(alice.put(at(roomId, `/redact/${encodeURIComponent(last?.event_id ?? '')}/gone`)))
    expect(await isThere(roomId, old)).toBe(true)
  })

  test.each([
    { max_lifetime: '1' },
    { max_lifetime: -1 },
    { max_lifetime: 1, min_lifetime: 'soon' },
    { max_lifetime: {} },
  ])('is ignored where nobody understands it: %j', async (policy) => {
    const roomId = await roomOfBoth(policy)
    expect(await isThere(roomId, await send(roomId, 99, text('old')))).toBe(true)
  })

  test('ends what was counted as unread before', async () => {
    const roomId = await roomOfBoth()
    const counts = async () => {
      const { body } = await bob.get<{ rooms: { join: Record<string, { unread_notifications: JsonObject }> } }>('/sync')
      return body.rooms.join[roomId]?.unread_notifications
    }
    await send(roomId, 9, text('old', toBob()))
    await send(roomId, 1, text('new'))
    expect(await counts()).toEqual({ highlight_count: 1, notification_count: 2 })
    await ok(setState(alice, roomId, 'm.room.retention', { max_lifetime: 8 * day }))
    expect(await counts()).toEqual({ highlight_count: 0, notification_count: 1 })
  })

  test('is not one of another place of the state', async () => {
    const roomId = await roomOfBoth()
    await ok(setState(alice, roomId, 'm.room.retention', { max_lifetime: 1 }, 'elsewhere'))
    expect(await isThere(roomId, await send(roomId, 99, text('old')))).toBe(true)
  })
})

describe('what clients are told', () => {
  const path = '/_matrix/client/unstable/org.matrix.msc1763/retention/configuration'
  const asBob = () => ({ Authorization: `Bearer ${bob.accessToken}` })
  const flagOf = async (settings: Parameters<typeof ask>[0]) => {
    const { body } = await ask<{ unstable_features: JsonObject }>(settings, 'GET', '/_matrix/client/versions')
    return body.unstable_features['org.matrix.msc1763']
  }

  test('is what the owner said', async () => {
    expect(await bob.get(path)).toMatchObject({ status: 200, body: { policies: {}, limits: {} } })
    const settings = { RETENTION: 'on', RETENTION_MAX_LIFETIME: '30d', RETENTION_ALLOWED_MIN: '1d' }
    expect((await ask(settings, 'GET', path, undefined, asBob())).body).toEqual({
      policies: { '*': { max_lifetime: 30 * day } },
      limits: { max_lifetime: { min: day } },
    })
    expect(await flagOf(settings)).toBe(true)
  })

  test('is nothing where messages are kept', async () => {
    const settings = { RETENTION: 'off' }
    expect(await ask(settings, 'GET', path, undefined, asBob())).toMatchObject(refused(404, 'M_UNRECOGNIZED'))
    expect(await flagOf(settings)).toBeUndefined()
  })

  test('is for users alone', async () => {
    expect(await anonymous.get(path)).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
    expect(await anonymous.post(path)).toMatchObject({ status: 405 })
  })
})
