/**
 * Transactions of a server that lies: its events, its EDUs, its holes. Each PDU stands or falls alone.
 * Security cases 5, 6, 7, 9, 10, 14, 15, 17, 18, 20, 21, 22, 25, 27.
 */
import { parsePdu } from '#protocol/events/event-format.ts'
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject, JsonValue } from '#protocol/json/json.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'
import { signEvent } from '#protocol/signing/event-signatures.ts'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'

import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { keyOf, type RoomTimeline, timeline } from '../../dsl/room-timeline.ts'
import { user } from '../../dsl/users.ts'
import { anonymous, registerUser, type User } from '../client.ts'
import { at, type ClientEvent, fullState, ok, refused } from '../rooms/rooms.ts'
import { sync } from '../sync/syncing.ts'
import { askAs, neighbour, publishedKeys, residentOf, serversAnswer, stranger, transact } from './hostile-server.ts'

let alice: User
let bob: User
beforeAll(async () => {
  alice = await registerUser('ht_alice')
  bob = await registerUser('ht_bob')
})
afterEach(() => {
  // What our sender still has to tell goes nowhere.
  serversAnswer({})
})

interface Shared {
  readonly room: RoomTimeline
  readonly creator: UserId
  /** Of the creator. */
  readonly server: ReturnType<typeof serverNameOf>
  readonly asked: ReturnType<typeof serversAnswer>
}

/** A room of a stranger that Alice has joined, with her join in the stranger's copy of it. */
async function shared(version: RoomVersion = '11', members: (creator: UserId) => UserId[] = () => []): Promise<Shared> {
  const creator = stranger()
  const room = timeline(version).publicChat({ creator, members: members(creator) })
  const server = serverNameOf(creator)
  const asked = serversAnswer(residentOf(room))
  await ok(alice.post(`/join/${encodeURIComponent(room.roomId)}?server_name=${server}`))
  const join = parsePdu(room.rules, asked.find(({ url }) => url.pathname.includes('/send_join/'))?.body, nodeCrypto)
  if (!join.ok) throw new Error(join.message)
  room.append(join.pdu)
  return { room, creator, server, asked }
}

const messagesOf = async (room: RoomTimeline, reader = alice) => {
  const { chunk } = await ok<{ chunk: ClientEvent[] }>(reader.get(at(room.roomId, '/messages?dir=b&limit=50')))
  return chunk.filter(({ type }) => type === 'm.room.message').map(({ content }) => content['body'])
}
const topicOf = async (room: RoomTimeline) =>
  (await fullState(alice, room.roomId)).find(({ type }) => type === 'm.room.topic')?.content['topic']

/** The event as this server would sign it with these fields; floats, which nobody can sign, get the old signature. */
function resigned({ rules }: RoomTimeline, server: string, event: JsonObject): JsonObject {
  const { signatures, hashes, ...bare } = event
  try {
    return signEvent(rules, bare, server, keyOf(server), nodeCrypto)
  } catch {
    return { ...bare, hashes, signatures }
  }
}

/** Waits until nothing was asked of other servers for a while; how much was. */
async function quiet(asked: readonly unknown[]): Promise<number> {
  for (let before = -1; before !== asked.length;) {
    before = asked.length
    await new Promise((resolve) => setTimeout(resolve, 400))
  }
  return asked.length
}

describe.each<RoomVersion>(['1', '12'])('case 20: in room version %s a bad event fails alone, one', (version) => {
  const strict = Number(version) >= 6
  const lies: [string, boolean, (shared: Shared, honest: JsonObject) => JsonValue][] = [
    ['that is null', true, () => null],
    ['that is a list', true, () => []],
    ['of an unknown room (case 21)', true, (_, honest) => ({ ...honest, room_id: '!unknown:evil.test' })],
    [
      'without a room',
      true,
      ({ room }, honest) => (room.rules.roomIdIsCreateHash ? null : { ...honest, room_id: undefined }),
    ],
    [
      'with a float (case 6)',
      strict,
      ({ room, server }, honest) => resigned(room, server, { ...honest, content: { body: 'bad', a: 0.5 } }),
    ],
    [
      'with 200 kB (case 6)',
      true,
      ({ room, server }, honest) => resigned(room, server, { ...honest, content: { body: 'b'.repeat(200_000) } }),
    ],
    [
      'with an integer too large (case 6)',
      strict,
      ({ room, server }, honest) => resigned(room, server, { ...honest, content: { body: 'bad', a: 2 ** 53 } }),
    ],
    ['with a negative depth', true, ({ room, server }, honest) => resigned(room, server, { ...honest, depth: -5 })],
    [
      'with a depth that is text',
      true,
      ({ room, server }, honest) => resigned(room, server, { ...honest, depth: '5' }),
    ],
    [
      'of a type of 300 bytes',
      true,
      ({ room, server }, honest) => resigned(room, server, { ...honest, type: 't'.repeat(300) }),
    ],
    [
      'of a sender of 300 bytes',
      true,
      ({ room, server }, honest) => resigned(room, server, { ...honest, sender: `@${'s'.repeat(300)}:${server}` }),
    ],
    [
      'with 30 prev_events',
      true,
      ({ room, server }, honest) =>
        resigned(room, server, { ...honest, prev_events: Array(30).fill(list(honest, 'prev_events')[0]) }),
    ],
    [
      'with 20 auth_events',
      true,
      ({ room, server }, honest) =>
        resigned(room, server, { ...honest, auth_events: Array(20).fill(list(honest, 'auth_events')[0]) }),
    ],
    [
      'with prev_events of numbers',
      true,
      ({ room, server }, honest) => resigned(room, server, { ...honest, prev_events: [1, {}] }),
    ],
    ['with no prev_events', true, ({ room, server }, honest) => resigned(room, server, { ...honest, prev_events: [] })],
    [
      'whose content is text',
      true,
      ({ room, server }, honest) => resigned(room, server, { ...honest, content: 'bad' }),
    ],
    ['that is not signed (case 25)', true, (_, honest) => ({ ...honest, signatures: {} })],
    [
      'with a signature of nonsense',
      true,
      ({ server }, honest) => ({ ...honest, signatures: { [server]: { 'ed25519:1': 'nonsense' } } }),
    ],
    ['with signatures that are no object', true, (_, honest) => ({ ...honest, signatures: [] })],
    [
      'signed by another server than its sender’s (case 25)',
      true,
      ({ room, server }) =>
        room.draft('m.room.message', undefined, { body: 'bad' }, user('@victim:good.test:1'), { signedBy: server })
          .json,
    ],
    [
      'in the name of a user of ours (case 8)',
      true,
      ({ room, server }) =>
        room.draft('m.room.message', undefined, { body: 'bad' }, user(alice.userId), { signedBy: server }).json,
    ],
    [
      'of a sender who is not in the room (case 7)',
      true,
      ({ room, creator }) =>
        room.draft('m.room.message', undefined, { body: 'bad' }, neighbour(creator, 'nobody')).json,
    ],
    [
      'that cites auth events that do not belong (case 7)',
      true,
      ({ room, creator }) =>
        room.draft('m.room.message', undefined, { body: 'bad' }, creator, {
          authEvents: [room.events[0]?.pdu.event_id ?? room.lastId],
        }).json,
    ],
  ]

  it.each(lies)('%s', async (_, hidden, lie) => {
    const all = await shared(version)
    const { room, creator, server } = all
    const honest = room.draft('m.room.message', undefined, { msgtype: 'm.text', body: 'bad' }, creator).json
    const good = room.draft('m.room.message', undefined, { msgtype: 'm.text', body: 'good' }, creator)
    const pdus = [lie(all, honest), good.json, lie(all, honest)]
    const { status, body } = await transact(server, { pdus })
    expect({ status, good: body.pdus[good.event_id] }).toEqual({ status: 200, good: {} })
    const seen = await messagesOf(room)
    expect(seen).toContain('good')
    if (hidden) expect(seen).toEqual(['good'])
  })

  it('that nests a thousand levels', async () => {
    const { room, creator, server } = await shared(version)
    let deep: JsonObject = {}
    for (let level = 0; level < 900; level++) deep = { deep }
    const { hashes, signatures, ...bare } = room.draft('m.room.message', undefined, { body: 'bad' }, creator).json
    const good = room.draft('m.room.message', undefined, { msgtype: 'm.text', body: 'good' }, creator)
    const pdus = [{ ...bare, hashes, signatures, content: { body: 'bad', deep } }, good.json]
    expect((await transact(server, { pdus })).status).toBe(200)
    expect(await messagesOf(room)).toContain('good')
  })
})

describe('case 5: a rejected event', () => {
  it('changes no state, is built upon by nobody, and takes down what cites it', async () => {
    const { room, creator, server } = await shared()
    const nobody = neighbour(creator, 'plain')
    await transact(server, { pdus: [room.join(nobody).last.pdu.json] })
    const grab = room.draft('m.room.power_levels', '', { users: { [nobody]: 100 } }, nobody)
    const { body } = await transact(server, { pdus: [grab.json] })
    expect(body.pdus[grab.event_id]).toHaveProperty('error')
    const authEvents = [room.current('m.room.create').event_id, room.current('m.room.member', nobody).event_id]
    const lie = room.draft('m.room.topic', '', { topic: 'lie' }, nobody, { authEvents: [...authEvents, grab.event_id] })
    const onTop = room.draft('m.room.topic', '', { topic: 'lie' }, nobody, { prevEvents: [grab.event_id] })
    const answer = await transact(server, { pdus: [lie.json, onTop.json] })
    expect(answer.body.pdus[lie.event_id]).toHaveProperty('error')
    expect(await topicOf(room)).toBeUndefined()
    const levels = (await fullState(alice, room.roomId)).find(({ type }) => type === 'm.room.power_levels')
    expect(levels?.content['users']).toEqual({ [creator]: 100 })
    // And it is given to nobody.
    const event = await askAs(server, 'GET', `/event/${encodeURIComponent(grab.event_id)}`)
    expect(event.status).toBe(404)
  })
})

describe('case 25: a request', () => {
  const transaction = { origin: 'x', origin_server_ts: 1, pdus: [], edus: [] }
  it('without a signature is refused, on every path', async () => {
    for (const path of ['/send/1', '/send/1?x=1']) {
      const answer = await anonymous.put(`/_matrix/federation/v1${path}`, transaction)
      expect(answer).toMatchObject(refused(401, 'M_UNAUTHORIZED'))
    }
    for (const path of ['v1/send_join', 'v2/send_join', 'v1/send_leave', 'v2/send_leave', 'v1/invite', 'v2/invite']) {
      const answer = await anonymous.put(`/_matrix/federation/${path}/!r:test.local/$e`, {})
      expect(answer).toMatchObject(refused(401, 'M_UNAUTHORIZED'))
    }
  })

  it('by a server in the name of another is refused', async () => {
    const [liar, victim] = [serverNameOf(stranger()), serverNameOf(stranger())]
    const path = `/query/profile?user_id=${encodeURIComponent(alice.userId)}`
    serversAnswer({})
    expect((await askAs(liar, 'GET', path)).status).toBe(200)
    expect(await askAs(victim, 'GET', path, undefined, liar)).toMatchObject(refused(401, 'M_UNAUTHORIZED'))
    // Nor do the keys that the liar would publish for it count.
    const another = serverNameOf(stranger())
    serversAnswer({ '/key/v2/server': () => Response.json(publishedKeys(liar, { server_name: another })) })
    expect(await askAs(another, 'GET', path, undefined, liar)).toMatchObject(refused(401, 'M_UNAUTHORIZED'))
  })
})

describe('case 22: where events are missing, the server that is asked for them', () => {
  /** A room in which two messages were sent of which only the second is told. */
  async function withHole(answers: (shared: Shared, hole: JsonObject) => Parameters<typeof serversAnswer>[0]) {
    const all = await shared('11')
    const { room, creator, server } = all
    const hole = room.message(creator, 'in between').last.pdu.json
    const told = room.message(creator, 'told').last.pdu
    const asked = serversAnswer({ ...residentOf(room), ...answers(all, hole) })
    const { status, body } = await transact(server, { pdus: [told.json] })
    expect({ status, body: body.pdus[told.event_id] }).toEqual({ status: 200, body: {} })
    return { ...all, hole, told, asked, requests: await quiet(asked) }
  }

  it('may tell the truth', async () => {
    const { room } = await withHole((_, hole) => ({ '/get_missing_events/': () => Response.json({ events: [hole] }) }))
    expect(await messagesOf(room)).toEqual(['told', 'in between'])
  })

  it('may lie: forged events are not taken, and what waits goes on waiting', async () => {
    const { room, requests } = await withHole((_, hole) => ({
      '/get_missing_events/': () =>
        Response.json({ events: [{ ...hole, signatures: {} }, null, { ...hole, depth: 1 }, 'x'] }),
    }))
    expect(await messagesOf(room)).toEqual([])
    expect(requests).toBeLessThan(60)
  })

  it('may make up ancestors without end: there is an end to the questions', async () => {
    let made = 0
    const { room, requests } = await withHole(({ room, creator }, hole) => ({
      '/get_missing_events/': ({ body }) => {
        const latest = list(body, 'latest_events')[0]
        const wanted = latest === undefined ? [] : [hole]
        // Each ancestor has another ancestor that nobody knows.
        const next = Array.from({ length: 20 }, () =>
          room.draft('m.room.message', undefined, { body: `made up ${(made += 1)}` }, creator, {
            prevEvents: unknownId(),
          }),
        )
        return Response.json({ events: [...wanted, ...next.map(({ json }) => json)] })
      },
    }))
    expect(await messagesOf(room)).not.toContain('made up 1')
    expect(requests).toBeLessThan(250)
  })

  it('may tell a state that was never: what nobody may have sent does not get in', async () => {
    const { room } = await withHole(({ room, creator }, hole) => {
      const lie = room.draft('m.room.topic', '', { topic: 'lie' }, neighbour(creator, 'nobody')).json
      const forged = room.draft('m.room.name', '', { name: 'lie' }, user('@victim:good.test:1'), {
        signedBy: serverNameOf(creator),
      }).json
      const state = [...room.state.values()].map((id) => room.lookupAny(id)?.pdu)
      const ids = [...state.map((pdu) => pdu?.event_id), idIn(room, lie), idIn(room, forged)]
      return {
        '/get_missing_events/': () => Response.json({ events: [] }),
        '/state_ids/': () => Response.json({ pdu_ids: ids, auth_chain_ids: [] }),
        '/state/': () => Response.json({ pdus: [...state.map((pdu) => pdu?.json), lie, forged], auth_chain: [] }),
        '/event/': ({ url }) => {
          const found = [hole, lie, forged].find((json) =>
            url.pathname.endsWith(encodeURIComponent(idIn(room, json) ?? '')),
          )
          return found && Response.json({ pdus: [found] })
        },
      }
    })
    expect(await topicOf(room)).toBeUndefined()
    expect((await fullState(alice, room.roomId)).map(({ type }) => type)).not.toContain('m.room.name')
  })

  it('may send an auth chain without end: it is read to a bound', async () => {
    const { room, creator, server } = await shared('11')
    const unknown = unknownId()
    const authEvents = [
      ...list(room.draft('m.room.message', undefined, {}, creator).json, 'auth_events').map(String),
      ...unknown,
    ]
    const told = room.draft('m.room.message', undefined, { body: 'told' }, creator, {
      authEvents: authEvents.flatMap((id) => parseEventId(id) ?? []),
    })
    const chain = new TextEncoder().encode(`${JSON.stringify(told.json)},`.repeat(50))
    const asked = serversAnswer({
      '/event_auth/': () =>
        new Response(
          new ReadableStream({
            start: (controller) => controller.enqueue(new TextEncoder().encode('{"auth_chain":[')),
            pull: (controller) => controller.enqueue(chain),
          }),
        ),
    })
    expect((await transact(server, { pdus: [told.json] })).status).toBe(200)
    await quiet(asked)
    expect(await messagesOf(room)).toEqual([])
  })
})

describe('case 17: EDUs of a server', () => {
  it('speak for its own users only, and harm nobody when they are nonsense', async () => {
    const { room, creator, server } = await shared('11')
    await transact(server, { pdus: [room.message(creator, 'read me').last.pdu.json] })
    const event = room.lastId
    const third = user('@third:other.test:1')
    const receipt = (who: string, eventIds: JsonValue = [event]) => ({
      edu_type: 'm.receipt',
      content: { [room.roomId]: { 'm.read': { [who]: { event_ids: eventIds, data: { ts: 1 } } } } },
    })
    const typing = (who: string) => ({
      edu_type: 'm.typing',
      content: { room_id: room.roomId, user_id: who, typing: true },
    })
    const about = (edu_type: string, who: string) => ({
      edu_type,
      content: { user_id: who, device_id: 'D', stream_id: 1 },
    })
    const nonsense = [
      null,
      1,
      [],
      {},
      { edu_type: 'm.typing' },
      { edu_type: 1, content: {} },
      { edu_type: 'constructor', content: {} },
    ]
    const contents = [
      null,
      [],
      'x',
      { room_id: 1 },
      { [room.roomId]: null },
      { [room.roomId]: { 'm.read': { [creator]: 1 } } },
    ]
    const types = [
      'm.typing',
      'm.receipt',
      'm.presence',
      'm.direct_to_device',
      'm.device_list_update',
      'm.signing_key_update',
    ]
    const edus = [
      ...nonsense,
      ...types.flatMap((edu_type) => contents.map((content) => ({ edu_type, content }))),
      ...[bob.userId, alice.userId, third].flatMap((who) => [
        typing(who),
        receipt(who),
        about('m.device_list_update', who),
        about('m.signing_key_update', who),
        { edu_type: 'm.presence', content: { push: [{ user_id: who, presence: 'online' }] } },
        {
          edu_type: 'm.direct_to_device',
          content: { sender: who, type: 'm.lie', message_id: who, messages: { [alice.userId]: { '*': {} } } },
        },
      ]),
      receipt(creator, ['$unknown', 1, null]),
      receipt(neighbour(creator, 'nobody')),
      typing(neighbour(creator, 'nobody')),
    ]
    const before = await sync(alice)
    expect((await transact(server, { edus })).status).toBe(200)
    const after = await sync(alice, { since: before.next_batch })
    expect(after.rooms?.join?.[room.roomId]?.ephemeral?.events ?? []).toEqual([])
    expect(after.to_device?.events ?? []).toEqual([])
    expect(after).not.toMatchObject({ device_lists: { changed: [expect.anything()] } })
    expect(after).not.toMatchObject({ presence: { events: [expect.anything()] } })
    // What its own users do arrives.
    await transact(server, { edus: [typing(creator), receipt(creator)] })
    const heard = (await sync(alice, { since: after.next_batch })).rooms?.join?.[room.roomId]?.ephemeral?.events ?? []
    expect(heard.map(({ type }) => type).toSorted((a, b) => a.localeCompare(b))).toEqual(['m.receipt', 'm.typing'])
  })

  it('and PDUs beyond their number are refused together', async () => {
    const server = serverNameOf(stranger())
    expect(await transact(server, { edus: many(101) })).toMatchObject(refused(413, 'M_TOO_LARGE'))
    expect(await transact(server, { pdus: many(51) })).toMatchObject(refused(413, 'M_TOO_LARGE'))
  })
})

const many = (count: number) => Array.from({ length: count }, () => ({}))
const list = (json: JsonObject, field: string): readonly JsonValue[] => {
  const value = json[field]
  return isList(value) ? value : []
}
const isList = (value: unknown): value is readonly JsonValue[] => Array.isArray(value)
const idIn = (room: RoomTimeline, json: JsonObject) => {
  const parsed = parsePdu(room.rules, json, nodeCrypto)
  return parsed.ok ? parsed.pdu.event_id : undefined
}
let unknown = 0
const unknownId = () => {
  const id = parseEventId(`$${String((unknown += 1)).padStart(43, 'u')}`)
  return id ? [id] : []
}
