/** What rings of threads, for those whose client follows some, and for those whose client knows nothing of that. MSC4306. */
import { beforeAll, describe, expect, test, vi } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { refused } from '../rooms/rooms.ts'
import { createRoom, join, say, sync, type SyncedRoom } from '../sync/syncing.ts'
import { slide } from '../sliding-sync/sliding.ts'
import { openGateway, openNetwork } from './gateway.ts'

let names = 0
/** A test that is tried again needs others. */
const named = (name: string) => `${name}-${(names += 1)}`
let alice: User
let bob: User
let carol: User
let room: string
beforeAll(async () => {
  alice = await registerUser(named('thread-rules-alice'))
  bob = await registerUser(named('thread-rules-bob'))
  carol = await registerUser(named('thread-rules-carol'))
  room = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, room)
  await join(carol, room)
})

const subscription = (root: string) =>
  `/_matrix/client/unstable/io.element.msc4306/rooms/${encodeURIComponent(room)}/thread/${encodeURIComponent(root)}/subscription`
const follow = async (user: User, root: string) => expect((await user.put(subscription(root))).status).toBe(200)
const unfollow = async (user: User, root: string) => expect((await user.delete(subscription(root))).status).toBe(200)

let sent = 0
async function reply(user: User, root: string, more: object = {}): Promise<string> {
  const content = {
    msgtype: 'm.text',
    body: 'reply',
    'm.relates_to': { rel_type: 'm.thread', event_id: root },
    ...more,
  }
  const path = `/rooms/${encodeURIComponent(room)}/send/m.room.message/reply${(sent += 1)}`
  const { status, body } = await user.put<{ event_id: string }>(path, content)
  expect(status).toBe(200)
  return body.event_id
}

type Threads = Record<string, { notification_count: number; highlight_count: number }>
async function unread(user: User): Promise<{ main: number; threads: Threads }> {
  const filter = { room: { timeline: { unread_thread_notifications: true } } }
  const { rooms } = await sync(user, { filter })
  const found: SyncedRoom = rooms?.join?.[room] ?? {}
  return {
    main: found.unread_notifications?.notification_count ?? -1,
    threads: found.unread_thread_notifications ?? {},
  }
}
const times = (notification_count: number, highlight_count = 0) => ({ notification_count, highlight_count })

describe('the rules for threads', () => {
  interface Rule {
    readonly rule_id: string
    readonly enabled: boolean
  }
  const rulesOf = async (user: User) =>
    (await user.get<{ postcontent: Rule[] }>('/pushrules/global/')).body.postcontent.map(
      ({ rule_id, enabled }) => `${rule_id} ${enabled}`,
    )
  const both = (enabled: boolean) => [
    `.io.element.msc4306.rule.unsubscribed_thread ${enabled}`,
    `.io.element.msc4306.rule.subscribed_thread ${enabled}`,
  ]

  test('hold from the first thread on that a client follows, and clients hear of it', async () => {
    const user = await registerUser(named('thread-rules-user'))
    await join(user, room)
    expect(await rulesOf(user)).toEqual(both(false))
    const { next_batch: since } = await sync(user)
    const root = await say(alice, room, 'root')
    await follow(user, root)
    expect(await rulesOf(user)).toEqual(both(true))
    const { account_data: data } = await sync(user, { since })
    expect(data?.events.map(({ type }) => type)).toContain('m.push_rules')
    await unfollow(user, root)
    expect(await rulesOf(user)).toEqual(both(true))
  })

  test('are disabled and enabled by their owner, but neither made nor deleted', async () => {
    const user = await registerUser(named('thread-rules-owner'))
    const rule = '/pushrules/global/postcontent/.io.element.msc4306.rule.unsubscribed_thread'
    expect((await user.put(`${rule}/enabled`, { enabled: true })).status).toBe(200)
    expect((await user.get(`${rule}/enabled`)).body).toEqual({ enabled: true })
    const mine = await user.put('/pushrules/global/postcontent/mine', { actions: ['notify'] })
    expect(mine).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await user.delete(rule)).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  })
})

test('a followed thread counts, another does not, a mention does anyway', async () => {
  const [followed, other] = [await say(alice, room, 'one'), await say(alice, room, 'two')]
  await follow(bob, followed)
  await reply(alice, followed)
  await reply(alice, other)
  expect((await unread(bob)).threads).toEqual({ [followed]: times(1) })
  await reply(alice, other, { 'm.mentions': { user_ids: [bob.userId] } })
  expect((await unread(bob)).threads).toEqual({ [followed]: times(1), [other]: times(1, 1) })
  // Who knows nothing of following hears of everything, as before.
  expect((await unread(carol)).threads).toEqual({ [followed]: times(1), [other]: times(2) })
  await follow(bob, other)
  expect((await unread(bob)).threads).toEqual({ [followed]: times(1), [other]: times(2, 1) })
  await unfollow(bob, followed)
  expect((await unread(bob)).threads).toEqual({ [other]: times(2, 1) })
})

test('sliding sync counts the same, and so does the list of notifications', async () => {
  const user = await registerUser(named('thread-rules-sliding'))
  const [followed, other] = [await say(alice, room, 'three'), await say(alice, room, 'four')]
  await join(user, room)
  await follow(user, followed)
  const rings = await reply(alice, followed)
  await reply(alice, other)
  const lists = { all: { ranges: [[0, 9]], timeline_limit: 1, required_state: [] } }
  const { rooms } = await slide(user, { lists })
  expect(rooms[room]).toMatchObject({ notification_count: 1 })
  const listed = await user.get<{ notifications: { event: { event_id: string } }[] }>('/notifications')
  expect(listed.body.notifications.map(({ event }) => event.event_id)).toEqual([rings])
})

test('a push rings for the followed thread, with the right badge when one is followed later', async () => {
  openNetwork()
  const gateway = openGateway('threads.example')
  const heard = (eventId: string) =>
    vi.waitFor(() => gateway.taken.find((pushed) => pushed.event_id === eventId) ?? expect.fail('not heard'), {
      timeout: 30_000,
      interval: 20,
    })
  const user = await registerUser(named('thread-rules-pushed'))
  await join(user, room)
  await sync(user)
  const pusher = {
    app_id: 'org.example.app',
    pushkey: 'threads',
    kind: 'http',
    app_display_name: 'App',
    device_display_name: 'Phone',
    lang: 'en',
    data: { url: gateway.url },
  }
  expect((await user.post('/pushers/set', pusher)).status).toBe(200)
  const [followed, other] = [await say(alice, room, 'five'), await say(alice, room, 'six')]
  await heard(other)
  await follow(user, followed)
  const silent = await reply(alice, other)
  const rings = await reply(alice, followed)
  const [device] = (await heard(rings)).devices
  expect(device?.tweaks).toEqual({ sound: 'default' })
  expect((await heard(rings)).counts).toEqual({ unread: 3 })
  await follow(user, other)
  const later = await reply(alice, other)
  expect((await heard(later)).counts).toEqual({ unread: 5 })
  expect(gateway.taken.map(({ event_id: id }) => id)).not.toContain(silent)
})
