/** Rooms that cannot be asked: the rest of the answer goes out, and nothing of theirs is lost. */
import { createExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeEach, expect, test, vi } from 'vitest'

import { createApp } from '../../../worker/app.ts'
import type { Env } from '../../../worker/env.ts'
import { registerUser, serverUrl, type User } from '../client.ts'
import { bodies, createRoom, say, sync, type SyncBody } from './syncing.ts'

let alice: User
let broken: string
let whole: string
let users = 0

beforeEach(async () => {
  alice = await registerUser(`failure-${++users}`)
  broken = await createRoom(alice)
  whole = await createRoom(alice)
})

/** Syncs through a Worker that reaches one of the rooms only after so many attempts. */
async function syncWith(failures: number, query: string): Promise<SyncBody> {
  const id = env.ROOM.idFromName(broken).toString()
  let left = failures
  const unreliable: Env = {
    ...env,
    ROOM: new Proxy(env.ROOM, {
      get(target, key) {
        if (key === 'get') {
          return (asked: DurableObjectId) => {
            if (asked.toString() === id && left-- > 0) throw new Error('the object cannot be reached')
            return target.get(asked)
          }
        }
        const value: unknown = Reflect.get(target, key)
        return typeof value === 'function' ? value.bind(target) : value
      },
    }),
  }
  const headers = { Authorization: `Bearer ${alice.accessToken}` }
  const request = new Request(`${serverUrl}/_matrix/client/v3/sync?${query}`, { headers })
  const quiet = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  try {
    const response = await createApp().fetch(request, unreliable, createExecutionContext())
    expect(response.status).toBe(200)
    return await response.json()
  } finally {
    quiet.mockRestore()
  }
}

const timeline = (answer: SyncBody, room: string) => bodies(answer.rooms?.join?.[room]?.timeline)

test('a room that fails for a moment is asked again', async () => {
  const { next_batch } = await sync(alice)
  await say(alice, broken, 'one')
  expect(timeline(await syncWith(2, `since=${next_batch}`), broken)).toEqual(['one'])
})

test('a room that goes on failing comes later, from where the client stands', async () => {
  const { next_batch } = await sync(alice)
  await say(alice, broken, 'one')
  await say(alice, whole, 'other')
  const first = await syncWith(Infinity, `since=${next_batch}`)
  expect(timeline(first, whole)).toEqual(['other'])
  expect(first.rooms?.join).not.toHaveProperty([broken])
  const second = await syncWith(Infinity, `since=${first.next_batch}`)
  expect(second).not.toHaveProperty('rooms')
  await say(alice, broken, 'two')
  const third = await sync(alice, { since: second.next_batch })
  expect(timeline(third, broken)).toEqual(['one', 'two'])
  expect(await sync(alice, { since: third.next_batch })).not.toHaveProperty('rooms')
})

test('a room that fails in an initial sync comes in full afterwards', async () => {
  await say(alice, broken, 'one')
  const first = await syncWith(Infinity, '')
  expect(Object.keys(first.rooms?.join ?? {})).toEqual([whole])
  const second = await sync(alice, { since: first.next_batch })
  expect(Object.keys(second.rooms?.join ?? {})).toEqual([broken])
  expect(second.rooms?.join?.[broken]?.timeline?.events.map(({ type }) => type)).toContain('m.room.create')
})

test('a client that waits for a failing room is not answered in a hurry, nor forgotten', async () => {
  const { next_batch } = await sync(alice)
  await say(alice, broken, 'one')
  // Three attempts fail, then a pause, then it is reached.
  expect(timeline(await syncWith(3, `since=${next_batch}&timeout=20000`), broken)).toEqual(['one'])
})
