/** What servers are sent, and answered, when somebody of theirs is invited or joins. Spec: server-server-api/#joining-rooms, #inviting-to-a-room. */
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import { type RoomVersion, rulesOf } from '#protocol/room-versions/rules.ts'
import { signEvent } from '#protocol/signing/event-signatures.ts'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'

import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { registerUser, type User } from '../client.ts'
import { at, createRoom, ok, refused } from '../rooms/rooms.ts'
import { type Asked, otherServer, type OtherServer, serversAnswer, signedBy } from './other-server.ts'

let alice: User
let other: OtherServer
beforeAll(async () => {
  alice = await registerUser('ij_alice')
  other = await otherServer('invited.test:8448')
})
afterEach(() => {
  vi.restoreAllMocks()
})

const guest = () => `@guest:${other.name}`
const signed = (version: RoomVersion, event: JsonObject) => {
  const rules = rulesOf(version)
  if (!rules) throw new TypeError(version)
  return signEvent(rules, event, other.name, other.identity.key, nodeCrypto)
}

/** A server of the days before `/v2/invite`; the bodies that it was sent. */
function oldServer(version: RoomVersion, status: number) {
  const bodies: JsonObject[] = []
  const asked = serversAnswer({
    [other.name]: ({ path, body = {} }: Asked) => {
      if (path.includes('/v2/invite/')) return Response.json({ errcode: 'M_UNRECOGNIZED' }, { status })
      if (!path.includes('/v1/invite/')) return { pdus: {} }
      bodies.push(body)
      const { unsigned: _, ...event } = body
      return [200, { event: signed(version, event) }]
    },
  })
  return { bodies, asked }
}

describe('a server that knows the first form of invites alone', () => {
  test.each([
    ['1', 404],
    ['2', 400],
  ] as const)('signs them in rooms of version %s, after a %s', async (version, status) => {
    const roomId = await createRoom(alice, { room_version: version, name: 'Old' })
    const { bodies } = oldServer(version, status)
    await ok(alice.post(at(roomId, '/invite'), { user_id: guest() }))
    const [body = {}] = bodies
    expect(body).toMatchObject({ type: 'm.room.member', state_key: guest(), room_id: roomId })
    const unsigned = own(body, 'unsigned')
    expect(isObject(unsigned) && own(unsigned, 'invite_room_state')).toContainEqual(
      expect.objectContaining({ type: 'm.room.name' }),
    )
    expect(await alice.get(at(roomId, `/state/m.room.member/${guest()}`))).toMatchObject({
      body: { membership: 'invite' },
    })
  })

  test('is not asked so in later rooms, nor where it refuses', async () => {
    const later = await createRoom(alice, { room_version: '3' })
    const { asked } = oldServer('3', 404)
    expect((await alice.post(at(later, '/invite'), { user_id: guest() })).status).toBeGreaterThanOrEqual(400)
    const old = await createRoom(alice, { room_version: '1' })
    const refusing = oldServer('1', 403)
    expect(await alice.post(at(old, '/invite'), { user_id: guest() })).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect([...asked, ...refusing.asked].filter((line) => line.includes('/v1/invite/'))).toEqual([])
  })
})

test('who is invited from elsewhere gets the invite once; what becomes of it by a transaction', async () => {
  const roomId = await createRoom(alice, { room_version: '11' })
  const sent: unknown[] = []
  serversAnswer({
    [other.name]: ({ path, body = {} }: Asked) => {
      const event = own(body, 'event')
      if (path.includes('/v2/invite/') && isObject(event)) return { event: signed('11', event) }
      const pdus = own(body, 'pdus')
      if (Array.isArray(pdus)) sent.push(...pdus)
      return { pdus: {} }
    },
  })
  await ok(alice.post(at(roomId, '/invite'), { user_id: guest() }))
  await ok(alice.post(at(roomId, '/ban'), { user_id: guest() }))
  await vi.waitFor(() => expect(sent).not.toEqual([]), { timeout: 30_000, interval: 50 })
  expect(sent).toMatchObject([{ state_key: guest(), content: { membership: 'ban' } }])
})

test.each(['6', '12'] as const)('an invite that is no canonical JSON is bad in room version %s', async (version) => {
  serversAnswer({})
  const roomId = `!r:${other.name}`
  const envelope = { room_id: roomId, depth: 1, origin_server_ts: 1, prev_events: [], auth_events: [] }
  const event = {
    ...envelope,
    type: 'm.room.member',
    sender: guest(),
    state_key: alice.userId,
    content: { membership: 'invite', share: 1.5 },
    hashes: { sha256: 'AAAA' },
    signatures: { [other.name]: { 'ed25519:k': 'AAAA' } },
  }
  const path = `/_matrix/federation/v2/invite/${encodeURIComponent(roomId)}/${encodeURIComponent(`$${'x'.repeat(43)}`)}`
  expect(await other.ask('PUT', path, { room_version: version, event })).toMatchObject(refused(400, 'M_BAD_JSON'))
})

describe.each(['1', '11', '12'] as const)('a server that joins a room of version %s', (version) => {
  type Told = { state: JsonObject[]; auth_chain: JsonObject[] }

  async function joins(form: 'v1' | 'v2', query = ''): Promise<Told> {
    serversAnswer({ [other.name]: () => ({ pdus: {} }) })
    const roomId = await createRoom(alice, { room_version: version, preset: 'public_chat' })
    const [id, who] = [encodeURIComponent(roomId), encodeURIComponent(guest())]
    const made = await ok(other.ask<{ event: JsonObject }>('GET', `/make_join/${id}/${who}?ver=${version}`))
    const proto = version === '1' ? { ...made.event, event_id: `$join${Math.random()}:${other.name}` } : made.event
    const join = signedBy(other, version, proto)
    const path = `/_matrix/federation/${form}/send_join/${id}/${encodeURIComponent(join.event_id)}${query}`
    const answer = await ok(other.ask<Told | [number, Told]>('PUT', path, join.json))
    return Array.isArray(answer) ? answer[1] : answer
  }
  const types = (events: JsonObject[]) => events.map(({ type }) => type)

  test.each(['v1', 'v2'] as const)('by %s is told the whole auth chain, what is state as well', async (form) => {
    const { state, auth_chain: chain } = await joins(form)
    expect(types(state)).toContain('m.room.create')
    expect(types(chain)).toEqual(
      expect.arrayContaining(['m.room.create', 'm.room.member', 'm.room.power_levels', 'm.room.join_rules']),
    )
  })

  test('may leave out members, and then gets no event twice', async () => {
    const { state, auth_chain: chain } = await joins('v2', '?omit_members=true')
    const told = new Set([...state, ...chain].map((event) => JSON.stringify(event)))
    expect(told.size).toBe(state.length + chain.length)
    expect(types(state)).toContain('m.room.create')
  })
})

describe('a room of a version that we do not know', () => {
  const unknown = 'org.example.from-the-future'

  test.each([
    [
      'its server refuses us',
      () =>
        Response.json({ errcode: 'M_INCOMPATIBLE_ROOM_VERSION', error: 'no', room_version: unknown }, { status: 400 }),
    ],
    ['its server does not', () => ({ room_version: unknown, event: {} })],
  ])('is named to who wants to join it, where %s', async (_, answer) => {
    const roomId = `!future:${other.name}`
    serversAnswer({ [other.name]: ({ path }) => (path.includes('/make_join/') ? answer() : { pdus: {} }) })
    const joining = await alice.post(`/join/${encodeURIComponent(roomId)}?via=${other.name}`)
    expect(joining).toMatchObject({
      status: 400,
      body: { errcode: 'M_INCOMPATIBLE_ROOM_VERSION', room_version: unknown },
    })
  })
})
