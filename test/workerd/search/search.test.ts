/** Searching: what is found, by whom, in which order, and what is not. */
import type { JsonObject } from '#protocol/json/json.ts'
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, clientWith, registerUser, type User } from '../client.ts'
import { edit, ignore, redact } from '../relations/relating.ts'
import { at, type ClientEvent, createRoom, invite, join, ok, refused, say, setState } from '../rooms/rooms.ts'

interface Found {
  readonly count: number
  readonly highlights: string[]
  readonly results: {
    readonly rank?: number
    readonly result: ClientEvent
    readonly context?: {
      readonly start: string
      readonly end: string
      readonly events_before: ClientEvent[]
      readonly events_after: ClientEvent[]
      readonly profile_info?: Record<string, JsonObject>
    }
  }[]
  readonly state?: Record<string, ClientEvent[]>
  readonly groups?: Record<string, Record<string, { order: number; results: string[]; next_batch?: string }>>
  readonly next_batch?: string
}

const searchFor = async (user: Pick<User, 'post'>, term: string, more: JsonObject = {}, nextBatch?: string) => {
  const path = nextBatch === undefined ? '/search' : `/search?next_batch=${encodeURIComponent(nextBatch)}`
  const wish = { search_categories: { room_events: { search_term: term, order_by: 'recent', ...more } } }
  const answer = await ok(user.post<{ search_categories: { room_events: Found } }>(path, wish))
  return answer.search_categories.room_events
}
const texts = ({ results }: Found) => results.map(({ result }) => result.content['body'])
const ids = ({ results }: Found) => results.map(({ result }) => result.event_id)

let alice: User
let bob: User
let stranger: User

beforeAll(async () => {
  alice = await registerUser('searching-alice')
  bob = await registerUser('searching-bob')
  stranger = await registerUser('searching-stranger')
})

async function roomOfBoth(wishes: JsonObject = {}): Promise<string> {
  const roomId = await createRoom(alice, { preset: 'private_chat', ...wishes })
  await invite(alice, roomId, bob)
  await join(bob, roomId)
  return roomId
}

describe('what is found', () => {
  test('words in any order and case, longer words, phrases, other alphabets', async () => {
    const roomId = await createRoom(alice)
    const said = await say(alice, roomId, 'Die Brötchen sind im Ofen, 東京タワー')
    const only = { filter: { rooms: [roomId] } }
    for (const term of ['ofen brötchen', 'BROTCHEN', 'bröt', '"im Ofen"', '東京', 'タワー']) {
      expect(ids(await searchFor(alice, term, only)), term).toEqual([said])
    }
    for (const term of ['"Ofen im"', 'rötchen', 'Ofen Keller', '京東', 'OR', 'body:ofen', '*']) {
      expect(ids(await searchFor(alice, term, only)), term).toEqual([])
    }
    expect(await searchFor(alice, 'Ofen "im Ofen"', only)).toMatchObject({ count: 1, highlights: ['Ofen', 'im Ofen'] })
  })

  test('names and topics, by their keys', async () => {
    const roomId = await createRoom(alice, { name: 'Wombat house', topic: 'All about the platypus' })
    await say(alice, roomId, 'no wombat here')
    const found = async (term: string, ...keys: string[]) =>
      (await searchFor(alice, term, { keys, filter: { rooms: [roomId] } })).results.map(({ result }) => result.type)
    expect(await found('wombat', 'content.body', 'content.name')).toEqual(['m.room.message', 'm.room.name'])
    expect(await found('wombat', 'content.name')).toEqual(['m.room.name'])
    expect(await found('platypus', 'content.topic')).toEqual(['m.room.topic'])
    expect(await found('platypus', 'content.body')).toEqual([])
  })

  test('an edited message is found by what it says now; undone, by what it said', async () => {
    const roomId = await roomOfBoth()
    const only = { filter: { rooms: [roomId] } }
    const said = await say(alice, roomId, 'original zebra')
    const first = await edit(alice, roomId, said, 'changed giraffe')
    expect(ids(await searchFor(bob, 'giraffe', only))).toEqual([said])
    expect(ids(await searchFor(bob, 'zebra', only))).toEqual([])
    const second = await edit(alice, roomId, said, 'changed okapi')
    // Of another it is no edit.
    await edit(bob, roomId, said, 'changed quagga')
    expect(ids(await searchFor(bob, 'giraffe', only))).toEqual([])
    expect(ids(await searchFor(bob, 'okapi', only))).toEqual([said])
    expect(ids(await searchFor(bob, 'quagga', only))).toEqual([])
    await redact(alice, roomId, second)
    expect(ids(await searchFor(bob, 'giraffe', only))).toEqual([said])
    await redact(alice, roomId, first)
    expect(ids(await searchFor(bob, 'zebra', only))).toEqual([said])
    await edit(alice, roomId, said, 'changed lemur')
    await redact(alice, roomId, said)
    for (const term of ['zebra', 'giraffe', 'lemur']) expect(ids(await searchFor(bob, term, only))).toEqual([])
  })

  test('nothing in encrypted rooms, and no encrypted event', async () => {
    const roomId = await createRoom(alice)
    const only = { filter: { rooms: [roomId] } }
    await ok(alice.put(at(roomId, '/send/m.room.encrypted/t'), { body: 'hidden walrus', ciphertext: 'walrus' }))
    await say(alice, roomId, 'open walrus')
    expect(texts(await searchFor(alice, 'walrus', only))).toEqual(['open walrus'])
    await ok(setState(alice, roomId, 'm.room.encryption', { algorithm: 'm.megolm.v1.aes-sha2' }))
    expect(await searchFor(alice, 'walrus', only)).toMatchObject({ count: 0, results: [] })
  })

  test('filters narrow it', async () => {
    const [one, other] = [await roomOfBoth({ name: 'heron' }), await roomOfBoth()]
    const mine = await say(alice, one, 'heron one')
    const theirs = await say(bob, one, 'heron two')
    const elsewhere = await say(bob, other, 'heron three')
    const found = async (filter: JsonObject) => new Set(ids(await searchFor(alice, 'heron', { filter })))
    expect(await found({ rooms: [one], types: ['m.room.message'] })).toEqual(new Set([mine, theirs]))
    expect(await found({ rooms: [one], senders: [bob.userId] })).toEqual(new Set([theirs]))
    expect(await found({ not_rooms: [one], senders: [bob.userId] })).toEqual(new Set([elsewhere]))
    expect(await found({ rooms: [one], not_types: ['m.room.name'], not_senders: [bob.userId] })).toEqual(
      new Set([mine]),
    )
    expect(await found({ rooms: [one], types: ['m.room.*e'], contains_url: true })).toEqual(new Set())
    expect(await found({ rooms: [] })).toEqual(new Set())
    expect(await found({ rooms: ['!unknown:test.local'] })).toEqual(new Set())
  })

  test('a room brings the rooms it replaced', async () => {
    const roomId = await createRoom(alice, { room_version: '11' })
    const before = await say(alice, roomId, 'narwhal before')
    const { replacement_room: next } = await ok(
      alice.post<{ replacement_room: string }>(at(roomId, '/upgrade'), { new_version: '12' }),
    )
    const after = await say(alice, next, 'narwhal after')
    expect(ids(await searchFor(alice, 'narwhal', { filter: { rooms: [next] } }))).toEqual([after, before])
    expect(ids(await searchFor(alice, 'narwhal', { filter: { rooms: [roomId] } }))).toEqual([before])
    expect(ids(await searchFor(alice, 'narwhal', { filter: { rooms: [next], not_rooms: [roomId] } }))).toEqual([after])
  })
})

describe('what comes with it', () => {
  test('context, profiles, state', async () => {
    const roomId = await createRoom(alice)
    await ok(alice.put(`/profile/${encodeURIComponent(alice.userId)}/displayname`, { displayname: 'Alice then' }))
    const said = []
    for (const text of ['one', 'two', 'three badger', 'four', 'five']) said.push(await say(alice, roomId, text))
    const found = await searchFor(alice, 'badger', {
      filter: { rooms: [roomId] },
      include_state: true,
      event_context: { before_limit: 2, after_limit: 1, include_profile: true },
    })
    const context = found.results[0]?.context ?? expect.fail()
    const around = (events: ClientEvent[]) => events.map(({ content }) => content['body'])
    expect([around(context.events_before), around(context.events_after)]).toEqual([['two', 'one'], ['four']])
    expect(context.profile_info).toEqual({ [alice.userId]: { displayname: 'Alice then' } })
    expect(found.state?.[roomId]?.map(({ type }) => type)).toContain('m.room.create')
    const messages = (dir: string, from: string) =>
      ok(alice.get<{ chunk: ClientEvent[] }>(at(roomId, `/messages?dir=${dir}&from=${from}&limit=1`)))
    expect(around((await messages('f', context.end)).chunk)).toEqual(['five'])
    const plain = await searchFor(alice, 'badger', { filter: { rooms: [roomId] } })
    expect(plain.results[0]).not.toHaveProperty('context')
    expect(plain).not.toHaveProperty('state')
  })

  test('rank comes first where it is asked for, and by default', async () => {
    const roomId = await createRoom(alice)
    const much = await say(alice, roomId, 'ibis ibis ibis')
    const little = await say(alice, roomId, 'an ibis among very many other words that say nothing of birds at all')
    const by = async (order: JsonObject) => searchFor(alice, 'ibis', { filter: { rooms: [roomId] }, ...order })
    expect(ids(await by({ order_by: 'recent' }))).toEqual([little, much])
    const ranked = await by({ order_by: 'rank' })
    expect(ids(ranked)).toEqual([much, little])
    expect(ranked.results[0]?.rank).toBeGreaterThan(ranked.results[1]?.rank ?? Infinity)
    const { search_categories } = await ok(
      alice.post<{ search_categories: { room_events: Found } }>('/search', {
        search_categories: { room_events: { search_term: 'ibis', filter: { rooms: [roomId] } } },
      }),
    )
    expect(ids(search_categories.room_events)).toEqual([much, little])
  })
})

describe('pages', () => {
  test.each(['recent', 'rank'])('by %s, over several rooms, each result once', async (order) => {
    const word = `puffin${order}`
    const rooms = [await roomOfBoth(), await roomOfBoth(), await roomOfBoth()]
    const said: string[] = []
    for (let n = 0; n < 17; n++) said.push(await say(n % 2 ? alice : bob, rooms[n % 3] ?? '', `${word} ${n}`))
    const wish = { order_by: order, filter: { limit: 5 } }
    const pages: string[][] = []
    let next: string | undefined
    do {
      const page = await searchFor(alice, word, wish, next)
      expect(page.count).toBe(17)
      pages.push(ids(page))
      next = page.next_batch
    } while (next !== undefined && pages.length < 10)
    expect(pages.map((page) => page.length)).toEqual([5, 5, 5, 2])
    if (order === 'recent') expect(pages.flat()).toEqual(said.toReversed())
    else expect(new Set(pages.flat())).toEqual(new Set(said))
  })

  test('within a group', async () => {
    const rooms = [await roomOfBoth(), await roomOfBoth()]
    const said: Record<string, string[]> = { [alice.userId]: [], [bob.userId]: [] }
    const inRoom: string[] = []
    for (let n = 0; n < 12; n++) {
      const who = n % 3 === 0 ? bob : alice
      const id = await say(who, rooms[n % 2] ?? '', `cassowary ${n}`)
      said[who.userId]?.unshift(id)
      if (n % 2 === 0) inRoom.unshift(id)
    }
    const wish = { filter: { limit: 4 }, groupings: { group_by: [{ key: 'sender' }, { key: 'room_id' }] } }
    const first = await searchFor(alice, 'cassowary', wish)
    const groups = first.groups ?? expect.fail()
    expect(Object.keys(groups['room_id'] ?? {}).sort()).toEqual(rooms.toSorted())
    const follow = async (group: { results: string[]; next_batch?: string } | undefined) => {
      const all = [...(group?.results ?? [])]
      for (let next = group?.next_batch; next !== undefined;) {
        const page = await searchFor(alice, 'cassowary', wish, next)
        all.push(...ids(page))
        next = page.next_batch
      }
      return all
    }
    expect(await follow(groups['sender']?.[bob.userId])).toEqual(said[bob.userId])
    expect(await follow(groups['sender']?.[alice.userId])).toEqual(said[alice.userId])
    expect(await follow(groups['room_id']?.[rooms[0] ?? ''])).toEqual(inRoom)
  })

  test('tokens of other searches are refused', async () => {
    const roomId = await createRoom(alice)
    for (let n = 0; n < 3; n++) await say(alice, roomId, 'auk')
    const { next_batch } = await searchFor(alice, 'auk', { filter: { limit: 2, rooms: [roomId] } })
    const again = (term: string, token: string, more: JsonObject = {}) =>
      alice.post(`/search?next_batch=${encodeURIComponent(token)}`, {
        search_categories: {
          room_events: { search_term: term, order_by: 'recent', filter: { rooms: [roomId] }, ...more },
        },
      })
    const token = next_batch ?? expect.fail()
    expect(await again('auk', token)).toMatchObject({ status: 200 })
    expect(await again('other', token)).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await again('auk', token, { order_by: 'rank' })).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    for (const wrong of ['p5', 't1-1', 'nonsense', `${token}x`, btoa('["x",1,[]]')]) {
      expect((await again('auk', wrong)).status, wrong).toBe(400)
    }
  })
})

describe('who finds it', () => {
  test('only those who may read it', async () => {
    const roomId = await createRoom(alice, { preset: 'private_chat' })
    await ok(setState(alice, roomId, 'm.room.history_visibility', { history_visibility: 'joined' }))
    const before = await say(alice, roomId, 'kestrel before')
    const hidden = await say(alice, roomId, 'kestrel sandwich')
    await invite(alice, roomId, bob)
    await join(bob, roomId)
    const during = await say(alice, roomId, 'kestrel during')
    const edited = await say(alice, roomId, 'kestrel edited')
    await ok(bob.post(at(roomId, '/leave')))
    const after = await say(alice, roomId, 'kestrel after')
    await edit(alice, roomId, edited, 'peregrine later')
    expect(ids(await searchFor(alice, 'kestrel'))).toEqual([after, during, hidden, before])
    // He was there when it was said, and not when it was changed.
    expect(await searchFor(bob, 'kestrel')).toMatchObject({ count: 1, results: [{ result: { event_id: during } }] })
    expect(await searchFor(bob, 'peregrine')).toMatchObject({ count: 0, results: [] })
    expect(await searchFor(bob, 'sandwich')).toMatchObject({ count: 0, results: [] })
    for (const filter of [{}, { rooms: [roomId] }]) {
      expect(await searchFor(stranger, 'kestrel', { filter })).toMatchObject({ count: 0, results: [] })
    }
    await ok(bob.post(at(roomId, '/forget')))
    expect(await searchFor(bob, 'kestrel')).toMatchObject({ count: 0, results: [] })
  })

  test('a banned user finds what was before; an invited one nothing', async () => {
    const roomId = await roomOfBoth()
    const before = await say(alice, roomId, 'ocelot before')
    await ok(alice.post(at(roomId, '/ban'), { user_id: bob.userId }))
    await say(alice, roomId, 'ocelot after')
    await invite(alice, roomId, stranger)
    expect(ids(await searchFor(bob, 'ocelot'))).toEqual([before])
    expect(ids(await searchFor(stranger, 'ocelot'))).toEqual([])
  })

  test('nothing of people whom the reader ignores', async () => {
    const reader = await registerUser('searching-ignorer')
    const roomId = await createRoom(reader, { preset: 'public_chat' })
    await join(bob, roomId)
    const own = await say(reader, roomId, 'tapir mine')
    await say(bob, roomId, 'tapir theirs')
    await ignore(reader, bob)
    expect(await searchFor(reader, 'tapir')).toMatchObject({ count: 1, results: [{ result: { event_id: own } }] })
  })
})

describe('bad requests', () => {
  const wish = (room_events: unknown) => ({ search_categories: { room_events } })

  test('need a token', async () => {
    expect(await anonymous.post('/search', wish({ search_term: 'x' }))).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
    expect(await clientWith('wrong').post('/search', wish({ search_term: 'x' }))).toMatchObject(
      refused(401, 'M_UNKNOWN_TOKEN'),
    )
  })

  test('are not for guests', async () => {
    const { body } = await anonymous.post<{ access_token: string }>('/register?kind=guest')
    expect(await clientWith(body.access_token).post('/search', wish({ search_term: 'x' }))).toMatchObject(
      refused(403, 'M_GUEST_ACCESS_FORBIDDEN'),
    )
  })

  test.each([
    ['{', 'M_NOT_JSON'],
    [[], 'M_BAD_JSON'],
    [{}, 'M_MISSING_PARAM'],
    [{ search_categories: 7 }, 'M_BAD_JSON'],
    [wish({}), 'M_MISSING_PARAM'],
    [wish({ search_term: 7 }), 'M_BAD_JSON'],
    [wish({ search_term: 'x', keys: ['content.msgtype'] }), 'M_BAD_JSON'],
    [wish({ search_term: 'x', order_by: 'size' }), 'M_BAD_JSON'],
    [wish({ search_term: 'x', filter: [] }), 'M_BAD_JSON'],
    [wish({ search_term: 'x', filter: { rooms: 'all' } }), 'M_BAD_JSON'],
    [wish({ search_term: 'x', event_context: { before_limit: -1 } }), 'M_BAD_JSON'],
    [wish({ search_term: 'x', event_context: { before_limit: 1.5 } }), 'M_BAD_JSON'],
    [wish({ search_term: 'x', groupings: { group_by: [{ key: 'type' }] } }), 'M_BAD_JSON'],
    [wish({ search_term: 'x'.repeat(1001) }), 'M_INVALID_PARAM'],
    [wish({ search_term: 'x '.repeat(40) }), 'M_INVALID_PARAM'],
  ])('%j', async (body, errcode) => {
    expect(await alice.post('/search', body)).toMatchObject(refused(400, errcode))
  })

  test('nothing wanted, nothing found', async () => {
    expect(await alice.post('/search', { search_categories: {} })).toMatchObject({
      status: 200,
      body: { search_categories: {} },
    })
    expect(await searchFor(alice, '   ')).toMatchObject({ count: 0, highlights: [], results: [] })
  })
})
