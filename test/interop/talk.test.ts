/** What people say to each other over two servers: all of it arrives, in order, and what came before can be read back. */
import { beforeAll, describe, expect, test, vi } from 'vitest'

import {
  agree,
  at,
  bodies,
  createRoom,
  everyWay,
  fieldOf,
  hears,
  history,
  inRoom,
  join,
  listAt,
  patience,
  type Person,
  person,
  position,
  say,
  sees,
  setState,
  stateOf,
  syncUntil,
  told,
} from './people.ts'

const numbered = (name: string, count: number) => Array.from({ length: count }, (_, index) => `${name} ${index}`)

describe.each(everyWay)(told, ({ version, of, from }) => {
  let alice: Person
  let bob: Person
  let roomId: string

  beforeAll(async () => {
    ;[alice, bob] = [await person(of, 'alice'), await person(from, 'bob')]
    roomId = await createRoom(alice, { preset: 'public_chat', room_version: version })
    await join(bob, roomId, alice)
    await sees(alice, roomId, bob, 'join')
  })

  test('500 messages, both ways at once, all there and in order', async () => {
    const [hers, his] = [numbered('alice', 250), numbered('bob', 250)]
    await Promise.all([say(alice, roomId, ...hers), say(bob, roomId, ...his)])
    const all = [...hers, ...his].toSorted()
    for (const reader of [alice, bob]) {
      await vi.waitFor(async () => expect((await bodies(reader, roomId)).toSorted()).toEqual(all), {
        ...patience,
        interval: 300,
      })
      const heard = await bodies(reader, roomId)
      expect(heard.filter((body) => body.startsWith('alice'))).toEqual(hers)
      expect(heard.filter((body) => body.startsWith('bob'))).toEqual(his)
    }
  })

  test('both change the state', async () => {
    const levels = await stateOf(alice, roomId, 'm.room.power_levels')
    const users = { ...Object(fieldOf(levels, 'users')), [bob.userId]: 50 }
    await setState(alice, roomId, 'm.room.power_levels', { ...Object(levels), users })
    await vi.waitFor(async () => {
      expect(at(await stateOf(bob, roomId, 'm.room.power_levels'), 'users', bob.userId)).toBe(50)
    }, patience)
    await setState(bob, roomId, 'm.room.topic', { topic: 'of Bob' })
    await setState(alice, roomId, 'm.room.name', { name: 'of Alice' })
    await setState(bob, roomId, 'org.example.part', { part: 1 }, 'ä key with / and spaces')
    await agree(roomId, alice, bob)
    expect(await stateOf(alice, roomId, 'm.room.topic')).toMatchObject({ topic: 'of Bob' })
    expect(await stateOf(bob, roomId, 'm.room.name')).toEqual({ name: 'of Alice' })
  })

  test('what is redacted is gone for both', async () => {
    const [hers] = await say(alice, roomId, 'a slip of alice')
    const [his] = await say(bob, roomId, 'a slip of bob')
    await hears(alice, roomId, 'a slip of bob')
    await hears(bob, roomId, 'a slip of alice')
    await alice.call('PUT', inRoom(roomId, `/redact/${hers}/mine`), { reason: 'slip' })
    await bob.call('PUT', inRoom(roomId, `/redact/${his}/mine`), {})
    // And one that another person takes back, who may.
    const [third] = await say(bob, roomId, 'a slip that alice sees')
    await hears(alice, roomId, 'a slip that alice sees')
    await alice.call('PUT', inRoom(roomId, `/redact/${third}/yours`), {})
    for (const reader of [alice, bob]) {
      for (const id of [hers, his, third]) {
        await vi.waitFor(async () => {
          const { json } = await reader.call('GET', inRoom(roomId, `/event/${id}`))
          expect(fieldOf(json, 'content')).toEqual({})
          expect(at(json, 'unsigned', 'redacted_because', 'type')).toBe('m.room.redaction')
        }, patience)
      }
    }
  })

  test('each sees the other type and read', async () => {
    for (const [one, other] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      const since = await position(other)
      await one.call('PUT', inRoom(roomId, `/typing/${encodeURIComponent(one.userId)}`), {
        typing: true,
        timeout: 20_000,
      })
      await syncUntil(other, since, (json) =>
        ephemeral(json, roomId, 'm.typing').find((event) => listAt(event, 'content', 'user_ids').includes(one.userId)),
      )
      await one.call('PUT', inRoom(roomId, `/typing/${encodeURIComponent(one.userId)}`), { typing: false })
      const [id = ''] = await say(other, roomId, `for ${one.localpart} to read`)
      await hears(one, roomId, `for ${one.localpart} to read`)
      await one.call('POST', inRoom(roomId, `/receipt/m.read/${id}`), {})
      await syncUntil(other, since, (json) =>
        ephemeral(json, roomId, 'm.receipt').find((event) => at(event, 'content', id, 'm.read', one.userId)),
      )
    }
  })

  test('who comes late reads what was said before, back to the beginning', async () => {
    const old = await createRoom(alice, { preset: 'public_chat', room_version: version })
    const before = numbered('before', 150)
    await say(alice, old, ...before)
    await setState(alice, old, 'm.room.topic', { topic: 'one' })
    await say(alice, old, 'last')
    await join(bob, old, alice)
    await vi.waitFor(async () => expect(await bodies(bob, old)).toEqual([...before, 'last']), patience)
    expect(await history(bob, old, 'm.room.create')).toHaveLength(1)
    expect((await history(bob, old, 'm.room.topic')).map((event) => at(event, 'content', 'topic'))).toEqual(['one'])
    await agree(old, alice, bob)
  })
})

function ephemeral(json: unknown, roomId: string, type: string): unknown[] {
  const events = listAt(json, 'rooms', 'join', roomId, 'ephemeral', 'events')
  return events.filter((event) => fieldOf(event, 'type') === type)
}
