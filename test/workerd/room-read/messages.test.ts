/** Pages of messages and the context of events. Spec: message_pagination.yaml, event_context.yaml. */
import type { JsonObject } from '#protocol/json/json.ts'
import { parseServerName } from '#protocol/identifiers/server-name.ts'
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { authorEvent } from '../../../durable-objects/room/author-event.ts'
import { sendEvent } from '../../../durable-objects/room/send-event.ts'
import { serverSightOf } from '../../../durable-objects/room/server-visibility.ts'
import { serverIdentity } from '../../../worker/server-identity.ts'
import { alice, bob, carol, join, mallory, publicRoom, rows, say, type TestRoom, withRoom } from '../room/rooms.ts'
import { change, eventIdOf, granted, pages, setState, setVisibility, texts } from './reading.ts'
import { allEvents, begin, receive, roomWithMallory } from './random-room.ts'

const backwards = { dir: 'b', limit: 10 } as const

async function sayAll(room: TestRoom, ...all: string[]): Promise<void> {
  for (const each of all) await say(room, alice, each)
}

describe('a page', () => {
  it('begins where it was asked to, and says where the next one begins', async () => {
    const room = await publicRoom()
    await sayAll(room, 'a', 'b', 'c', 'd')
    const first = granted(await room.rpc.messages({ reader: alice, dir: 'b', limit: 2 }))
    expect(texts(first.chunk)).toEqual(['d', 'c'])
    const second = granted(await room.rpc.messages({ reader: alice, dir: 'b', limit: 2, from: first.end ?? '' }))
    expect(texts(second.chunk)).toEqual(['b', 'a'])
    expect(second.start).toBe(first.end)
    const back = granted(await room.rpc.messages({ reader: alice, dir: 'f', limit: 10, from: first.end ?? '' }))
    expect(texts(back.chunk)).toEqual(['c', 'd'])
    const behind = granted(await room.rpc.messages({ reader: alice, dir: 'f', from: back.end ?? '', limit: 10 }))
    expect(behind).toMatchObject({ chunk: [] })
    expect(behind).not.toHaveProperty('end')
  })

  it('is not disturbed by what is said meanwhile', async () => {
    const room = await publicRoom()
    await sayAll(room, 'a', 'b', 'c')
    const first = granted(await room.rpc.messages({ reader: alice, dir: 'b', limit: 1 }))
    await sayAll(room, 'meanwhile')
    const rest = (await pages(room, alice, { dir: 'b', limit: 1, from: first.end ?? '' })).flat()
    expect(texts(rest)).toEqual(['b', 'a'])
  })

  it('has what a filter lets through, and its end is the end of that', async () => {
    const room = await publicRoom()
    await join(room, bob)
    await say(room, bob, 'from Bob')
    await sayAll(room, 'one', 'two')
    const content = { body: 'picture', url: 'mxc://test.local/picture' }
    granted(await room.rpc.sendEvent({ sender: alice, type: 'm.room.message', content }))
    await setState(room, 'm.room.topic', { topic: 'topic' })
    const filtered = async (filter: JsonObject) => {
      const page = granted(await room.rpc.messages({ reader: alice, ...backwards, filter }))
      expect(page).not.toHaveProperty('end')
      return page.chunk.map((event) => event.content['body'] ?? event.type)
    }
    expect(await filtered({ types: ['m.room.message'] })).toEqual(['picture', 'two', 'one', 'from Bob'])
    expect(await filtered({ types: ['*mess*'], not_senders: [bob] })).toEqual(['picture', 'two', 'one'])
    expect(await filtered({ senders: [bob], not_types: ['m.room.member'] })).toEqual(['from Bob'])
    expect(await filtered({ contains_url: true })).toEqual(['picture'])
    expect(await filtered({ types: ['m.room.t*'] })).toEqual(['m.room.topic'])
    expect(await filtered({ types: [] })).toEqual([])
    expect(await filtered({ not_rooms: [room.roomId] })).toEqual([])
    expect(await filtered({ rooms: [room.roomId], types: ['m.room.topic'] })).toEqual(['m.room.topic'])
  })

  it('is of bounded size, and of one event at least', async () => {
    const room = await publicRoom()
    const identity = await serverIdentity(env)
    await withRoom(room, (opened) => {
      for (let count = 0; count < 1100; count++) {
        const content = { body: `${count}` }
        granted(sendEvent(opened, identity, { sender: alice, type: 'm.room.message', content }, count))
      }
    })
    await room.evict()
    const ask = async (limit: number) => granted(await room.rpc.messages({ reader: alice, dir: 'b', limit }))
    expect((await ask(5000)).chunk).toHaveLength(1000)
    expect((await ask(0)).chunk).toHaveLength(1)
  })

  it('goes on past thousands of hidden events, a bounded number at a time', async () => {
    const room = await publicRoom()
    await setVisibility(room, 'joined')
    await change(room, 'join', bob)
    await say(room, bob, 'long ago')
    await change(room, 'leave', bob)
    const identity = await serverIdentity(env)
    await withRoom(room, (opened) => {
      for (let count = 0; count < 3500; count++) {
        const content = { body: 'not for Bob' }
        granted(sendEvent(opened, identity, { sender: alice, type: 'm.room.message', content }, count))
      }
    })
    await room.evict()
    await change(room, 'join', bob)
    for (const dir of ['b', 'f'] as const) {
      const all = await pages(room, bob, { dir, limit: 5 })
      expect(texts(all.flat())).toEqual(['long ago'])
      expect(JSON.stringify(all)).not.toContain('not for Bob')
      // One page had to give up, and was not taken for the last.
      expect(all.length).toBeGreaterThan(1)
    }
  })

  it('leaves out what ignored users say', async () => {
    const room = await publicRoom()
    await join(room, bob)
    await say(room, bob, 'noise')
    await say(room, alice, 'signal')
    const page = granted(await room.rpc.messages({ reader: alice, ...backwards, ignoredUsers: [bob] }))
    expect(texts(page.chunk)).toEqual(['signal'])
    expect(page.chunk.some(({ state_key }) => state_key === bob)).toBe(true)
  })

  it.each(['', 'now', 's1_0_0_abc', 't1', 'p1;DROP TABLE events'])('does not take %j for a token', async (token) => {
    const room = await publicRoom()
    const refused = { ok: false, reason: 'invalid_param' }
    expect(await room.rpc.messages({ reader: alice, ...backwards, from: token })).toMatchObject(refused)
    expect(await room.rpc.messages({ reader: alice, ...backwards, to: token })).toMatchObject(refused)
  })

  it('beyond all there is has nothing', async () => {
    const room = await publicRoom()
    for (const from of ['p99999', 't99999-99999']) {
      const page = granted(await room.rpc.messages({ reader: alice, dir: 'f', limit: 5, from }))
      expect(page).toMatchObject({ start: from, chunk: [] })
      expect(page).not.toHaveProperty('end')
    }
  })
})

describe('the context of an event', () => {
  it('is what was said before and after, with tokens at both ends', async () => {
    const room = await publicRoom()
    await sayAll(room, 'a', 'b')
    const eventId = eventIdOf(await say(room, alice, 'c'))
    await sayAll(room, 'd', 'e')
    const ask = (limit: number) => room.rpc.context({ reader: alice, deviceId: 'PHONE', eventId, limit })
    const context = granted(await ask(2))
    expect(texts(context.events_before)).toEqual(['b'])
    expect(texts([context.event])).toEqual(['c'])
    expect(texts(context.events_after)).toEqual(['d'])
    const page = async (dir: 'b' | 'f', from: string) =>
      texts(granted(await room.rpc.messages({ reader: alice, dir, from, limit: 2 })).chunk)
    expect(await page('b', context.start)).toEqual(['a'])
    expect(await page('f', context.end)).toEqual(['e'])
    expect(await page('f', context.start)).toEqual(['b', 'c'])
    const alone = granted(await ask(0))
    expect([alone.events_before, alone.events_after]).toEqual([[], []])
    expect(await page('b', alone.end)).toEqual(['c', 'b'])
    expect(granted(await ask(3)).events_after).toHaveLength(2)
  })

  it('has the state at its last event, as filtered', async () => {
    const room = await publicRoom()
    await setState(room, 'm.room.topic', { topic: 'then' })
    const eventId = eventIdOf(await say(room, alice, 'c'))
    await setState(room, 'm.room.topic', { topic: 'later' })
    const ask = { reader: alice, deviceId: 'PHONE', eventId, limit: 0 }
    const filter = { types: ['m.room.topic'] }
    const topics = granted(await room.rpc.context({ ...ask, filter })).state.map(({ content }) => content)
    expect(topics).toEqual([{ topic: 'then' }])
    const wider = granted(await room.rpc.context({ ...ask, limit: 2, filter }))
    expect(wider.state.map(({ content }) => content)).toEqual([{ topic: 'later' }])
    // "It is not applied to the event itself."
    expect(texts([wider.event])).toEqual(['c'])
  })
})

it('reads a position of the timeline without going through the room', async () => {
  const room = await publicRoom()
  const plan = async (query: string) => {
    const steps = await rows<{ detail: string }>(room, `EXPLAIN QUERY PLAN ${query}`)
    return steps.map(({ detail }) => detail).join('; ')
  }
  expect(await plan('SELECT * FROM events WHERE pos > 5 AND pos <= 9 ORDER BY pos DESC LIMIT 3')).toMatch(
    /^SEARCH events USING INDEX events_by_pos \(pos>\? AND pos<\?\)$/,
  )
  expect(
    await plan(
      'SELECT * FROM events WHERE outcome = 0 AND (depth, nid) <= (5, 9) ORDER BY depth DESC, nid DESC LIMIT 3',
    ),
  ).toMatch(/^SEARCH events USING INDEX events_by_depth \(\(?depth/)
  expect(
    await plan('SELECT * FROM events WHERE outcome = 0 AND (depth, nid) > (5, 9) ORDER BY depth, nid LIMIT 3'),
  ).toMatch(/^SEARCH events USING INDEX events_by_depth \(\(?depth/)
})

describe('another server', () => {
  const server = parseServerName('localhost:1')
  const elsewhere = parseServerName('localhost:2')
  if (!server || !elsewhere) throw new Error('no server names')

  it.each([
    ['joined', ['here', 'back']],
    ['invited', ['invited', 'here', 'back']],
    ['shared', ['before', 'invited', 'here', 'away', 'back']],
    ['world_readable', ['before', 'invited', 'here', 'away', 'back']],
  ])('may be given what its users may see: %s', async (visibility, expected) => {
    const room = await roomWithMallory()
    await setVisibility(room, visibility)
    await say(room, alice, 'before')
    const identity = await serverIdentity(env)
    await withRoom(room, (opened) => {
      const content = { membership: 'invite' }
      const draft = { type: 'm.room.member', stateKey: mallory, sender: alice, content, originServerTs: 0 }
      granted(opened.transactor.turn(() => authorEvent(opened, identity, draft)))
    })
    await room.evict()
    await say(room, alice, 'invited')
    const joins = () => withRoom(room, (opened) => begin(opened)).then(room.evict)
    await joins()
    await say(room, alice, 'here')
    await change(room, 'kick', mallory)
    await say(room, alice, 'away')
    await joins()
    await say(room, alice, 'back')
    await withRoom(room, (opened) => {
      const events = allEvents(opened)
      const seenBy = (name: typeof server) => {
        const view = serverSightOf(opened, name)
        return texts(events.filter((event) => view.mayRead(event)).map(({ pdu }) => ({ ...pdu.json, type: pdu.type })))
      }
      expect(seenBy(server)).toEqual(expected)
      expect(seenBy(elsewhere)).toEqual(visibility === 'world_readable' ? expected : [])
    })
  })

  it('is never given what was rejected', async () => {
    const room = await roomWithMallory()
    await setVisibility(room, 'world_readable')
    await withRoom(room, (opened) => {
      begin(opened)
      const prev = opened.reader.events(opened.reader.header().extremities)
      const view = serverSightOf(opened, server)
      const message = { type: 'm.room.message', content: {}, prev }
      const isGiven = (outcome: 0 | 1 | 2) => view.mayRead(receive(opened, { ...message, outcome }))
      // Soft-failed events are part of the DAG; other servers may have accepted them.
      expect([isGiven(0), isGiven(1), isGiven(2)]).toEqual([true, true, false])
    })
  })
})

it('tells Carol no more than Bob', async () => {
  const room = await publicRoom()
  await setVisibility(room, 'joined')
  await change(room, 'join', bob)
  await say(room, alice, 'for Bob')
  await change(room, 'join', carol)
  expect(texts((await pages(room, bob, backwards)).flat())).toEqual(['for Bob'])
  expect(texts((await pages(room, carol, backwards)).flat())).toEqual([])
})
