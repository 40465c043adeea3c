/** Events that are sent later, unless somebody says otherwise. MSC4140 (unstable). */
import type { JsonObject } from '#protocol/json/json.ts'
import { env } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, clientWith, registerUser, type User } from '../client.ts'
import { registerAdmin } from '../people/admins.ts'
import { at, type ClientEvent, createRoom, join, ok, refused, setState, stateOf } from './rooms.ts'

const base = '/_matrix/client/unstable/org.matrix.msc4140'
const delay = (ms: number | string) => `?org.matrix.msc4140.delay=${ms}`
interface Delayed {
  readonly delay_id: string
}
interface Listed {
  readonly delayed_events: (JsonObject & Delayed)[]
  readonly finalised_events: (JsonObject & { readonly delayed_event: Delayed })[]
}

let alice: User
let bob: User
let roomId: string
beforeAll(async () => {
  alice = await registerUser('delaying-alice')
  bob = await registerUser('delaying-bob')
  roomId = await createRoom(alice, {
    preset: 'public_chat',
    power_level_content_override: { events: { 'org.example.x': 0 } },
  })
  await join(bob, roomId)
})

let transactions = 0
const sendLater = async (user: User, ms: number, content: JsonObject = {}, txn = `d${++transactions}`) =>
  (await ok(user.put<Delayed>(at(roomId, `/send/org.example.x/${txn}${delay(ms)}`), content))).delay_id
const setLater = async (user: User, key: string, ms: number, content: JsonObject = { by: 'delay' }) =>
  (await ok(user.put<Delayed>(at(roomId, `/state/org.example.x/${key}${delay(ms)}`), content))).delay_id
const list = (user: User) => ok(user.get<Listed>(`${base}/delayed_events`))
const act = (delayId: string, action: string) => anonymous.post(`${base}/delayed_events/${delayId}/${action}`)
const has = async (key: string) => (await alice.get(at(roomId, `/state/org.example.x/${key}`))).status === 200

/** Time passes for what waits in the room. */
async function later(ms: number): Promise<void> {
  const stub = env.ROOM.get(env.ROOM.idFromName(roomId))
  await runInDurableObject(stub, (_, { storage }) => {
    storage.sql.exec('UPDATE delayed_events SET send_at = send_at - ? WHERE finalised_at IS NULL', ms)
    storage.sql.exec("UPDATE alarms SET at = at - ? WHERE name = 'delayed'", ms)
  })
  await evictDurableObject(stub)
  await runDurableObjectAlarm(stub)
}

describe('a delayed event', () => {
  test('is sent when its time has come, once per transaction', async () => {
    const id = await sendLater(alice, 60_000, { n: 1 }, 'same')
    expect(await sendLater(alice, 60_000, { n: 1 }, 'same')).toBe(id)
    const again = await alice.put<Delayed>(at(roomId, `/send/org.example.x/same${delay(60_000)}`), '')
    expect(again).toMatchObject({ status: 200, body: { delay_id: id } })
    const { delayed_events: waiting } = await list(alice)
    expect(waiting).toEqual([
      {
        delay_id: id,
        room_id: roomId,
        type: 'org.example.x',
        delay: 60_000,
        running_since: expect.any(Number),
        delay_ms: 60_000,
        delayed_since_ts: expect.any(Number),
        content: { n: 1 },
      },
    ])
    expect((await list(bob)).delayed_events).toEqual([])
    await later(60_001)
    const sent = await list(alice)
    expect(sent.delayed_events).toEqual([])
    expect(sent.finalised_events).toMatchObject([{ outcome: 'send', reason: 'delay', delayed_event: { delay_id: id } }])
    const { chunk } = await ok(alice.get<{ chunk: ClientEvent[] }>(at(roomId, '/messages?dir=b&limit=1')))
    expect(chunk[0]).toMatchObject({ type: 'org.example.x', sender: alice.userId, content: { n: 1 } })
    expect(await sendLater(alice, 60_000, { n: 1 }, 'same')).toBe(id)
    expect((await list(alice)).delayed_events).toEqual([])
  })

  test('is restarted, sent or cancelled by whoever knows its ID', async () => {
    const id = await setLater(bob, 'restarted', 60_000)
    await later(50_000)
    expect((await act(id, 'restart')).status).toBe(200)
    await later(50_000)
    expect(await has('restarted')).toBe(false)
    await later(11_000)
    expect(await stateOf(alice, roomId, 'org.example.x', 'restarted')).toEqual({ by: 'delay' })

    const now = await setLater(bob, 'now', 60_000)
    expect((await act(now, 'send')).status).toBe(200)
    expect(await has('now')).toBe(true)
    expect((await act(now, 'send')).status).toBe(200)
    expect((await act(now, 'cancel')).status).toBe(409)
    expect((await act(now, 'restart')).status).toBe(409)

    const never = await setLater(bob, 'never', 60_000)
    expect((await anonymous.post(`${base}/delayed_events/${never}`, { action: 'cancel' })).status).toBe(200)
    await later(100_000)
    expect(await has('never')).toBe(false)
    expect((await ok(bob.get(`${base}/delayed_events/${never}`)))['finalised']).toMatchObject({ outcome: 'cancel' })
    expect((await ok(bob.get(`${base}/delayed_events?status=scheduled`)))['finalised']).toEqual([])
    expect((await bob.get(`${base}/delayed_events?status=x`)).status).toBe(400)
    expect((await ok(bob.get<Listed>(`${base}/delayed_events/finalised`))).finalised_events.length).toBeGreaterThan(2)
  })

  test('does not overwrite what another set meanwhile', async () => {
    await setLater(bob, 'theirs', 60_000)
    await ok(setState(bob, roomId, 'org.example.x', { by: 'bob' }, 'theirs'))
    expect((await list(bob)).delayed_events).toHaveLength(1)
    await ok(setState(alice, roomId, 'org.example.x', { by: 'alice' }, 'theirs'))
    expect((await list(bob)).delayed_events).toEqual([])
    await later(60_001)
    expect(await stateOf(bob, roomId, 'org.example.x', 'theirs')).toEqual({ by: 'alice' })
  })

  test('is judged when it is sent', async () => {
    const carol = await registerUser('delaying-carol')
    await join(carol, roomId)
    await setLater(carol, 'left', 60_000)
    const topic = await ok(carol.put<Delayed>(at(roomId, `/state/m.room.topic/${delay(60_000)}`), { topic: 'mine' }))
    expect(await act(topic.delay_id, 'send')).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await ok(carol.post(at(roomId, '/leave')))
    await later(60_001)
    expect(await has('left')).toBe(false)
    const { finalised_events } = await list(carol)
    expect(finalised_events).toMatchObject([
      { outcome: 'cancel', reason: 'error', error: { errcode: 'M_FORBIDDEN' } },
      { outcome: 'cancel', reason: 'error' },
    ])
  })

  test('in its newest form', async () => {
    const path = `${base}/rooms/${encodeURIComponent(roomId)}/delayed_event/org.example.x/new`
    const { delay_id } = await ok(alice.put<Delayed>(path, { delay: 1000, state_key: 'new', content: { by: 'delay' } }))
    expect((await act(delay_id, 'send')).status).toBe(200)
    expect(await has('new')).toBe(true)
    for (const body of [
      {},
      { delay: 1 },
      { delay: '1', content: {} },
      { delay: 1, content: [] },
      { delay: 1, content: {}, state_key: 7 },
    ]) {
      expect((await alice.put(path, body)).status).toBe(400)
    }
    expect(await alice.put(path, { delay: 1.5, content: {} })).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  })
})

describe('is refused', () => {
  test('a delay that is none or too long', async () => {
    for (const wrong of ['', 'x', '0', '-1', '1.5']) {
      expect(await alice.put(at(roomId, `/send/org.example.x/t${delay(wrong)}`), {}), wrong).toMatchObject(
        refused(400, 'M_INVALID_PARAM'),
      )
    }
    expect(await alice.put(at(roomId, `/send/org.example.x/t${delay(90_000_000)}`), {})).toMatchObject({
      status: 400,
      body: {
        errcode: 'M_UNKNOWN',
        'org.matrix.msc4140.errcode': 'M_MAX_DELAY_EXCEEDED',
        'org.matrix.msc4140.max_delay': 86_400_000,
      },
    })
  })

  test('to those who are not in the room, and to too many', async () => {
    const stranger = await registerUser('delaying-stranger')
    for (const room of [roomId, '!unknown:test.local']) {
      expect(await stranger.put(at(room, `/send/org.example.x/t${delay(1000)}`), {})).toMatchObject(
        refused(403, 'M_FORBIDDEN'),
      )
    }
    expect(await anonymous.put(at(roomId, `/send/org.example.x/t${delay(1000)}`), {})).toMatchObject(
      refused(401, 'M_MISSING_TOKEN'),
    )
    expect(
      await alice.put(at(roomId, `/send/org.example.x/t${delay(1000)}`), { text: 'x'.repeat(61_000) }),
    ).toMatchObject(refused(413, 'M_TOO_LARGE'))
    expect(await alice.put(at(roomId, '/send/org.example.x/none'), '')).toMatchObject(refused(400, 'M_NOT_JSON'))
    const many = await registerUser('delaying-many')
    await join(many, roomId)
    for (let n = 0; n < 100; n++) await sendLater(many, 80_000_000)
    expect(await many.put(at(roomId, `/send/org.example.x/more${delay(1000)}`), {})).toMatchObject(
      refused(429, 'M_LIMIT_EXCEEDED'),
    )
  })

  test('an ID that is none', async () => {
    const secret = 'x'.repeat(32)
    const unknown = btoa('!unknown:test.local').replaceAll('=', '')
    const here = btoa(roomId).replaceAll('=', '').replaceAll('+', '-').replaceAll('/', '_')
    for (const id of ['abc', `${unknown}.${secret}`, `${here}.${secret}`, `.${secret}`, `${here}.short`]) {
      for (const action of ['send', 'cancel', 'restart', 'oops']) expect((await act(id, action)).status).toBe(404)
      expect(await anonymous.post(`${base}/delayed_events/${id}`, { action: 'send' })).toMatchObject(
        refused(404, 'M_NOT_FOUND'),
      )
      expect(await alice.get(`${base}/delayed_events/${id}`)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    }
    expect((await anonymous.post(`${base}/delayed_events/abc`, {})).status).toBe(400)
    expect((await anonymous.post(`${base}/delayed_events/abc`, { action: 'oops' })).status).toBe(400)
    const mine = await sendLater(alice, 60_000)
    expect(await bob.get(`${base}/delayed_events/${mine}`)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    for (const path of ['', '/finalised', `/${mine}`]) {
      expect(await anonymous.get(`${base}/delayed_events${path}`)).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
      expect(await clientWith('x').get(`${base}/delayed_events${path}`)).toMatchObject(refused(401, 'M_UNKNOWN_TOKEN'))
    }
  })
})

describe('an event of somebody who may not send any more', () => {
  let admin: User
  beforeAll(async () => {
    admin = await registerAdmin('delaying-admin')
  })
  const pathOf = (action: string, user: User) => `/_matrix/client/v1/admin/${action}/${encodeURIComponent(user.userId)}`
  const [suspended, locked] = [{ suspended: true }, { locked: true }]

  test.each([
    ['suspended', async (user: User) => ok(admin.put(pathOf('suspend', user), suspended))],
    ['locked', async (user: User) => ok(admin.put(pathOf('lock', user), locked))],
    [
      'deactivated',
      async (user: User) => ok(admin.post(`/_synapse/admin/v1/deactivate/${encodeURIComponent(user.userId)}`)),
    ],
  ] as const)('is not sent: %s', async (how, silence) => {
    const user = await registerUser(`delaying-${how}-${(transactions += 1)}`)
    await join(user, roomId)
    const [due, asked] = [`${how}-due-${transactions}`, `${how}-asked-${transactions}`]
    await setLater(user, due, 60_000)
    const secret = await setLater(user, asked, 600_000)
    await setLater(alice, `${due}-of-alice`, 60_000)
    await silence(user)
    expect((await act(secret, 'send')).status).toBe(403)
    await later(61_000)
    expect([await has(due), await has(asked), await has(`${due}-of-alice`)]).toEqual([false, false, true])
  })

  test('is sent if they may again by then', async () => {
    const user = await registerUser('delaying-forgiven')
    await join(user, roomId)
    await setLater(user, 'forgiven', 60_000)
    await ok(admin.put(pathOf('suspend', user), suspended))
    await ok(admin.put(pathOf('suspend', user), { suspended: false }))
    await later(61_000)
    expect(await has('forgiven')).toBe(true)
  })
})
