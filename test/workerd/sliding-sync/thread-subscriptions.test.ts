/** Following threads: by hand, automatically, and what clients hear of it. */
import { beforeAll, describe, expect, test } from 'vitest'

import { type Answer, registerUser, type User } from '../client.ts'
import { aMoment, createRoom, join, long, say } from '../sync/syncing.ts'
import { slide } from './sliding.ts'

interface Changes {
  readonly subscribed?: Record<string, Record<string, { bump_stamp: number; automatic: boolean }>>
  readonly unsubscribed?: Record<string, Record<string, { bump_stamp: number }>>
  readonly prev_batch?: string
  readonly end?: string
}

let alice: User
let bob: User
let room: string
const extension = 'io.element.msc4308.thread_subscriptions'
const base = '/_matrix/client/unstable'

beforeAll(async () => {
  alice = await registerUser('threads-alice')
  bob = await registerUser('threads-bob')
  room = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, room)
})

const pathOf = (root: string, its = room) =>
  `${base}/io.element.msc4306/rooms/${encodeURIComponent(its)}/thread/${encodeURIComponent(root)}/subscription`
const subscribe = (user: User, root: string, body: object = {}) => user.put(pathOf(root), body)
const unsubscribe = (user: User, root: string) => user.delete(pathOf(root))
const list = (user: User, query = ''): Promise<Answer<Changes>> =>
  user.get<Changes>(`${base}/io.element.msc4308/thread_subscriptions?dir=b${query}`)

let replies = 0
async function reply(user: User, root: string): Promise<string> {
  const content = { msgtype: 'm.text', body: 'reply', 'm.relates_to': { rel_type: 'm.thread', event_id: root } }
  const path = `/rooms/${encodeURIComponent(room)}/send/m.room.message/reply${++replies}`
  return (await user.put<{ event_id: string }>(path, content)).body.event_id
}

async function changes(user: User, pos?: string, timeout = 0, limit = 100) {
  const query = pos === undefined ? {} : { pos, timeout }
  const answer = await slide(user, { extensions: { [extension]: { enabled: true, limit } } }, query)
  const found: Changes = Reflect.get(answer.extensions, extension) ?? {}
  return { pos: answer.pos, found }
}

describe('a subscription', () => {
  test('is there until it ends', async () => {
    const root = await say(alice, room, 'root')
    expect((await alice.get(pathOf(root))).status).toBe(404)
    expect((await subscribe(alice, root)).status).toBe(200)
    expect((await alice.get(pathOf(root))).body).toEqual({ automatic: false })
    expect((await bob.get(pathOf(root))).status).toBe(404)
    expect((await unsubscribe(alice, root)).status).toBe(200)
    expect((await alice.get(pathOf(root))).status).toBe(404)
  })

  test('made automatically needs a cause in the thread, and yields to a person', async () => {
    const root = await say(alice, room, 'root')
    const before = await reply(bob, root)
    expect((await subscribe(alice, root, { automatic: before })).status).toBe(200)
    expect((await alice.get(pathOf(root))).body).toEqual({ automatic: true })
    await unsubscribe(alice, root)
    const conflict = { status: 409, body: { errcode: 'IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION' } }
    expect(await subscribe(alice, root, { automatic: before })).toMatchObject(conflict)
    const after = await reply(bob, root)
    expect((await subscribe(alice, root, { automatic: after })).status).toBe(200)
    await subscribe(alice, root)
    await subscribe(alice, root, { automatic: after })
    expect((await alice.get(pathOf(root))).body).toEqual({ automatic: false })
    const elsewhere = await say(bob, room, 'not in the thread')
    const notThere = { status: 400, body: { errcode: 'IO.ELEMENT.MSC4306.M_NOT_IN_THREAD' } }
    expect(await subscribe(alice, root, { automatic: elsewhere })).toMatchObject(notThere)
  })

  test('is for events only that the user may see', async () => {
    const secret = await createRoom(bob)
    const root = await say(bob, secret, 'secret')
    expect((await alice.put(pathOf(root, secret), {})).status).toBe(404)
    expect((await alice.put(pathOf('$unknown'), {})).status).toBe(404)
    expect((await alice.put(pathOf('unknown'), {})).status).toBe(400)
    expect((await subscribe(alice, await say(bob, room, 'root'), { automatic: 5 })).status).toBe(400)
  })
})

describe('sliding sync', () => {
  test('tells what changed, once, and wakes who waits', async () => {
    const user = await registerUser('threads-listener')
    await join(user, room)
    const root = await say(alice, room, 'root')
    await subscribe(user, root)
    const first = await changes(user)
    const at = first.found.subscribed?.[room]?.[root]
    expect(at).toEqual({ automatic: false, bump_stamp: expect.any(Number) })
    const waiting = changes(user, first.pos, long)
    await aMoment()
    await unsubscribe(user, root)
    const { found, pos } = await waiting
    expect(found.unsubscribed?.[room]?.[root]?.bump_stamp).toBeGreaterThan(at?.bump_stamp ?? Infinity)
    expect(found).not.toHaveProperty('subscribed')
    expect((await changes(user, pos)).found).toEqual({})
  })

  test('leaves what is beyond the limit to the list', async () => {
    const user = await registerUser('threads-many')
    await join(user, room)
    const roots: string[] = []
    for (let n = 0; n < 5; n++) {
      const root = await say(alice, room, `root ${n}`)
      roots.push(root)
      await subscribe(user, root)
    }
    const idsOf = ({ subscribed }: Changes) => Object.keys(subscribed?.[room] ?? {})
    const { found } = await changes(user, undefined, 0, 2)
    expect(new Set(idsOf(found))).toEqual(new Set(roots.slice(3)))
    const page = await list(user, `&limit=2&from=${found.prev_batch}`)
    expect(new Set(idsOf(page.body))).toEqual(new Set(roots.slice(1, 3)))
    const last = await list(user, `&limit=2&from=${page.body.end}`)
    expect(idsOf(last.body)).toEqual(roots.slice(0, 1))
    expect(last.body).not.toHaveProperty('end')
  })

  test('has both kinds in its list, also those of which there are none', async () => {
    const user = await registerUser('threads-none')
    expect((await list(user)).body).toEqual({ subscribed: {}, unsubscribed: {} })
    await join(user, room)
    const root = await say(alice, room, 'one kind')
    await subscribe(user, root)
    expect((await list(user)).body).toMatchObject({ subscribed: { [room]: { [root]: {} } }, unsubscribed: {} })
  })

  test('gives a position that the list takes as its end', async () => {
    const user = await registerUser('threads-until')
    await join(user, room)
    await subscribe(user, await say(alice, room, 'old'))
    const { pos } = await changes(user)
    const root = await say(alice, room, 'new')
    await subscribe(user, root)
    expect(Object.keys((await list(user, `&to=${pos}`)).body.subscribed?.[room] ?? {})).toEqual([root])
    for (const query of ['&to=x', '&from=x', '&limit=0']) expect((await list(user, query)).status).toBe(400)
    expect((await user.get(`${base}/io.element.msc4308/thread_subscriptions?dir=f`)).status).toBe(400)
  })
})
