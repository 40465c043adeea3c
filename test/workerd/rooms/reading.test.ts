/** Reading rooms over HTTP: history, context, members, state of those who left. Spec: #getting-events-for-a-room. */
import { beforeAll, describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { at, type ClientEvent, createRoom, invite, join, ok, refused, say, setState, stateOf } from './rooms.ts'

interface Page {
  readonly start: string
  readonly end?: string
  readonly chunk: ClientEvent[]
  readonly state?: ClientEvent[]
}

let alice: User
let bob: User

beforeAll(async () => {
  alice = await registerUser('writer')
  bob = await registerUser('visitor')
})

const messages = (user: User, roomId: string, query = 'dir=b') => ok(user.get<Page>(at(roomId, `/messages?${query}`)))
const texts = (events: readonly ClientEvent[]) => events.map(({ type, content }) => content['body'] ?? type)
const since = async (user: User) => (await ok(user.get<{ next_batch: string }>('/sync?timeout=0'))).next_batch

describe('history', () => {
  test('is paged through both ways without losing or repeating anything', async () => {
    const roomId = await createRoom(alice)
    for (let i = 1; i <= 25; i++) await say(alice, roomId, `m${i}`)
    const walk = async (dir: 'b' | 'f') => {
      const seen: ClientEvent[] = []
      let from = ''
      for (;;) {
        const page = await messages(alice, roomId, `dir=${dir}&limit=7${from}`)
        seen.push(...page.chunk)
        if (page.end === undefined) return seen.map(({ event_id }) => event_id)
        from = `&from=${encodeURIComponent(page.end)}`
      }
    }
    const [backwards, forwards] = [await walk('b'), await walk('f')]
    expect(backwards).toEqual(forwards.toReversed())
    expect(new Set(forwards).size).toBe(forwards.length)
    expect(forwards.length).toBe(25 + 6)
  })

  test('continues from the tokens of sync, and stops at them', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    const before = await since(alice)
    await say(alice, roomId, 'one')
    const between = await since(alice)
    await say(alice, roomId, 'two')
    const token = encodeURIComponent(before)
    expect(texts((await messages(alice, roomId, `dir=f&from=${token}`)).chunk)).toEqual(['one', 'two'])
    const upTo = await messages(alice, roomId, `dir=f&from=${token}&to=${encodeURIComponent(between)}`)
    expect(texts(upTo.chunk)).toEqual(['one'])
    expect(texts((await messages(alice, roomId, `dir=b&limit=1&from=${encodeURIComponent(between)}`)).chunk)).toEqual([
      'one',
    ])
  })

  test('goes on behind the newest event, for who is in the room', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    await join(bob, roomId)
    const [then, bobsThen] = [await since(alice), await since(bob)]
    await say(alice, roomId, 'one')
    const on = (user: User, token = '') => messages(user, roomId, `dir=f&from=${encodeURIComponent(token)}`)
    const { chunk, end } = await on(alice, then)
    expect(texts(chunk)).toEqual(['one'])
    const nothing = await on(alice, end)
    expect(nothing.chunk).toEqual([])
    expect(nothing).not.toHaveProperty('end')
    await say(alice, roomId, 'two')
    expect(texts((await on(alice, end)).chunk)).toEqual(['two'])
    await ok(bob.post(at(roomId, '/leave')))
    const last = await on(bob, bobsThen)
    expect(texts(last.chunk)).toEqual(['one', 'two', 'm.room.member'])
    expect(last).not.toHaveProperty('end')
  })

  test('begins at the end that dir names, and has ten events unless told', async () => {
    const roomId = await createRoom(alice)
    for (let i = 1; i <= 12; i++) await say(alice, roomId, `m${i}`)
    expect(texts((await messages(alice, roomId, 'dir=b')).chunk)).toEqual(
      Array.from({ length: 10 }, (_, i) => `m${12 - i}`),
    )
    expect((await messages(alice, roomId, 'limit=1')).chunk).toMatchObject([{ type: 'm.room.create' }])
  })

  test('can be filtered, and brings the members whom lazy loading left out', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    await join(bob, roomId)
    await say(bob, roomId, 'bob says')
    await say(alice, roomId, 'alice says')
    const filter = (value: object) => `dir=b&filter=${encodeURIComponent(JSON.stringify(value))}`
    expect(
      texts((await messages(alice, roomId, filter({ senders: [bob.userId], types: ['m.room.message'] }))).chunk),
    ).toEqual(['bob says'])
    const lazy = await messages(alice, roomId, `${filter({ lazy_load_members: true })}&limit=1`)
    expect(lazy.state?.map(({ state_key }) => state_key)).toEqual([alice.userId])
  })

  test('leaves out what ignored users said, but not what they did', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    await join(bob, roomId)
    await say(bob, roomId, 'spam')
    const path = `/user/${encodeURIComponent(alice.userId)}/account_data/m.ignored_user_list`
    await ok(alice.put(path, { ignored_users: { [bob.userId]: {} } }))
    const { chunk } = await messages(alice, roomId, 'dir=b&limit=100')
    await ok(alice.put(path, { ignored_users: {} }))
    expect(texts(chunk)).not.toContain('spam')
    expect(chunk.some(({ state_key }) => state_key === bob.userId)).toBe(true)
  })

  test.each([
    ['dir=x', 'M_INVALID_PARAM'],
    ['dir=b&limit=-1', 'M_INVALID_PARAM'],
    ['dir=b&limit=many', 'M_INVALID_PARAM'],
    ['dir=b&limit=1e3', 'M_INVALID_PARAM'],
    ['dir=b&from=nonsense', 'M_INVALID_PARAM'],
    ['dir=b&to=p', 'M_INVALID_PARAM'],
    ['dir=b&filter={', 'M_NOT_JSON'],
    ['dir=b&filter=[]', 'M_BAD_JSON'],
    ['dir=b&filter={"types":"x"}', 'M_BAD_JSON'],
  ])('refuses ?%s', async (query, errcode) => {
    const roomId = await createRoom(alice)
    const asked = query.replaceAll(/[{}"[\]]/g, encodeURIComponent)
    expect(await alice.get(at(roomId, `/messages?${asked}`))).toMatchObject(refused(400, errcode))
  })

  test('may be asked for a thousand events, not for more', async () => {
    const roomId = await createRoom(alice)
    const { chunk } = await messages(alice, roomId, 'dir=b&limit=999999999999999')
    expect(chunk.length).toBe(6)
  })
})

describe('context', () => {
  test('shows what was before and after, and the state', async () => {
    const roomId = await createRoom(alice)
    const ids: string[] = []
    for (let i = 1; i <= 5; i++) ids.push(await say(alice, roomId, `m${i}`))
    const context = await ok(
      alice.get<{
        event: ClientEvent
        events_before: ClientEvent[]
        events_after: ClientEvent[]
        state: ClientEvent[]
        start: string
        end: string
      }>(at(roomId, `/context/${encodeURIComponent(ids[2] ?? '')}?limit=4`)),
    )
    expect(context.event.event_id).toBe(ids[2])
    expect(texts(context.events_before)).toEqual(['m2', 'm1'])
    expect(texts(context.events_after)).toEqual(['m4', 'm5'])
    expect(context.state.map(({ type }) => type)).toContain('m.room.create')
    const earlier = await messages(alice, roomId, `dir=b&limit=1&from=${encodeURIComponent(context.start)}`)
    expect(earlier.chunk[0]?.type).toBe('m.room.guest_access')
  })

  test('of an event one cannot see is not found', async () => {
    const roomId = await createRoom(alice)
    const eventId = await say(alice, roomId, 'secret')
    for (const path of ['/context/', '/event/']) {
      expect(await bob.get(at(roomId, path + encodeURIComponent(eventId)))).toMatchObject(refused(404, 'M_NOT_FOUND'))
      expect(await alice.get(at(roomId, `${path}$unknown:x`))).toMatchObject(refused(404, 'M_NOT_FOUND'))
      expect(await alice.get(at(roomId, `${path}nothing`))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    }
  })
})

describe('members', () => {
  const memberOf = ({ state_key, content: { membership } }: ClientEvent) =>
    typeof membership === 'string' ? `${state_key} ${membership}` : expect.fail()

  test('are listed, by membership, and as they were', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    await say(alice, roomId, 'hello')
    const then = await since(alice)
    await join(bob, roomId)
    await ok(bob.post(at(roomId, '/leave')))
    const list = async (query = '') =>
      (await ok(alice.get<{ chunk: ClientEvent[] }>(at(roomId, `/members${query}`)))).chunk.map(memberOf).toSorted()
    expect(await list()).toEqual([`${alice.userId} join`, `${bob.userId} leave`].toSorted())
    expect(await list('?membership=join')).toEqual([`${alice.userId} join`])
    expect(await list('?membership=leave')).toEqual([`${bob.userId} leave`])
    expect(await list('?not_membership=leave')).toEqual([`${alice.userId} join`])
    expect(await list(`?at=${encodeURIComponent(then)}`)).toEqual([`${alice.userId} join`])
    expect(await alice.get(at(roomId, '/members?membership=owner'))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await alice.get(at(roomId, '/members?at=nonsense'))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  })

  test('who are joined are listed for those who are', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    const members = (user: User) => user.get(at(roomId, '/joined_members'))
    await join(bob, roomId)
    const { joined } = await ok(alice.get<{ joined: Record<string, object> }>(at(roomId, '/joined_members')))
    const plain = (name: string) => ({ display_name: name, avatar_url: '' })
    expect(joined).toEqual({ [alice.userId]: plain('writer'), [bob.userId]: plain('visitor') })
    await ok(bob.post(at(roomId, '/leave')))
    expect(await members(bob)).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await ok(alice.get(`/_matrix/client/r0${at(roomId, '/joined_members')}`))
    await ok(setState(alice, roomId, 'm.room.history_visibility', { history_visibility: 'world_readable' }))
    expect(await members(bob)).toMatchObject(refused(403, 'M_FORBIDDEN'))
  })
})

describe('someone who left', () => {
  test('sees the room as it was then', async () => {
    const hidden = { type: 'm.room.history_visibility', content: { history_visibility: 'joined' } }
    const roomId = await createRoom(alice, { preset: 'public_chat', initial_state: [hidden] })
    await join(bob, roomId)
    await ok(setState(alice, roomId, 'm.room.name', { name: 'N1' }))
    await say(alice, roomId, 'M1')
    await ok(bob.post(at(roomId, '/leave')))
    const left = encodeURIComponent(await since(bob))
    await ok(setState(alice, roomId, 'm.room.name', { name: 'N2' }))
    await say(alice, roomId, 'M2')
    expect(await stateOf(bob, roomId, 'm.room.name')).toEqual({ name: 'N1' })
    expect(await stateOf(alice, roomId, 'm.room.name')).toEqual({ name: 'N2' })
    expect(texts((await messages(bob, roomId, `dir=b&limit=2&from=${left}`)).chunk)).toEqual(['m.room.member', 'M1'])
    expect((await messages(bob, roomId, `dir=f&limit=100&from=${left}`)).chunk).toEqual([])
  })
})

describe('a look at a room', () => {
  interface Look extends Page {
    readonly room_id: string
    readonly membership?: string
    readonly messages: Page
    readonly state: ClientEvent[]
    readonly visibility: string
  }

  test('shows members and, where the world may read, everybody what is there', async () => {
    const open = { type: 'm.room.history_visibility', content: { history_visibility: 'world_readable' } }
    const roomId = await createRoom(alice, { initial_state: [open], visibility: 'public' })
    await say(alice, roomId, 'one')
    await say(alice, roomId, 'two')
    const look = await ok(bob.get<Look>(at(roomId, '/initialSync?limit=2')))
    expect(look).toMatchObject({ room_id: roomId, visibility: 'public' })
    expect(look).not.toHaveProperty('membership')
    expect(texts(look.messages.chunk)).toEqual(['one', 'two'])
    expect(look.state.map(({ type }) => type)).toContain('m.room.create')
    const earlier = `dir=b&limit=1&from=${encodeURIComponent(look.messages.start)}`
    expect(texts((await messages(bob, roomId, earlier)).chunk)).toEqual(['m.room.history_visibility'])
    expect((await messages(bob, roomId, `dir=f&from=${encodeURIComponent(look.messages.end ?? '')}`)).chunk).toEqual([])
    await ok(alice.put(`/user/${encodeURIComponent(alice.userId)}${at(roomId, '/tags/work')}`, { order: 0.5 }))
    expect(await ok(alice.get<Look>(at(roomId, '/initialSync')))).toMatchObject({
      membership: 'join',
      account_data: [{ type: 'm.tag', content: { tags: { work: { order: 0.5 } } } }],
    })
  })

  test('is not for others', async () => {
    const roomId = await createRoom(alice)
    expect(await bob.get(at(roomId, '/initialSync'))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await invite(alice, roomId, bob)
    expect(await bob.get(at(roomId, '/initialSync'))).toMatchObject(refused(403, 'M_FORBIDDEN'))
  })
})
