/** Syncs that wait: sockets of a user's object, through hibernation, restarts and sign-out. */
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import { evictDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'

import { userSyncOf } from '../../../worker/sync/user-sync.ts'
import { waitForNews } from '../../../worker/sync/wait-for-news.ts'

const long = 20_000
const roomId = parseRoomId('!room:test.local') ?? fail('room')

function fail(what: string): never {
  throw new Error(what)
}

let users = 0
function newUser() {
  const userId: UserId = parseUserId(`@waiter${++users}:test.local`) ?? fail('user')
  const object = userSyncOf(env, userId)
  let pos = 0
  const request = { deviceId: 'D', fullState: false, includeLeave: false, wait: true }
  const wait = (since: string, deviceId = 'D', timeout = long) =>
    waitForNews(env, userId, { ...request, since, deviceId }, timeout)
  return {
    object,
    wait,
    tell: () => object.roomChanged({ roomId, pos: ++pos, typing: 0, membership: 'join' }),
    evict: (webSockets: 'hibernate' | 'close') =>
      evictDurableObject(env.USER_SYNC.get(env.USER_SYNC.idFromName(userId)), { webSockets }),
    async token(): Promise<string> {
      const news = await waitForNews(env, userId, { ...request, wait: false }, 0)
      return news.kind === 'read' && news.read.ok ? news.read.nextBatch : fail('no token')
    },
    /** Waits until the object itself is waiting, so that what follows finds it so. */
    async begin(since: string, deviceId?: string) {
      const news = wait(since, deviceId)
      await new Promise((resolve) => setTimeout(resolve, 30))
      return { news }
    },
  }
}

describe('a client that waits', () => {
  test('is answered when a room has something new, and not before', async () => {
    const alice = newUser()
    const { news } = await alice.begin(await alice.token())
    await alice.tell()
    expect(await news).toMatchObject({ kind: 'read', read: { ok: true, rooms: [{ roomId, from: null }] } })
  })

  test('is answered at once when something happened before it came', async () => {
    const alice = newUser()
    const since = await alice.token()
    await alice.tell()
    expect(await alice.wait(since, 'D', 0)).toMatchObject({ kind: 'read', read: { rooms: [{ roomId }] } })
  })

  test('gets a token for nothing when its time is over, and misses nothing with it', async () => {
    const alice = newUser()
    const news = await alice.wait(await alice.token(), 'D', 10)
    expect(news).toMatchObject({ kind: 'idle', idle: { keys: { oneTimeKeyCounts: {} } } })
    await alice.tell()
    const since = news.kind === 'idle' ? news.idle.nextBatch : fail('not idle')
    expect(await alice.wait(since)).toMatchObject({ kind: 'read', read: { rooms: [{ roomId }] } })
  })

  test('hears of account data, messages and device lists as well', async () => {
    const alice = newUser()
    const eve = parseUserId('@eve:test.local') ?? fail('eve')
    const changes = [
      () => alice.object.setAccountData({ type: 'x', content: { n: 1 } }),
      () => alice.object.sendToDevice({ deviceId: 'D', event: { sender: eve, type: 't', content: {} } }),
      () => alice.object.deviceListChanged({ userId: eve, left: false }),
    ]
    for (const change of changes) {
      const { news } = await alice.begin(await alice.token())
      await change()
      expect((await news).kind).toBe('read')
    }
  })

  test('goes on waiting when what happened is not for it', async () => {
    const alice = newUser()
    const { news } = await alice.begin(await alice.token())
    await alice.object.sendToDevice({ deviceId: 'E', event: { sender: '@eve:x', type: 't', content: {} } })
    await alice.object.setTag({ roomId, tag: 'u.gone' })
    await alice.tell()
    const answer = await news
    expect(answer).toMatchObject({ read: { toDevice: [], rooms: [{ roomId }] } })
  })

  test('is sent to ask again for what would not fit in a frame', async () => {
    const alice = newUser()
    const since = await alice.token()
    const { news } = await alice.begin(since)
    await alice.object.setAccountData({ type: 'x', content: { large: 'x'.repeat(2_000_000) } })
    expect(await news).toMatchObject({ kind: 'again', lost: false })
    expect(await alice.wait(since)).toMatchObject({ kind: 'read', read: { accountData: [{ type: 'x' }] } })
  })

  test('is not woken by a room that tells the same again', async () => {
    const alice = newUser()
    await alice.tell()
    const since = await alice.token()
    const news = alice.wait(since, 'D', 100)
    await alice.object.roomChanged({ roomId, pos: 1, typing: 0, membership: 'join' })
    expect((await news).kind).toBe('idle')
  })
})

describe('an object that restarts', () => {
  test('answers two hundred waiters, of which it remembered nothing', async () => {
    const alice = newUser()
    const since = await alice.token()
    const waiting = Array.from({ length: 200 }, (_, n) => alice.wait(since, `D${n % 25}`))
    await new Promise((resolve) => setTimeout(resolve, 300))
    await alice.evict('hibernate')
    await alice.tell()
    const answers = await Promise.all(waiting)
    expect(answers.filter((news) => news.kind === 'read' && news.read.ok && news.read.rooms.length === 1)).toHaveLength(
      200,
    )
  })

  test('makes its waiters ask again when it loses their sockets', async () => {
    const alice = newUser()
    const { news } = await alice.begin(await alice.token())
    await alice.evict('close')
    const lost = await news
    expect(lost).toMatchObject({ kind: 'again', lost: true })
    await alice.tell()
    const since = lost.kind === 'again' ? lost.idle.nextBatch : fail('not lost')
    expect(await alice.wait(since)).toMatchObject({ kind: 'read', read: { rooms: [{ roomId }] } })
  })
})

describe('a device', () => {
  test('that was signed out is told so while it waits, and ever after', async () => {
    const alice = newUser()
    const since = await alice.token()
    const { news } = await alice.begin(since)
    const other = await alice.begin(since, 'E')
    await alice.object.endDevice('D')
    const refused = { kind: 'read', read: { ok: false, reason: 'unknown_token' } }
    expect(await news).toEqual(refused)
    expect(await alice.wait(since)).toEqual(refused)
    await alice.tell()
    expect(await other.news).toMatchObject({ kind: 'read', read: { ok: true } })
  })

  test('that signs in again under the same name is welcome', async () => {
    const alice = newUser()
    await alice.object.endDevice('D')
    await alice.object.deviceAdded('D')
    expect(await alice.token()).toMatch(/^s/)
  })

  test('with too many waiters gets the oldest answered, without news', async () => {
    const alice = newUser()
    const since = await alice.token()
    const first = await alice.begin(since)
    const others = [1, 2, 3, 4, 5, 6, 7].map(() => alice.wait(since))
    const neighbour = await alice.begin(since, 'E')
    const last = await alice.begin(since)
    expect((await first.news).kind).toBe('idle')
    await alice.tell()
    for (const news of [...others, neighbour.news, last.news]) expect((await news).kind).toBe('read')
  })
})

test('a token of /sync can be read as a position of a room', async () => {
  const alice = newUser()
  const before = await alice.token()
  await alice.tell()
  await alice.tell()
  const after = await alice.token()
  expect(await alice.object.roomPosition({ roomId, token: after })).toEqual({ ok: true, pos: 2 })
  for (const token of [before, 'nonsense', 's1_0_0_other']) {
    expect(await alice.object.roomPosition({ roomId, token })).toMatchObject({ ok: false, reason: 'invalid_param' })
  }
})
