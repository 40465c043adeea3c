/** The extensions: messages to devices, keys, account data, receipts and typing users. */
import { beforeAll, describe, expect, test } from 'vitest'

import { login, registerUser, type User } from '../client.ts'
import { newDevice, oneTimeKeys, withKeys } from '../e2ee/devices.ts'
import { aMoment, createRoom, join, leave, long, say } from '../sync/syncing.ts'
import { newest, slide, slider, trySlide } from './sliding.ts'

let alice: User
let bob: User
beforeAll(async () => {
  alice = await registerUser('ext-alice')
  bob = await registerUser('ext-bob')
})

const inRoom = (room: string) => `/rooms/${encodeURIComponent(room)}`
const room = (user: User) => createRoom(user, { preset: 'public_chat' })
let people = 0
const newcomer = () => registerUser(`ext-newcomer-${++people}`)

let sent = 0
async function sendTo(user: User, body: string): Promise<void> {
  const path = `/sendToDevice/m.test/s${++sent}`
  const { status } = await alice.put(path, { messages: { [user.userId]: { [user.deviceId]: { body } } } })
  expect(status).toBe(200)
}

describe('to_device', () => {
  const ask = (since?: string, limit = 100) => ({ extensions: { to_device: { enabled: true, limit, since } } })

  test('keeps messages until the client shows that it has them', async () => {
    const user = await newcomer()
    await sendTo(user, 'one')
    await sendTo(user, 'two')
    const first = await slide(user, ask())
    const got = first.extensions.to_device
    expect(got?.events.map(({ content }) => content['body'])).toEqual(['one', 'two'])
    // Lost, and asked again.
    expect((await slide(user, ask())).extensions.to_device?.events).toHaveLength(2)
    const second = await slide(user, ask(got?.next_batch))
    expect(second.extensions.to_device?.events).toEqual([])
    expect((await slide(user, ask())).extensions.to_device?.events).toEqual([])
  })

  test('gives them in pages, in order, and wakes who waits', async () => {
    const user = await newcomer()
    for (const body of ['a', 'b', 'c']) await sendTo(user, body)
    const seen: unknown[] = []
    let [since, pos]: (string | undefined)[] = []
    for (let round = 0; round < 3; round++) {
      const answer = await slide(user, ask(since, 1), pos === undefined ? {} : { pos })
      pos = answer.pos
      since = answer.extensions.to_device?.next_batch
      seen.push(...(answer.extensions.to_device?.events ?? []).map(({ content }) => content['body']))
    }
    expect(seen).toEqual(['a', 'b', 'c'])
    const waiting = slide(user, ask(since), { pos: pos ?? '', timeout: long })
    await aMoment()
    await sendTo(user, 'd')
    expect((await waiting).extensions.to_device?.events).toMatchObject([
      { sender: alice.userId, content: { body: 'd' } },
    ])
  })

  test('takes a token of another server for none, and refuses what is no token', async () => {
    const user = await newcomer()
    await sendTo(user, 'kept')
    expect((await slide(user, ask('123456'))).extensions.to_device?.events).toHaveLength(1)
    expect((await slide(user, ask('99999_zzzz'))).extensions.to_device?.events).toHaveLength(1)
    const { status, body } = await trySlide(user, ask('not a token'))
    expect({ status, body }).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } })
  })
})

describe('e2ee', () => {
  const ask = { extensions: { e2ee: { enabled: true } } }

  test('says how many keys are left', async () => {
    const user = await newcomer()
    const device = newDevice(user)
    const keys = {
      one_time_keys: oneTimeKeys(user, device, ['A', 'B']),
      fallback_keys: oneTimeKeys(user, device, ['F']),
    }
    await user.post('/keys/upload', { device_keys: device.deviceKeys, ...keys })
    expect((await slide(user, ask)).extensions.e2ee).toEqual({
      device_one_time_keys_count: { signed_curve25519: 2 },
      device_unused_fallback_key_types: ['signed_curve25519'],
    })
  })

  test('tells whose devices changed, who came and who is gone, whatever the lists show', async () => {
    const user = await newcomer()
    const [shown, hidden] = [await room(user), await room(user)]
    await join(bob, hidden)
    await say(user, shown, 'on top')
    const client = slider(user, { ...newest(1), ...ask })
    await client.next()
    await client.next()
    await withKeys(bob)
    const changed = async () => (await client.next(long)).extensions.e2ee?.device_lists
    expect(await changed()).toEqual({ changed: [bob.userId], left: [] })
    await join(alice, hidden)
    expect((await changed())?.changed).toContain(alice.userId)
    await leave(bob, hidden)
    expect(await changed()).toEqual({ changed: [], left: [bob.userId] })
  })
})

describe('account_data', () => {
  const ask = (count: number) => ({ ...newest(count), extensions: { account_data: { enabled: true } } })
  const set = async (user: User, path: string, content: object) =>
    expect((await user.put(`/user/${encodeURIComponent(user.userId)}${path}`, content)).status).toBe(200)

  test('gives all at first, then what changed, and push rules to everybody', async () => {
    const user = await newcomer()
    await set(user, '/account_data/org.test', { n: 1 })
    const client = slider(user, ask(5))
    const first = (await client.next()).extensions.account_data?.global ?? []
    expect(first.map(({ type }) => type).toSorted()).toEqual(['m.push_rules', 'org.test'])
    const waiting = client.next(long)
    await aMoment()
    await set(user, '/account_data/org.test', { n: 2 })
    expect((await waiting).extensions.account_data).toEqual({ global: [{ type: 'org.test', content: { n: 2 } }] })
    expect((await client.next()).extensions.account_data).toEqual({})
  })

  test('gives those of rooms in sight, and of others once they come into sight', async () => {
    const user = await newcomer()
    const [below, above] = [await room(user), await room(user)]
    await say(user, above, 'top')
    await set(user, `${inRoom(below)}/account_data/org.test`, { n: 1 })
    await set(user, `${inRoom(above)}/account_data/org.test`, { n: 1 })
    const client = slider(user, ask(1))
    const first = (await client.next()).extensions.account_data?.rooms
    expect(Object.keys(first ?? {})).toEqual([above])
    await set(user, `${inRoom(below)}/account_data/org.test`, { n: 2 })
    await set(user, `${inRoom(above)}/account_data/org.other`, { n: 1 })
    expect((await client.next()).extensions.account_data?.rooms).toEqual({
      [above]: [{ type: 'org.other', content: { n: 1 } }],
    })
    const both = (await client.next(0, ask(2))).extensions.account_data?.rooms
    expect(both).toEqual({ [below]: [{ type: 'org.test', content: { n: 2 } }] })
    expect((await client.next(0, ask(2))).extensions.account_data).toEqual({})
  })
})

describe('receipts and typing', () => {
  const ask = {
    ...newest(5, { timeline_limit: 2 }),
    extensions: { receipts: { enabled: true }, typing: { enabled: true } },
  }

  test('receipts come for what is shown, the reader’s own in any case; then those that change', async () => {
    const user = await newcomer()
    const its = await room(user)
    await join(bob, its)
    const old = await say(user, its, 'old')
    await bob.post(`${inRoom(its)}/receipt/m.read/${encodeURIComponent(old)}`)
    await user.post(`${inRoom(its)}/receipt/m.read.private/${encodeURIComponent(old)}`)
    await say(bob, its, 'newer')
    const last = await say(bob, its, 'newest')
    const client = slider(user, ask)
    const first = (await client.next()).extensions.receipts?.rooms[its]
    expect(Object.keys(first?.content ?? {})).toEqual([old])
    expect(first?.content[old]).toEqual({ 'm.read.private': { [user.userId]: { ts: expect.any(Number) } } })
    const waiting = client.next(long)
    await aMoment()
    await bob.post(`${inRoom(its)}/receipt/m.read/${encodeURIComponent(last)}`)
    const next = await waiting
    expect(next.extensions.receipts?.rooms[its]?.content).toMatchObject({ [last]: { 'm.read': { [bob.userId]: {} } } })
    expect(next.rooms).toEqual({})
    // Others' private receipts are nobody else's.
    await bob.post(`${inRoom(its)}/receipt/m.read.private/${encodeURIComponent(last)}`)
    expect((await client.next(20)).extensions.receipts?.rooms).toEqual({})
  })

  test('reading brings the counts down on other devices', async () => {
    const user = await newcomer()
    const its = await room(user)
    await join(bob, its)
    const last = await say(bob, its, 'unread')
    const client = slider(user, ask)
    expect((await client.next()).rooms[its]).toMatchObject({ notification_count: 1 })
    const other = await login(user)
    await other.post(`${inRoom(its)}/receipt/m.read/${encodeURIComponent(last)}`)
    expect((await client.next(long)).rooms[its]).toEqual({ notification_count: 0, highlight_count: 0 })
  })

  test('typing comes and goes', async () => {
    const user = await newcomer()
    const its = await room(user)
    await join(bob, its)
    const client = slider(user, ask)
    expect((await client.next()).extensions.typing).toEqual({ rooms: {} })
    const type = (typing: boolean) => bob.put(`${inRoom(its)}/typing/${bob.userId}`, { typing, timeout: 20_000 })
    await type(true)
    const typing = async () => (await client.next(long)).extensions.typing?.rooms[its]?.content
    expect(await typing()).toEqual({ user_ids: [bob.userId] })
    await type(false)
    expect(await typing()).toEqual({ user_ids: [] })
  })

  test('an extension may be for some lists and rooms only', async () => {
    const user = await newcomer()
    const its = await room(user)
    await join(bob, its)
    await bob.put(`${inRoom(its)}/typing/${bob.userId}`, { typing: true, timeout: 20_000 })
    const typingOf = async (scope: object) =>
      Object.keys(
        (await slide(user, { ...ask, extensions: { typing: { enabled: true, ...scope } } })).extensions.typing?.rooms ??
          {},
      )
    expect(await typingOf({})).toEqual([its])
    expect(await typingOf({ lists: [], rooms: [] })).toEqual([])
    expect(await typingOf({ lists: ['rooms'], rooms: [] })).toEqual([its])
    expect(await typingOf({ lists: ['other'], rooms: [its] })).toEqual([its])
  })

  test('extensions that were not asked for are not in the answer, and unknown ones do no harm', async () => {
    const user = await newcomer()
    expect((await slide(user, newest(1))).extensions).toEqual({})
    const extensions = { 'org.unknown': { enabled: true }, typing: { enabled: false } }
    expect((await slide(user, { extensions })).extensions).toEqual({})
  })
})
