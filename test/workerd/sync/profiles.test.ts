/** Other people's profiles over `/sync` (MSC4429): who hears of which fields, and when. */
import { evictDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { countOf } from './profile-rows.ts'
import { aMoment, createRoom, join, leave, long, say, sync, type SyncBody } from './syncing.ts'

type Updates = Readonly<Record<string, { readonly profile_updates: Readonly<Record<string, unknown>> | null }>>
type Told = SyncBody & { readonly 'org.matrix.msc4429.users'?: Updates }

const status = 'org.matrix.msc4426.status'
const busy = { text: 'Swimming', emoji: '🏊' }
const follow = (...ids: string[]) => ({ 'org.matrix.msc4429.profile_fields': { ids } })
const lazily = (...ids: string[]) => ({ ...follow(...ids), room: { state: { lazy_load_members: true } } })

const fieldPath = ({ userId }: User, name: string) => `/profile/${encodeURIComponent(userId)}/${name}`
async function set(user: User, name: string, value: unknown): Promise<void> {
  const answer = await user.put(fieldPath(user, name), { [name]: value })
  expect(answer.status, answer.text).toBe(200)
}

/** A client that follows fields, and hears until something of profiles comes. */
function follower(user: User, filter: object | string) {
  let since: string | undefined
  const next = async (timeout = 0): Promise<Updates> => {
    const answer: Told = await sync(user, { ...(since === undefined ? {} : { since }), filter, timeout })
    since = answer.next_batch
    return answer['org.matrix.msc4429.users'] ?? {}
  }
  return {
    next,
    /** Syncs until somebody's profile is told of. */
    async news(): Promise<Updates> {
      for (;;) {
        const told = await next(long)
        if (Object.keys(told).length > 0) return told
      }
    },
  }
}

let people = 0
async function pair(): Promise<{ alice: User; bob: User; room: string }> {
  people += 1
  const alice = await registerUser(`profiles-alice-${people}`)
  const bob = await registerUser(`profiles-bob-${people}`)
  const room = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, room)
  return { alice, bob, room }
}

test('is said to be there', async () => {
  const { alice } = await pair()
  const { body } = await alice.get<{ unstable_features: Record<string, boolean> }>('/_matrix/client/versions')
  expect(body.unstable_features).toMatchObject({ 'org.matrix.msc4429': true, 'org.matrix.msc4262': true })
})

describe('a client that follows a field', () => {
  test('gets what it is of everybody it shares a room with, and then each change of it', async () => {
    const { alice, bob } = await pair()
    const stranger = await registerUser(`profiles-stranger-${people}`)
    await set(alice, status, busy)
    await set(stranger, status, busy)
    const bobs = follower(bob, follow(status))
    expect(await bobs.next()).toEqual({ [alice.userId]: { profile_updates: { [status]: busy } } })
    expect(await bobs.next()).toEqual({})
    const waiting = bobs.news()
    await aMoment()
    await set(alice, 'm.tz', 'Europe/Berlin')
    await set(stranger, status, { text: 'other', emoji: '' })
    await set(alice, status, { text: 'back', emoji: '' })
    expect(await waiting).toEqual({ [alice.userId]: { profile_updates: { [status]: { text: 'back', emoji: '' } } } })
    await alice.delete(fieldPath(alice, status))
    expect(await bobs.news()).toEqual({ [alice.userId]: { profile_updates: { [status]: null } } })
  })

  test('hears the newest of several changes, once, by a stored filter too', async () => {
    const { alice, bob } = await pair()
    const { body } = await bob.post<{ filter_id: string }>(
      `/user/${encodeURIComponent(bob.userId)}/filter`,
      follow(status, 'displayname'),
    )
    const bobs = follower(bob, body.filter_id)
    const names = { [bob.userId]: { profile_updates: { displayname: expect.any(String) } } }
    expect(await bobs.next()).toMatchObject(names)
    await set(alice, status, { text: 'one', emoji: '' })
    await set(alice, status, { text: 'two', emoji: '' })
    await set(alice, 'displayname', 'Alice in Wonderland')
    const heard: Record<string, unknown> = {}
    while (heard['displayname'] === undefined || JSON.stringify(heard[status]) !== '{"text":"two","emoji":""}') {
      Object.assign(heard, (await bobs.news())[alice.userId]?.profile_updates)
    }
    expect(heard['displayname']).toBe('Alice in Wonderland')
    expect(await bobs.next()).toEqual({})
  })

  test('hears of its own user, by other devices, without any room', async () => {
    const user = await registerUser(`profiles-alone-${++people}`)
    const phone = follower(user, follow(status))
    expect(await phone.next()).toEqual({})
    await set(user, status, busy)
    expect(await phone.news()).toEqual({ [user.userId]: { profile_updates: { [status]: busy } } })
  })

  test('gets it whole when it begins with a token that it had already', async () => {
    const { alice, bob } = await pair()
    const { next_batch: since } = await sync(bob)
    await set(alice, status, busy)
    const first: Told = await sync(bob, { since, filter: follow(status) })
    expect(first['org.matrix.msc4429.users']).toEqual({ [alice.userId]: { profile_updates: { [status]: busy } } })
    const second: Told = await sync(bob, { since: first.next_batch, filter: follow(status) })
    expect(second).not.toHaveProperty(['org.matrix.msc4429.users'])
  })

  test('of further fields hears what changed since its token, and nothing older', async () => {
    const { alice, bob } = await pair()
    await set(alice, 'org.example.old', 1)
    const { next_batch: since } = await sync(bob, { filter: follow(status) })
    await set(alice, 'm.tz', 'Asia/Tokyo')
    const wider = follow(status, 'm.tz', 'org.example.old')
    const expected = { [alice.userId]: { profile_updates: { 'm.tz': 'Asia/Tokyo' } } }
    const told: Told = await sync(bob, { since, filter: wider, timeout: long })
    expect(told['org.matrix.msc4429.users']).toEqual(expected)
  })

  test('gets it of who comes, and hears when somebody shares no room any more', async () => {
    const { alice, bob, room } = await pair()
    const carol = await registerUser(`profiles-carol-${people}`)
    await set(carol, status, busy)
    const bobs = follower(bob, follow(status))
    await bobs.next()
    await join(carol, room)
    expect(await bobs.news()).toEqual({ [carol.userId]: { profile_updates: { [status]: busy } } })
    const other = await createRoom(alice, { preset: 'public_chat' })
    await Promise.all([bob, carol].map((user) => join(user, other)))
    await bobs.next()
    await leave(carol, room)
    expect(await bobs.next()).toEqual({})
    await leave(carol, other)
    expect(await bobs.news()).toEqual({ [carol.userId]: { profile_updates: null } })
    await set(carol, status, { text: 'gone', emoji: '' })
    await aMoment()
    expect(await bobs.next()).toEqual({})
  })

  test('gets profiles along with lazily loaded members only', async () => {
    const { alice, bob, room } = await pair()
    const quiet = await registerUser(`profiles-quiet-${people}`)
    await join(quiet, room)
    for (const user of [alice, quiet]) await set(user, status, busy)
    for (let n = 0; n < 12; n++) await say(alice, room, `${n}`)
    const filter = { ...lazily(status), room: { state: { lazy_load_members: true }, timeline: { limit: 3 } } }
    const bobs = follower(bob, filter)
    const first = await bobs.next()
    expect(Object.keys(first)).toContain(alice.userId)
    await say(quiet, room, 'me too')
    const heard = { ...first, ...(await bobs.next()) }
    expect(heard[quiet.userId]).toEqual({ profile_updates: { [status]: busy } })
    await say(quiet, room, 'again')
    expect(await bobs.next()).toEqual({})
  })

  test('hears nothing of those whom its user ignores', async () => {
    const { alice, bob } = await pair()
    const path = `/user/${encodeURIComponent(bob.userId)}/account_data/m.ignored_user_list`
    await bob.put(path, { ignored_users: { [alice.userId]: {} } })
    await set(alice, status, busy)
    const bobs = follower(bob, follow(status))
    expect(await bobs.next()).toEqual({})
    await set(alice, status, { text: 'hello?', emoji: '' })
    await set(bob, status, busy)
    expect(Object.keys(await bobs.news())).toEqual([bob.userId])
  })

  test('misses nothing when the object of the one who changed it dies', async () => {
    const { alice, bob } = await pair()
    const bobs = follower(bob, follow(status))
    await bobs.next()
    await set(alice, status, busy)
    await evictDurableObject(env.USER_SYNC.get(env.USER_SYNC.idFromName(alice.userId)))
    expect(await bobs.news()).toEqual({ [alice.userId]: { profile_updates: { [status]: busy } } })
  })
})

describe('a client that follows nothing', () => {
  let alice: User
  let bob: User

  beforeAll(async () => {
    ;({ alice, bob } = await pair())
  })

  test('hears nothing, and nothing is kept for it', async () => {
    const bobs = follower(bob, {})
    await bobs.next()
    const alices = follower(alice, follow(status))
    await alices.next()
    await set(alice, status, busy)
    // Told to everybody by the time that Alice's own client hears of it, or soon after.
    await alices.news()
    await aMoment()
    expect(await bobs.next()).toEqual({})
    expect(await countOf(bob.userId, 'profile_changes')).toBe(0)
    expect(await countOf(alice.userId, 'profile_changes')).toBe(1)
  })
})

describe('fields', () => {
  test('of a status are bounded', async () => {
    const { alice } = await pair()
    for (const value of [
      { text: 'x'.repeat(257), emoji: '' },
      { text: '', emoji: 'x'.repeat(33) },
    ]) {
      const answer = await alice.put(fieldPath(alice, status), { [status]: value })
      expect(answer).toMatchObject({ status: 400, body: { errcode: 'M_TOO_LARGE' } })
    }
    await set(alice, status, { text: 'x'.repeat(256), emoji: 'x'.repeat(32) })
  })

  test('are named by text, not too many, and by no more of it than a waiting client may keep', async () => {
    const { alice } = await pair()
    const ask = (filter: object) => alice.get(`/sync?filter=${encodeURIComponent(JSON.stringify(filter))}`)
    const key = 'org.matrix.msc4429.profile_fields'
    const many = Array.from({ length: 101 }, (_, n) => `m.f${n}`)
    const long = Array.from({ length: 10 }, (_, n) => `m.${'f'.repeat(200)}${n}`)
    for (const wrong of [{ [key]: [] }, { [key]: { ids: [5] } }, { [key]: { ids: many } }, { [key]: { ids: long } }]) {
      expect((await ask(wrong)).status).toBe(400)
    }
    expect((await ask({ [key]: {} })).status).toBe(200)
    const path = `/user/${encodeURIComponent(alice.userId)}/filter`
    const { body } = await alice.post<{ filter_id: string }>(path, follow(...long))
    expect((await alice.get(`/sync?filter=${body.filter_id}`)).status).toBe(200)
  })
})
