/** Messages to devices. Spec: client-server-api/#send-to-device-messaging. */
import { describe, expect, test } from 'vitest'

import { login, registerUser } from '../client.ts'
import { ok, refused } from '../rooms/rooms.ts'
import { sync } from '../sync/syncing.ts'

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
})
