/** Sticky events between servers. MSC4354 (unstable), "Federation behaviour" and "Proposal". */
import type { Pdu } from '#protocol/events/pdu.ts'
import { type JsonObject, own } from '#protocol/json/json.ts'
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { FarRoom } from '../federation/far-room.ts'
import {
  type Asked,
  joinOver,
  otherServer,
  type OtherServer,
  serversAnswer,
  signedBy,
} from '../federation/other-server.ts'
import { at, createRoom, join, ok, say, setState } from '../rooms/rooms.ts'
import { aMoment, long, sync } from '../sync/syncing.ts'
import { event, later, minute, shownIn, stick, stickyIn } from './sticky.ts'

const patience = { timeout: 30_000, interval: 50 }
const hour = 60 * minute
vi.setConfig({ testTimeout: 60_000 })

let alice: User
let far: OtherServer
beforeAll(async () => {
  alice = await registerUser('farsticky-alice')
  far = await otherServer('sticky.test:8448')
})
afterEach(() => {
  vi.restoreAllMocks()
})

/** Texts of the messages that a server is sent, as they come. */
function listening(server: OtherServer): { texts: unknown[]; down: boolean } {
  const heard: { texts: unknown[]; down: boolean } = { texts: [], down: false }
  serversAnswer({
    [server.name]: ({ path, body }) => {
      if (heard.down) throw new TypeError('not now')
      if (!path.includes('/send/')) return undefined
      const pdus = own(body ?? {}, 'pdus')
      for (const pdu of Array.isArray(pdus) ? pdus : []) {
        const text: unknown = Reflect.get(Object(Reflect.get(Object(pdu), 'content')), 'body')
        if (text !== undefined) heard.texts.push(text)
      }
      return { pdus: {} }
    },
  })
  return heard
}

let transactions = 0
const deliver = (...events: Pdu[]) => {
  const pdus = events.map(({ json }) => json)
  const body = { origin: far.name, origin_server_ts: 1, pdus, edus: [] }
  return ok(far.ask<{ pdus: JsonObject }>('PUT', `/send/sticky${++transactions}`, body))
}
const synced = async (roomId: string, query: Parameters<typeof sync>[1] = {}) => {
  const { rooms, next_batch: since } = await sync(alice, query)
  return { room: rooms?.join?.[roomId], since }
}
/** Joins the room over its server, which answers for it from then on. */
async function joined(room: FarRoom, answer: (asked: Asked) => object | undefined = (asked) => room.answer(asked)) {
  serversAnswer({
    [far.name]: (each) => answer(each) ?? (each.path.includes('/send/') ? { pdus: {} } : undefined),
  })
  await ok(alice.post(`/join/${encodeURIComponent(room.roomId)}?via=${far.name}`))
}
const sticky = (body: string, more: { readonly stickyDuration?: number; readonly ts?: number } = {}) => ({
  type: 'm.room.message',
  content: { msgtype: 'm.text', body },
  stickyDuration: 10 * minute,
  ts: Date.now(),
  ...more,
})

describe('ours, for other servers', () => {
  test('go to a server that comes later, though not the rest of what was said before', async () => {
    const server = await otherServer('newcomer.test:8448')
    const heard = listening(server)
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    await ok(setState(alice, roomId, 'm.room.history_visibility', { history_visibility: 'joined' }))
    await stick(alice, roomId, 'first')
    for (let index = 0; index < 3; index++) await say(alice, roomId, 'talk')
    await stick(alice, roomId, 'over', { ms: 0 })
    await stick(alice, roomId, 'second')
    await joinOver(server, `@new:${server.name}`, roomId)
    await vi.waitFor(() => expect(heard.texts).toEqual(['first', 'second']), patience)
    // Another of its users is no news.
    await joinOver(server, `@other:${server.name}`, roomId)
    await say(alice, roomId, 'to both')
    await vi.waitFor(() => expect(heard.texts).toEqual(['first', 'second', 'to both']), patience)
  })

  test('go to a server that was asked for a user before, and to one that comes back', async () => {
    const server = await otherServer('again.test:8448')
    const heard = listening(server)
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    const user = `@back:${server.name}`
    await stick(alice, roomId, 'first')
    // A ban and its end are sent to their server, which then has heard of the room beyond what is sticky.
    await ok(alice.post(at(roomId, '/ban'), { user_id: user }))
    await ok(alice.post(at(roomId, '/unban'), { user_id: user }))
    await aMoment()
    await joinOver(server, user, roomId)
    await vi.waitFor(() => expect(heard.texts).toEqual(['first']), patience)
    await ok(alice.post(at(roomId, '/kick'), { user_id: user }))
    await stick(alice, roomId, 'while they were away')
    await joinOver(server, user, roomId)
    await vi.waitFor(() => expect(heard.texts).toContain('while they were away'), patience)
  })

  test('are given whole to who asks for them, of whatever time they are, for as long as they are sticky', async () => {
    const server = await otherServer('asking.test:8448')
    listening(server)
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    await ok(setState(alice, roomId, 'm.room.history_visibility', { history_visibility: 'joined' }))
    const [secret, call] = [await say(alice, roomId, 'secret'), await stick(alice, roomId, 'call')]
    await joinOver(server, `@asking:${server.name}`, roomId)
    const contentOf = async (eventId: string) => {
      const { pdus } = await ok(server.ask<{ pdus: JsonObject[] }>('GET', `/event/${encodeURIComponent(eventId)}`))
      return own(pdus[0] ?? {}, 'content')
    }
    expect(await contentOf(secret)).toEqual({})
    expect(await contentOf(call)).toMatchObject({ body: 'call' })
    await later(roomId, hour)
    expect(await contentOf(call)).toEqual({})
  })

  test('are not among what is left out for a server that was away', async () => {
    const server = await otherServer('away.test:8448')
    const heard = listening(server)
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    await joinOver(server, `@away:${server.name}`, roomId)
    heard.down = true
    await stick(alice, roomId, 'sticky')
    for (let index = 0; index < 60; index++) await say(alice, roomId, `talk ${index}`)
    heard.down = false
    // Any request of theirs is a sign of life.
    await vi.waitFor(async () => {
      await server.ask('GET', `/query/profile?user_id=${encodeURIComponent(alice.userId)}`)
      expect(heard.texts).toContain('talk 59')
    }, patience)
    expect(heard.texts).toEqual(['sticky', ...Array.from({ length: 50 }, (_, index) => `talk ${index + 10}`)])
  })
})

describe('those of others', () => {
  test('come to us, and last no longer than they may', async () => {
    const room = new FarRoom(far)
    await joined(room)
    const { since } = await synced(room.roomId)
    const lasting = room.add(sticky('from the future', { ts: Date.now() + hour / 2, stickyDuration: 5 * minute }))
    const day = room.add(sticky('for a day', { stickyDuration: 24 * hour }))
    const old = room.add(sticky('over', { ts: Date.now() - 20 * minute }))
    await deliver(lasting, day, old)
    const { room: shown } = await synced(room.roomId, { since, filter: { room: { timeline: { limit: 1 } } } })
    expect(shownIn(shown)).toEqual(['over'])
    expect(stickyIn(shown)).toEqual(['from the future', 'for a day'])
    const left = async ({ event_id }: Pdu) =>
      (await event(alice, room.roomId, event_id)).body.unsigned['msc4354_sticky_duration_ttl_ms']
    expect(await left(lasting)).toBeLessThanOrEqual(5 * minute)
    expect(await left(day)).toBeLessThanOrEqual(hour)
    expect(await left(day)).toBeGreaterThan(hour - 5 * minute)
    expect(await left(old)).toBeUndefined()
  })

  test.each([-1, 1.5, Number.MAX_SAFE_INTEGER])('that say they last %d harm nobody', async (duration) => {
    const room = new FarRoom(far, '11')
    await joined(room)
    const { since } = await synced(room.roomId)
    const template = room.build({ type: 'm.room.message', content: { body: 'odd' }, ts: Date.now() }).json
    if (!Number.isInteger(duration))
      return expect(() => signedBy(far, '11', { ...template, msc4354_sticky: { duration_ms: duration } })).toThrow()
    const odd = signedBy(far, '11', { ...template, msc4354_sticky: { duration_ms: duration } })
    room.place(odd)
    await deliver(odd)
    const { room: shown } = await synced(room.roomId, { since, filter: { room: { timeline: { types: ['none'] } } } })
    expect(stickyIn(shown)).toEqual(duration > 0 ? ['odd'] : [])
  })

  test('that were said before we came find their place, and no history visibility hides them', async () => {
    const room = new FarRoom(far)
    room.add({ type: 'm.room.history_visibility', stateKey: '', content: { history_visibility: 'joined' } })
    room.say('secret')
    const before = room.add(sticky('call'))
    room.say('more')
    await joined(room)
    const { since } = await synced(room.roomId)
    await deliver(before)
    await vi.waitFor(async () => {
      const { room: shown } = await synced(room.roomId, { since })
      expect(stickyIn(shown)).toEqual(['call'])
      expect(shownIn(shown)).toEqual([])
    }, patience)
  })

  test('that were said before we came leave the timeline as it is', async () => {
    const room = new FarRoom(far)
    room.say('long ago')
    const [first, second] = [room.add(sticky('first')), room.add(sticky('second'))]
    room.say('more')
    await joined(room)
    const { since } = await synced(room.roomId)
    const [old, now] = [room.add(sticky('over', { ts: Date.now() - hour })), room.say('now')]
    await deliver(old, now)
    await deliver(first, second)
    await vi.waitFor(async () => {
      const { room: shown } = await synced(room.roomId, { since })
      expect(stickyIn(shown)).toEqual(['first', 'second'])
      expect(shownIn(shown)).toEqual(['over', 'now'])
      expect(shown?.timeline?.limited).toBe(false)
    }, patience)
    const { chunk } = await ok(alice.get<{ chunk: JsonObject[] }>(at(room.roomId, '/messages?dir=b&limit=50')))
    const texts = chunk.flatMap(({ content }) => own(Object(content), 'body') ?? [])
    expect(texts).toEqual(['now', 'over', 'more', 'second', 'first', 'long ago'])
  })

  test('that are sent while we are still entering wait for that', async () => {
    const room = new FarRoom(far)
    const before = room.add(sticky('call'))
    let sent: Promise<unknown> = Promise.resolve()
    await joined(room, (asked) => {
      if (asked.path.includes('/send_join/')) sent = deliver(before)
      return room.answer(asked)
    })
    await sent
    await vi.waitFor(async () => {
      const { room: shown } = await synced(room.roomId)
      expect([...stickyIn(shown), ...shownIn(shown)]).toContain('call')
    }, patience)
  })

  test('that are found in the past are told at once', async () => {
    const room = new FarRoom(far)
    room.add(sticky('call'))
    room.say('more')
    await joined(room)
    const { since } = await synced(room.roomId)
    const waiting = synced(room.roomId, { since, timeout: long })
    await aMoment()
    await ok(alice.get(at(room.roomId, '/messages?dir=b&limit=50')))
    const { room: shown } = await waiting
    expect(stickyIn(shown)).toEqual(['call'])
  })
})

describe('a soft failure', () => {
  const outcomeOf = (roomId: string, eventId: string) =>
    runInDurableObject(env.ROOM.get(env.ROOM.idFromName(roomId)), (_, { storage }) =>
      storage.sql.exec('SELECT outcome, pos FROM events WHERE event_id = ?', eventId).toArray(),
    )

  test('of a sticky event ends when its sender may speak again', async () => {
    const server = await otherServer('softly.test:8448')
    listening(server)
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    const bob = await registerUser('farsticky-bob')
    await join(bob, roomId)
    const user = `@carol:${server.name}`
    const carol = await joinOver(server, user, roomId)
    const { since } = await synced(roomId)
    // What they say, and what was done to them, do not know of each other.
    const template = await ok(
      server.ask<{ event: JsonObject }>(
        'GET',
        `/make_join/${encodeURIComponent(roomId)}/${encodeURIComponent(user)}?ver=12`,
      ),
    )
    const state = await ok(alice.get<{ event_id: string; type: string }[]>(at(roomId, '/state')))
    const authEvents = state.filter(({ type }) => type === 'm.room.power_levels').map(({ event_id }) => event_id)
    const fork = (body: string, more: JsonObject) => {
      const { state_key: _, ...rest } = template.event
      return signedBy(server, '12', {
        ...rest,
        type: 'm.room.message',
        content: { msgtype: 'm.text', body },
        origin_server_ts: Date.now(),
        prev_events: [carol.event_id],
        auth_events: [...authEvents, carol.event_id],
        depth: carol.depth + 1,
        ...more,
      })
    }
    await ok(alice.post(at(roomId, '/kick'), { user_id: user }))
    const [call, talk] = [fork('call', { msc4354_sticky: { duration_ms: 10 * minute } }), fork('talk', {})]
    const body = { origin: server.name, origin_server_ts: 1, pdus: [call.json, talk.json], edus: [] }
    expect(await ok(server.ask('PUT', '/send/soft1', body))).toEqual({
      pdus: { [call.event_id]: {}, [talk.event_id]: {} },
    })
    expect(await outcomeOf(roomId, call.event_id)).toEqual([{ outcome: 1, pos: null }])
    const out = await synced(roomId, { since })
    expect([...shownIn(out.room), ...stickyIn(out.room)]).not.toContain('call')
    expect((await event(alice, roomId, call.event_id)).status).toBe(404)

    await ok(alice.put(at(roomId, '/state/m.room.topic/'), { topic: 'no matter' }))
    expect(await outcomeOf(roomId, call.event_id)).toEqual([{ outcome: 1, pos: null }])

    const waiting = synced(roomId, {
      since: out.since,
      timeout: long,
      filter: { room: { timeline: { types: ['none'] } } },
    })
    await aMoment()
    await joinOver(server, user, roomId)
    await waiting
    const back = await synced(roomId, { since: out.since })
    expect(stickyIn(back.room)).toEqual(['call'])
    expect(shownIn(back.room)).not.toContain('call')
    expect(await outcomeOf(roomId, talk.event_id)).toEqual([{ outcome: 1, pos: null }])
    expect((await event(alice, roomId, call.event_id)).body).toMatchObject({ content: { body: 'call' } })
    const { chunk } = await ok(bob.get<{ chunk: JsonObject[] }>(at(roomId, '/messages?dir=b&limit=20')))
    expect(chunk.filter(({ event_id }) => event_id === call.event_id)).toHaveLength(1)
    // A newcomer gets it as well.
    expect(stickyIn((await synced(roomId)).room)).toEqual(['call'])
  })
})
