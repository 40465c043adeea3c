/** Connections: what is remembered for a client, for how long, and what it costs. */
import { createExecutionContext, evictDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, test, vi } from 'vitest'

import { createApp } from '../../../worker/app.ts'
import type { Env } from '../../../worker/env.ts'
import { login, registerUser, serverUrl, type User } from '../client.ts'
import { aMoment, createRoom, join, long, say } from '../sync/syncing.ts'
import { idsIn, messages, newest, path, type SlidBody, slide, slider, trySlide } from './sliding.ts'

let people = 0
const newcomer = () => registerUser(`conn-${++people}`)
const room = (user: User) => createRoom(user, { preset: 'public_chat' })
const evict = (user: User) => evictDurableObject(env.USER_SYNC.get(env.USER_SYNC.idFromName(user.userId)))
const unknownPos = { status: 400, body: { errcode: 'M_UNKNOWN_POS' } }

describe('a position', () => {
  test('is known through a restart, with everything that was given', async () => {
    const user = await newcomer()
    const its = await room(user)
    const client = slider(user, newest(5))
    await client.next()
    await evict(user)
    expect((await client.next()).rooms).toEqual({})
    await say(user, its, 'after')
    await evict(user)
    expect(messages((await client.next()).rooms[its])).toEqual(['after'])
  })

  test('of the past is unknown, and so is that of another device, connection or user', async () => {
    const [user, other] = [await newcomer(), await newcomer()]
    const its = await room(user)
    const client = slider(user, newest(5))
    const old = (await client.next()).pos
    for (const body of ['a', 'b']) {
      await say(user, its, body)
      await client.next()
    }
    const pos = client.pos ?? ''
    const second = await login(user)
    expect(await trySlide(user, newest(5), { pos: old })).toMatchObject(unknownPos)
    expect(await trySlide(second, newest(5), { pos })).toMatchObject(unknownPos)
    expect(await trySlide(other, newest(5), { pos })).toMatchObject(unknownPos)
    expect(await trySlide(user, { ...newest(5), conn_id: 'other' }, { pos })).toMatchObject(unknownPos)
    expect(await trySlide(user, newest(5), { pos: 's1_2_3' })).toMatchObject(unknownPos)
    expect((await slide(user, newest(5), { pos })).rooms).toEqual({})
  })

  test('ends when the connection begins anew, and others go on', async () => {
    const user = await newcomer()
    const its = await room(user)
    const [one, two] = [slider(user, { ...newest(5), conn_id: 'one' }), slider(user, { ...newest(5), conn_id: 'two' })]
    await one.next()
    await two.next()
    const anew = await slide(user, { ...newest(5), conn_id: 'one' })
    expect(anew.rooms[its]).toMatchObject({ initial: true })
    expect(await trySlide(user, { ...newest(5), conn_id: 'one' }, { pos: one.pos ?? '' })).toMatchObject(unknownPos)
    expect((await two.next()).rooms).toEqual({})
  })

  test('is forgotten when a device has too many connections', async () => {
    const user = await newcomer()
    const first = slider(user, { ...newest(1), conn_id: 'first' })
    await first.next()
    for (let n = 0; n < 10; n++) await slide(user, { ...newest(1), conn_id: `c${n}` })
    expect(await trySlide(user, { ...newest(1), conn_id: 'first' }, { pos: first.pos ?? '' })).toMatchObject(unknownPos)
  })

  test('ends with the device', async () => {
    const user = await newcomer()
    const client = slider(user, newest(5))
    await client.next()
    const waiting = trySlide(user, newest(5), { pos: client.pos ?? '', timeout: long })
    await aMoment()
    await user.post('/logout')
    expect(await waiting).toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } })
  })
})

describe('a client that waits', () => {
  const waitingThrough = async (webSockets: 'hibernate' | 'close') => {
    const user = await newcomer()
    const its = await room(user)
    const client = slider(user, newest(5))
    await client.next()
    const waiting = client.next(long)
    await aMoment()
    const object = env.USER_SYNC.get(env.USER_SYNC.idFromName(user.userId))
    await evictDurableObject(object, { webSockets })
    await say(user, its, 'awake')
    expect(messages((await waiting).rooms[its])).toEqual(['awake'])
    expect((await client.next()).rooms).toEqual({})
  }

  test('lets the object sleep, and is woken all the same', () => waitingThrough('hibernate'))
  test('goes on waiting when the object lost its sockets', () => waitingThrough('close'))
})

describe('a position in the body', () => {
  test('counts as one in the query does', async () => {
    const user = await newcomer()
    await room(user)
    const { pos } = await slide(user, newest(5))
    expect((await slide(user, { ...newest(5), pos, timeout: 0 })).rooms).toEqual({})
    expect(await trySlide(user, { ...newest(5), pos: 'none' })).toMatchObject(unknownPos)
  })
})

describe('a request that was given up', () => {
  test('does not count when the next one on its connection was answered', async () => {
    const user = await newcomer()
    const its = await room(user)
    const client = slider(user, newest(5))
    await client.next()
    const abandoned = client.again(long)
    await aMoment()
    const other = newest(5, { timeline_limit: 7 })
    const answer = await client.next(0, other)
    expect((await abandoned).pos).not.toBe(undefined)
    await say(user, its, 'x')
    expect(messages((await client.next(0, other)).rooms[its])).toEqual(['x'])
    expect(answer.rooms[its]).toMatchObject({ expanded_timeline: true })
  })
})

describe('a room that is busy while the client is away', () => {
  test('is where it belongs once the client is back, though it told only once', async () => {
    const user = await newcomer()
    const [first, second] = [await room(user), await room(user)]
    await join(await newcomer(), first)
    const speaker = await newcomer()
    await join(speaker, first)
    await join(speaker, second)
    // Nobody listens: each room tells the first message and no other.
    await say(speaker, first, '1')
    await say(speaker, second, '2')
    await say(speaker, first, '3')
    const client = slider(user, newest(1))
    expect(idsIn(await client.next())).toEqual([first])
    await say(speaker, second, '4')
    const answer = await client.next(long)
    expect(idsIn(answer)).toEqual([second])
    expect(messages(answer.rooms[second])).toContain('4')
  })
})

describe('a room that cannot be asked', () => {
  test('keeps nobody waiting, and comes with the next answer', async () => {
    const user = await newcomer()
    const [broken, whole] = [await room(user), await room(user)]
    const id = env.ROOM.idFromName(broken).toString()
    let left = 3
    const rooms = new Proxy(env.ROOM, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key)
        if (key !== 'get') return typeof value === 'function' ? value.bind(target) : value
        return (asked: DurableObjectId) => {
          if (asked.toString() === id && left-- > 0) throw new Error('the object cannot be reached')
          return target.get(asked)
        }
      },
    })
    const quiet = vi.spyOn(console, 'error').mockReturnValue()
    const headers = { Authorization: `Bearer ${user.accessToken}`, 'Content-Type': 'application/json' }
    const ask = async (query: string): Promise<SlidBody> => {
      const body = JSON.stringify(newest(5))
      const request = new Request(`${serverUrl}${path}?${query}`, { method: 'POST', headers, body })
      const response = await createApp().fetch(request, { ...env, ROOM: rooms }, createExecutionContext())
      expect(response.status).toBe(200)
      return response.json()
    }
    const first = await ask('')
    expect(Object.keys(first.rooms)).toEqual([whole])
    const second = await ask(`pos=${first.pos}`)
    expect(Object.keys(second.rooms)).toEqual([broken])
    expect(second.rooms[broken]).toMatchObject({ initial: true })
    quiet.mockRestore()
  })
})

/** The Worker's environment, counting calls. */
function counting() {
  const calls = { rooms: 0, users: 0, queries: 0 }
  const counted = <T extends object>(namespace: T, count: () => void): T =>
    new Proxy(namespace, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          if (key === 'get' || key === 'prepare' || key === 'batch') count()
          return value.apply(target, args)
        }
      },
    })
  const watched: Env = {
    ...env,
    ROOM: counted(env.ROOM, () => calls.rooms++),
    USER_SYNC: counted(env.USER_SYNC, () => calls.users++),
    DB: counted(env.DB, () => calls.queries++),
  }
  return { calls, env: watched }
}

describe('what it costs', () => {
  const ask = async (user: User, body: object, query: string) => {
    const { calls, env: counted } = counting()
    const headers = { Authorization: `Bearer ${user.accessToken}`, 'Content-Type': 'application/json' }
    const request = new Request(`${serverUrl}${path}?${query}`, { method: 'POST', headers, body: JSON.stringify(body) })
    const response = await createApp().fetch(request, counted, createExecutionContext())
    const answer: SlidBody = await response.json()
    return { calls, answer }
  }

  test('a poll in which nothing happens is one call to one object and no query', async () => {
    const user = await newcomer()
    await room(user)
    const first = await ask(user, newest(5), '')
    const idle = await ask(user, newest(5), `pos=${first.answer.pos}&timeout=30`)
    expect(idle.calls).toEqual({ rooms: 0, users: 1, queries: 0 })
    expect(idle.answer.lists?.['rooms']?.count).toBe(1)
  })

  test('a first screen asks the rooms it shows, and no others', async () => {
    const user = await newcomer()
    for (let n = 0; n < 12; n++) await room(user)
    const { calls } = await ask(user, newest(4), '')
    expect(calls).toMatchObject({ rooms: 4, users: 2 })
  })
})
