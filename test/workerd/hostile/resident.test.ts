/**
 * Servers that ask for what they may not have, and hand in what they may not say: joins, leaves, knocks, invites, reads.
 * Security cases 12, 14, 15, 16, 18, 19, 21, 23, 25.
 */
import { parsePdu } from '#protocol/events/event-format.ts'
import { buildEvent } from '#protocol/events/build-event.ts'
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, type JsonObject } from '#protocol/json/json.ts'
import { type RoomVersion, rulesOf } from '#protocol/room-versions/rules.ts'
import { signEvent } from '#protocol/signing/event-signatures.ts'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { keyOf, timeline } from '../../dsl/room-timeline.ts'
import { user } from '../../dsl/users.ts'
import { registerUser, type User } from '../client.ts'
import { createRoom, fullState, ok, refused, say, setState } from '../rooms/rooms.ts'
import { sync } from '../sync/syncing.ts'
import { askAs, neighbour, residentOf, serversAnswer, stranger, transact } from './hostile-server.ts'

let alice: User
beforeAll(async () => {
  alice = await registerUser('hr_alice')
})
beforeEach(() => void serversAnswer({}))
afterEach(() => void serversAnswer({}))

const part = encodeURIComponent

/** What a server makes of a template. */
function eventFrom(version: RoomVersion, roomId: string, template: JsonObject, more: JsonObject = {}, signer?: string) {
  const rules = rulesOf(version)
  const sender = template['sender']
  if (!rules || typeof sender !== 'string') throw new Error(version)
  const { origin: _, ...fields } = template
  const server = signer ?? serverNameOf(user(sender))
  const json = signEvent(rules, { ...fields, room_id: roomId, ...more }, server, keyOf(server), nodeCrypto)
  const parsed = parsePdu(rules, json, nodeCrypto)
  return { json, eventId: parsed.ok ? parsed.pdu.event_id : '$none' }
}

async function templateOf(roomId: string, who: UserId, membership: 'join' | 'leave' | 'knock' = 'join') {
  const path = `/make_${membership}/${part(roomId)}/${part(who)}?ver=11&ver=12`
  return (await ok<{ event: JsonObject }>(askAs(serverNameOf(who), 'GET', path))).event
}

/** Joins over us as an honest server does. */
async function joinsHonestly(roomId: string, who: UserId) {
  const { json, eventId } = eventFrom('11', roomId, await templateOf(roomId, who))
  const path = `/_matrix/federation/v2/send_join/${part(roomId)}/${part(eventId)}`
  return { json, eventId, answer: await ok(askAs(serverNameOf(who), 'PUT', path, json)) }
}

const publicRoom = () => createRoom(alice, { preset: 'public_chat', room_version: '11' })

describe('case 21: a join that is handed in', () => {
  const other = '!other:test.local'
  it.each<[string, (event: JsonObject, who: UserId) => JsonObject]>([
    ['of another room than the path', (event) => ({ ...event, room_id: other })],
    ['of a leave', (event) => ({ ...event, content: { membership: 'leave' } })],
    ['of another type', (event) => ({ ...event, type: 'm.room.power_levels', state_key: '' })],
    ['about somebody else', (event, who) => ({ ...event, state_key: neighbour(who, 'else') })],
    ['by somebody of another server', (event) => ({ ...event, sender: '@v:good.test:1', state_key: '@v:good.test:1' })],
    [
      'in the name of one of ours',
      (event) => ({ ...event, sender: '@hr_alice:test.local', state_key: '@hr_alice:test.local' }),
    ],
    ['without auth events', (event) => ({ ...event, auth_events: [] })],
    ['that builds on nothing', (event) => ({ ...event, prev_events: [] })],
    ['that builds on what nobody has', (event) => ({ ...event, prev_events: [`$${'n'.repeat(43)}`] })],
    [
      'that names a voucher where none is needed',
      (event) => ({ ...event, content: { membership: 'join', join_authorised_via_users_server: '@v:good.test:1' } }),
    ],
  ])('%s is refused, and nobody is in the room', async (_, lie) => {
    const roomId = await publicRoom()
    const who = stranger()
    const lied = lie(await templateOf(roomId, who), who)
    const { json, eventId } = eventFrom('11', roomId, lied, { room_id: lied['room_id'] ?? roomId }, serverNameOf(who))
    for (const v of ['v1', 'v2']) {
      const path = `/_matrix/federation/${v}/send_join/${part(roomId)}/${part(eventId)}`
      const { status, body } = await askAs(serverNameOf(who), 'PUT', path, json)
      expect(status).toBeGreaterThanOrEqual(400)
      expect(status).toBeLessThan(500)
      expect(body).toHaveProperty('errcode')
      expect(JSON.stringify(body)).not.toContain('signatures')
    }
    expect((await fullState(alice, roomId)).filter(({ type }) => type === 'm.room.member')).toHaveLength(1)
  })

  it('under another event ID, or signed by nobody, or changed after signing, is refused', async () => {
    const roomId = await publicRoom()
    const who = stranger()
    const { json, eventId } = eventFrom('11', roomId, await templateOf(roomId, who))
    const put = (id: string, event: JsonObject) =>
      askAs(serverNameOf(who), 'PUT', `/_matrix/federation/v2/send_join/${part(roomId)}/${part(id)}`, event)
    expect((await put(`$${'x'.repeat(43)}`, json)).status).toBe(400)
    expect((await put(eventId, { ...json, signatures: {} })).status).toBe(403)
    expect((await put(eventId, { ...json, content: { membership: 'join', displayname: 'changed' } })).status).toBe(400)
    expect((await put(eventId, json)).status).toBe(200)
  })

  it('is made for users of the asking server only', async () => {
    const roomId = await publicRoom()
    for (const membership of ['join', 'leave', 'knock']) {
      for (const who of [alice.userId, '@victim:good.test:1']) {
        const path = `/make_${membership}/${part(roomId)}/${part(who)}?ver=11`
        expect(await askAs(serverNameOf(stranger()), 'GET', path)).toMatchObject(refused(403, 'M_FORBIDDEN'))
      }
    }
  })
})

describe('case 16: what a server may read', () => {
  const reads = (roomId: string, eventId: string): ['GET' | 'POST', string, JsonObject?][] => [
    ['GET', `/event/${part(eventId)}`],
    ['GET', `/state/${part(roomId)}?event_id=${part(eventId)}`],
    ['GET', `/state_ids/${part(roomId)}?event_id=${part(eventId)}`],
    ['GET', `/event_auth/${part(roomId)}/${part(eventId)}`],
    ['GET', `/backfill/${part(roomId)}?v=${part(eventId)}&limit=10`],
    ['POST', `/get_missing_events/${part(roomId)}`, { earliest_events: [], latest_events: [eventId], limit: 10 }],
    ['GET', `/timestamp_to_event/${part(roomId)}?ts=0&dir=f`],
  ]

  it('is nothing when it is not in the room', async () => {
    const roomId = await publicRoom()
    const eventId = await say(alice, roomId, 'secret')
    for (const [method, path, body] of reads(roomId, eventId)) {
      const answer = await askAs(serverNameOf(stranger()), method, path, body)
      expect([403, 404], path).toContain(answer.status)
      expect(answer.text).not.toContain('secret')
    }
  })

  it('is what its users may see: of the rest it gets what a redaction leaves', async () => {
    const roomId = await createRoom(alice, {
      preset: 'public_chat',
      room_version: '11',
      initial_state: [{ type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } }],
    })
    const before = await say(alice, roomId, 'secret')
    const who = stranger()
    await joinsHonestly(roomId, who)
    const after = await say(alice, roomId, 'for all')
    for (const [method, path, body] of reads(roomId, before)) {
      expect((await askAs(serverNameOf(who), method, path, body)).text, path).not.toContain('secret')
    }
    const backfilled = await askAs(serverNameOf(who), 'GET', `/backfill/${part(roomId)}?v=${part(after)}&limit=20`)
    expect(backfilled.status).toBe(200)
    expect(backfilled.text).toContain('for all')
    expect(backfilled.text).not.toContain('secret')
  })

  it('case 14: is never an outlier', async () => {
    // Alice joins a stranger's room: the state before her join is known here as outliers only.
    const creator = stranger()
    const room = timeline('11').publicChat({ creator }).setTopic(creator, 'outlying')
    serversAnswer(residentOf(room))
    await ok(alice.post(`/join/${part(room.roomId)}?server_name=${serverNameOf(creator)}`))
    const topic = room.current('m.room.topic').event_id
    const asked: ['GET' | 'POST', string, JsonObject?][] = [
      ['GET', `/event/${part(topic)}`],
      ['GET', `/state/${part(room.roomId)}?event_id=${part(topic)}`],
      ['GET', `/state_ids/${part(room.roomId)}?event_id=${part(topic)}`],
      ['GET', `/event_auth/${part(room.roomId)}/${part(topic)}`],
    ]
    for (const [method, path, body] of asked) {
      expect(await askAs(serverNameOf(creator), method, path, body), path).toMatchObject({ status: 404 })
    }
    const backfilled = await askAs<{ pdus: unknown[] }>(
      serverNameOf(creator),
      'GET',
      `/backfill/${part(room.roomId)}?v=${part(topic)}&limit=10`,
    )
    expect(backfilled.body.pdus).toEqual([])
  })
})

it('case 15: a server that the ACL names, in whatever case, is kept out of everything', async () => {
  const roomId = await publicRoom()
  const who = stranger()
  const server = serverNameOf(who)
  await joinsHonestly(roomId, who)
  const second = await templateOf(roomId, neighbour(who, 'second'))
  const eventId = await say(alice, roomId, 'secret')
  const acl = { allow: ['*'], deny: [server.replace(':8448', '').toUpperCase()], allow_ip_literals: true }
  expect((await setState(alice, roomId, 'm.room.server_acl', acl)).status).toBe(200)
  const late = eventFrom('11', roomId, second)
  const asked: ['GET' | 'PUT' | 'POST', string, JsonObject?][] = [
    ['GET', `/make_join/${part(roomId)}/${part(neighbour(who, 'third'))}?ver=11`],
    ['GET', `/make_leave/${part(roomId)}/${part(who)}`],
    ['GET', `/make_knock/${part(roomId)}/${part(neighbour(who, 'third'))}?ver=11`],
    ['PUT', `/_matrix/federation/v2/send_join/${part(roomId)}/${part(late.eventId)}`, late.json],
    ['PUT', `/_matrix/federation/v1/send_join/${part(roomId)}/${part(late.eventId)}`, late.json],
    ['PUT', `/_matrix/federation/v2/send_leave/${part(roomId)}/${part(late.eventId)}`, late.json],
    ['PUT', `/send_knock/${part(roomId)}/${part(late.eventId)}`, late.json],
    ['GET', `/event/${part(eventId)}`],
    ['GET', `/state/${part(roomId)}?event_id=${part(eventId)}`],
    ['GET', `/state_ids/${part(roomId)}?event_id=${part(eventId)}`],
    ['GET', `/event_auth/${part(roomId)}/${part(eventId)}`],
    ['GET', `/backfill/${part(roomId)}?v=${part(eventId)}&limit=10`],
    ['POST', `/get_missing_events/${part(roomId)}`, { earliest_events: [], latest_events: [eventId], limit: 10 }],
  ]
  for (const [method, path, body] of asked) {
    const answer = await askAs(server, method, path, body)
    expect([403, 404], `${path}: ${answer.text}`).toContain(answer.status)
    expect(answer.text).not.toContain('secret')
  }
  const { next_batch: since } = await sync(alice)
  const message = eventFrom(
    '11',
    roomId,
    { ...second, type: 'm.room.message', sender: who, content: { body: 'let me in' } },
    { state_key: undefined },
  )
  const sent = await transact(server, {
    pdus: [message.json],
    edus: [
      { edu_type: 'm.typing', content: { room_id: roomId, user_id: who, typing: true } },
      {
        edu_type: 'm.receipt',
        content: { [roomId]: { 'm.read': { [who]: { event_ids: [eventId], data: { ts: 1 } } } } },
      },
    ],
  })
  expect(sent.body.pdus[message.eventId]).toHaveProperty('error')
  expect((await sync(alice, { since })).rooms?.join?.[roomId]).toBeUndefined()
})

describe('case 12: an invite', () => {
  const make = (sender: UserId, target: string, more: JsonObject = {}, signer = serverNameOf(sender)) => {
    const rules = rulesOf('11')
    const roomId = parseRoomId(`!invited:${serverNameOf(sender)}`)
    if (!rules || !roomId) throw new Error('no room')
    const ids = [`$${'p'.repeat(43)}`].flatMap((id) => parseEventId(id) ?? [])
    const built = buildEvent(
      {
        rules,
        roomId,
        type: 'm.room.member',
        stateKey: target,
        sender,
        content: { membership: 'invite' },
        prevEvents: ids.map((event_id) => ({ event_id, depth: 1 })),
        authEvents: ids,
        originServerTs: Date.now(),
      },
      signer,
      keyOf(signer),
      nodeCrypto,
    )
    if (!built.ok) throw new Error(built.message)
    const { hashes: _, signatures: __, ...bare } = built.pdu.json
    const json = signEvent(rules, { ...bare, ...more }, signer, keyOf(signer), nodeCrypto)
    const parsed = parsePdu(rules, json, nodeCrypto)
    return { roomId, json, eventId: parsed.ok ? parsed.pdu.event_id : '$none' }
  }
  const hand = <Body = JsonObject>(
    who: UserId,
    { roomId, json, eventId }: { roomId: string; json: JsonObject; eventId: string },
    state: JsonObject[] = [],
    v = 'v2',
  ) => {
    const body = v === 'v2' ? { room_version: '11', event: json, invite_room_state: state } : json
    return askAs<Body>(
      serverNameOf(who),
      'PUT',
      `/_matrix/federation/${v}/invite/${part(roomId)}/${part(eventId)}`,
      body,
    )
  }

  it.each<[string, (who: UserId) => ReturnType<typeof make>]>([
    ['that is a join', (who) => make(who, alice.userId, { content: { membership: 'join' } })],
    ['that is a ban', (who) => make(who, alice.userId, { content: { membership: 'ban' } })],
    ['that is power levels', (who) => make(who, '', { type: 'm.room.power_levels', content: { users: {} } })],
    ['that is a message', (who) => make(who, alice.userId, { type: 'm.room.message', state_key: undefined })],
    ['of somebody on another server', (who) => make(who, '@victim:good.test:1')],
    ['by somebody on another server', (who) => make(user('@victim:good.test:1'), alice.userId, {}, serverNameOf(who))],
    ['by ourselves', (who) => make(user('@hr_alice:test.local'), alice.userId, {}, serverNameOf(who))],
    [
      'of another room than the path',
      (who) => ({
        ...make(who, alice.userId, { room_id: '!else:test.local' }),
        roomId: make(who, alice.userId).roomId,
      }),
    ],
    ['under another event ID', (who) => ({ ...make(who, alice.userId), eventId: `$${'q'.repeat(43)}` })],
    [
      'that is not signed',
      (who) => {
        const invite = make(who, alice.userId)
        return { ...invite, json: { ...invite.json, signatures: {} } }
      },
    ],
    [
      'that was changed after signing',
      (who) => {
        const invite = make(who, alice.userId)
        return { ...invite, json: { ...invite.json, content: { membership: 'invite', reason: 'changed' } } }
      },
    ],
    ['of nobody', (who) => make(who, '@nobody_at_all:test.local')],
  ])('%s is not signed', async (_, lie) => {
    const who = stranger()
    const { status, text } = await hand(who, lie(who))
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(500)
    expect(text).not.toContain('signatures')
    expect(Object.keys((await sync(alice)).rooms?.invite ?? {})).not.toContain(lie(who).roomId)
  })

  it('is signed as it is, with nothing of ours but the signature', async () => {
    const who = stranger()
    const invite = make(who, alice.userId)
    const { event } = await ok(hand<{ event: JsonObject }>(who, invite))
    const { signatures, ...rest } = event
    const { signatures: _, ...sent } = invite.json
    expect(rest).toEqual(sent)
    expect(new Set(Object.keys(isObject(signatures) ? signatures : {}))).toEqual(
      new Set(['test.local', serverNameOf(who)]),
    )
  })

  it('case 23: brings no more state than is bounded and well-formed, and no /sync breaks', async () => {
    const who = stranger()
    const invite = make(who, alice.userId)
    const good = { type: 'm.room.name', state_key: '', sender: who, content: { name: 'nice' } }
    let deep: JsonObject = {}
    for (let level = 0; level < 500; level++) deep = { deep }
    const state: JsonObject[] = [
      good,
      {},
      { type: 1, state_key: '', sender: who, content: {} },
      { type: 'm.room.topic', sender: who, content: {} },
      { type: 'm.room.topic', state_key: '', sender: 'nobody', content: {} },
      { type: 'm.room.topic', state_key: '', sender: who, content: 'text' },
      { type: 'm.room.topic', state_key: '', sender: who, content: deep },
      ...Array.from({ length: 2_000 }, (_, n) => ({
        type: 'm.spam',
        state_key: String(n),
        sender: who,
        content: { x: 'x'.repeat(300) },
      })),
    ]
    expect((await hand(who, invite, state)).status).toBe(200)
    const answer = await alice.get('/sync')
    expect(answer.status).toBe(200)
    const seen = (await sync(alice)).rooms?.invite?.[invite.roomId]?.invite_state?.events ?? []
    expect(seen.length).toBeLessThan(70)
    expect(seen.find(({ type }) => type === 'm.room.name')?.content).toEqual({ name: 'nice' })
    expect(JSON.stringify(seen).length).toBeLessThan(200_000)
  })
})

it('case 19: users are told of when they are ours, and no others', async () => {
  const server = serverNameOf(stranger())
  const profile = (who: string) => askAs(server, 'GET', `/query/profile?user_id=${part(who)}`)
  expect((await profile(alice.userId)).status).toBe(200)
  for (const who of ['@victim:good.test:1', 'nonsense', '']) {
    const { status } = await profile(who)
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(500)
  }
  expect(await askAs(server, 'GET', `/user/devices/${part('@victim:good.test:1')}`)).toMatchObject({ status: 404 })
  const keys = await askAs<{ device_keys: JsonObject }>(server, 'POST', '/user/keys/query', {
    device_keys: { '@victim:good.test:1': [], nonsense: [] },
  })
  expect(keys.body.device_keys).toEqual({})
})
