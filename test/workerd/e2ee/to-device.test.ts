/** Messages to devices. Spec: client-server-api/#send-to-device-messaging. */
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'

import { boundQueues, isTimeToBound } from '../../../durable-objects/user-sync/to-device.ts'
import { login, passwordAuth, registerUser } from '../client.ts'
import { ok, refused } from '../rooms/rooms.ts'
import { sync } from '../sync/syncing.ts'
import { claim, oneTimeKeys, query, withKeys } from './devices.ts'

describe('a message to devices', () => {
  test('reaches the device it is for, or all of them, once', async () => {
    const alice = await registerUser('td_alice')
    const bob = await registerUser('td_bob')
    const second = await login(bob)
    const one = { messages: { [bob.userId]: { [bob.deviceId]: { for: 'one' } } } }
    const all = { messages: { [bob.userId]: { '*': { for: 'all' }, [second.deviceId]: { for: 'second' } } } }
    await ok(alice.put('/sendToDevice/m.test/t1', one))
    await ok(alice.put('/sendToDevice/m.test/t1', one))
    await ok(alice.put('/sendToDevice/m.test/t2', all))
    await ok(alice.put('/sendToDevice/m.test/t2', all))
    const first = await sync(bob)
    const event = (content: object) => ({ type: 'm.test', sender: alice.userId, content })
    expect(first.to_device?.events).toEqual([event({ for: 'one' }), event({ for: 'all' })])
    expect((await sync(second)).to_device?.events).toEqual([event({ for: 'second' })])
    expect((await sync(bob, { since: first.next_batch })).to_device).toBeUndefined()
    expect((await sync(bob)).to_device).toBeUndefined()
  })

  test('of another device under the same transaction is another message', async () => {
    const alice = await registerUser('tx_alice')
    const other = await login(alice)
    const bob = await registerUser('tx_bob')
    const body = { messages: { [bob.userId]: { '*': {} } } }
    for (const device of [alice, other]) await ok(device.put('/sendToDevice/m.test/t', body))
    await ok(alice.put('/sendToDevice/m.other/t', body))
    expect((await sync(bob)).to_device?.events).toHaveLength(3)
  })

  test('to nobody is sent to nobody; without form it is refused', async () => {
    const alice = await registerUser('tn_alice')
    const send = (messages: unknown) => alice.put('/sendToDevice/m.test/t', { messages })
    await ok(send({ '@nobody:test.local': { '*': {} }, [alice.userId]: { ['D'.repeat(10_000)]: {} } }))
    expect((await sync(alice)).to_device).toBeUndefined()
    expect(await send(undefined)).toMatchObject(refused(400, 'M_MISSING_PARAM'))
    expect(await send([])).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect(await send({ [alice.userId]: { '*': 'text' } })).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect(await send({ 'no user': { '*': {} } })).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  })

  test('comes in the order in which it was sent, also to one’s own other devices, a hundred at a time', async () => {
    const alice = await registerUser('to_alice')
    const second = await login(alice)
    const numbers = Array.from({ length: 130 }, (_, n) => n)
    for (const n of numbers) {
      const messages = { [alice.userId]: { [second.deviceId]: { n } } }
      await ok(alice.put(`/sendToDevice/m.test/o${n}`, { messages }))
    }
    const first = await sync(second)
    const rest = await sync(second, { since: first.next_batch })
    const got = [first, rest].map(({ to_device }) => (to_device?.events ?? []).map(({ content }) => content['n']))
    expect(got).toEqual([numbers.slice(0, 100), numbers.slice(100)])
    // What was not acknowledged comes again, the same.
    expect((await sync(second, { since: first.next_batch })).to_device?.events).toHaveLength(30)
    expect((await sync(alice)).to_device).toBeUndefined()
  })

  test('sent again after the object was put to sleep is known again', async () => {
    const alice = await registerUser('tz_alice')
    const bob = await registerUser('tz_bob')
    const body = { messages: { [bob.userId]: { '*': { n: 1 } } } }
    await ok(alice.put('/sendToDevice/m.test/again', body))
    await evictDurableObject(env.USER_SYNC.get(env.USER_SYNC.idFromName(bob.userId)))
    await ok(alice.put('/sendToDevice/m.test/again', body))
    expect((await sync(bob)).to_device?.events).toHaveLength(1)
  })

  test('is as large as an event at most; a larger one is refused with all that came with it', async () => {
    const alice = await registerUser('tl_alice')
    const bob = await registerUser('tl_bob')
    const content = (length: number) => ({ x: 'y'.repeat(length - '{"x":""}'.length) })
    const send = (size: number, type = 'm.test') =>
      alice.put(`/sendToDevice/${type}/${type.length}-${size}`, {
        messages: { [alice.userId]: { '*': {} }, [bob.userId]: { '*': content(size) } },
      })
    expect(await send(65_537)).toMatchObject(refused(413, 'M_TOO_LARGE'))
    expect(await send(20, 'm'.repeat(256))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect((await sync(alice)).to_device).toBeUndefined()
    await ok(send(65_536))
    expect((await sync(bob)).to_device?.events).toHaveLength(1)
  })

  test('that nobody reads goes one day, the oldest first', async () => {
    const bob = await registerUser('tb_bob')
    const alice = await registerUser('tb_alice')
    for (let n = 0; n < 5; n++) {
      await ok(alice.put(`/sendToDevice/m.test/b${n}`, { messages: { [bob.userId]: { '*': { n } } } }))
    }
    await runInDurableObject(env.USER_SYNC.get(env.USER_SYNC.idFromName(bob.userId)), (_, { storage }) => {
      boundQueues(storage.sql, 5)
      boundQueues(storage.sql, 3)
    })
    expect((await sync(bob)).to_device?.events.map(({ content }) => content['n'])).toEqual([2, 3, 4])
    expect([isTimeToBound(511, 512), isTimeToBound(512, 1023), isTimeToBound(100, 2000)]).toEqual([true, false, true])
  })

  test('of a server that floods drives out nothing of others', async () => {
    const bob = await registerUser('tf_bob')
    await runInDurableObject(env.USER_SYNC.get(env.USER_SYNC.idFromName(bob.userId)), (_, { storage }) => {
      const insert = 'INSERT INTO to_device(device_id, sender, type, content) VALUES (?, ?, ?, ?)'
      const queue = (sender: string, count: number, device = 'PHONE') => {
        for (let n = 0; n < count; n++) storage.sql.exec(insert, device, sender, 'm.room.encrypted', `{"n":${n}}`)
      }
      queue('@friend:honest.test', 3)
      queue('@one:liar.test', 40)
      queue('@two:liar.test:8448', 25)
      queue('@other:honest.test', 2)
      queue('@one:liar.test', 5, 'TABLET')
      boundQueues(storage.sql, 20)
      const left = (device: string) =>
        storage.sql
          .exec<{ sender: string; content: string }>(
            'SELECT sender, content FROM to_device WHERE device_id = ? ORDER BY position',
            device,
          )
          .toArray()
      const bySender = (sender: string) => left('PHONE').filter((row) => row.sender === sender)
      expect(left('PHONE')).toHaveLength(20)
      expect(left('TABLET')).toHaveLength(5)
      expect([bySender('@friend:honest.test').length, bySender('@other:honest.test').length]).toEqual([3, 2])
      // Of what goes, the oldest.
      expect(bySender('@one:liar.test').at(-1)?.content).toBe('{"n":39}')
      expect([bySender('@one:liar.test').length, bySender('@two:liar.test:8448').length]).toEqual([8, 7])
    })
  })

  test('wakes who waits for it', async () => {
    const alice = await registerUser('tw_alice')
    const bob = await registerUser('tw_bob')
    const { next_batch: since } = await sync(bob)
    const waiting = sync(bob, { since, timeout: 60_000 })
    await ok(alice.put('/sendToDevice/m.test/w', { messages: { [bob.userId]: { '*': { n: 1 } } } }))
    expect((await waiting).to_device?.events).toHaveLength(1)
  })
})

test('a device that ends takes along its messages, keys and pushers; another of its name has nothing of it', async () => {
  const alice = await registerUser('te_alice')
  const bob = await registerUser('te_bob')
  const phone = await login(alice, { device_id: 'PHONE' })
  const device = await withKeys(phone)
  const fallback = oneTimeKeys(phone, device, ['F'], { fallback: true })
  await ok(phone.post('/keys/upload', { one_time_keys: oneTimeKeys(phone, device, ['A']), fallback_keys: fallback }))
  const pusher = {
    app_id: 'app',
    pushkey: 'te',
    kind: 'http',
    app_display_name: 'App',
    device_display_name: 'Phone',
    lang: 'en',
    data: { url: 'https://push.example/_matrix/push/v1/notify' },
  }
  await ok(phone.post('/pushers/set', pusher))
  await ok(bob.put('/sendToDevice/m.test/e1', { messages: { [alice.userId]: { PHONE: { n: 1 } } } }))
  await ok(alice.delete('/devices/PHONE', { auth: passwordAuth(alice) }))
  await ok(bob.put('/sendToDevice/m.test/e2', { messages: { [alice.userId]: { PHONE: { n: 2 }, '*': { n: 3 } } } }))
  expect((await query(bob, alice)).device_keys[alice.userId]).toEqual({})
  expect(await claim(bob, phone)).toBeUndefined()
  expect((await ok(alice.get<{ pushers: unknown[] }>('/pushers'))).pushers).toEqual([])
  const again = await login(alice, { device_id: 'PHONE' })
  const synced = await sync(again)
  expect(synced.to_device).toBeUndefined()
  expect(synced).toMatchObject({
    device_one_time_keys_count: { signed_curve25519: 0 },
    device_unused_fallback_key_types: [],
  })
  expect((await query(bob, alice)).device_keys[alice.userId]).toEqual({})
  // Signing in again under an ID that is there keeps what is for it: it is the same device.
  await withKeys(again)
  await ok(bob.put('/sendToDevice/m.test/e3', { messages: { [alice.userId]: { PHONE: { n: 4 } } } }))
  const same = await login(alice, { device_id: 'PHONE' })
  expect((await again.get('/sync')).status).toBe(401)
  expect((await sync(same)).to_device?.events).toHaveLength(1)
  expect((await query(bob, alice)).device_keys[alice.userId]).toHaveProperty(['PHONE'])
})

test('a device ID of ten thousand letters is nobody’s', async () => {
  const alice = await registerUser('ti_alice')
  const long = 'D'.repeat(10_000)
  const identifier = { type: 'm.id.user', user: alice.userId }
  const wanted = { type: 'm.login.password', identifier, password: alice.password, device_id: long }
  expect(await alice.post('/login', wanted)).toMatchObject(refused(400, 'M_BAD_JSON'))
  expect(await alice.get(`/devices/${long}`)).toMatchObject(refused(404, 'M_NOT_FOUND'))
  expect(await alice.put(`/devices/${long}`, { display_name: 'x' })).toMatchObject(refused(404, 'M_NOT_FOUND'))
  const auth = { devices: [long], auth: passwordAuth(alice) }
  await ok(alice.post('/delete_devices', auth))
  const { devices } = await ok(alice.get<{ devices: unknown[] }>('/devices'))
  expect(devices).toHaveLength(1)
})
