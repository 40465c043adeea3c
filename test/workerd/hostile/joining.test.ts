/**
 * Joining over a server that lies: what it may make us sign, and what of its answer gets into the room.
 * Security cases 2, 5, 6, 8, 9, 11, 13, 21, 25.
 */
import { serverNameOf } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'
import { signEvent } from '#protocol/signing/event-signatures.ts'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'

import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { keyOf, type RoomTimeline, timeline } from '../../dsl/room-timeline.ts'
import { user } from '../../dsl/users.ts'
import { registerUser, type User } from '../client.ts'
import { at, fullState, refused } from '../rooms/rooms.ts'
import { types, sync } from '../sync/syncing.ts'
import {
  neighbour,
  publishedKeys,
  type Resident,
  residentOf,
  serversAnswer,
  stranger,
  strangeRoom,
} from './hostile-server.ts'

let alice: User
beforeAll(async () => {
  alice = await registerUser('hj_alice')
})
afterEach(() => {
  // What our sender still has to tell goes nowhere.
  serversAnswer({})
})

const overThe = (room: RoomTimeline) => `?server_name=${serverNameOf(room.current('m.room.create').sender)}`
const joining = (room: RoomTimeline, who = alice) =>
  who.post(`/join/${encodeURIComponent(room.roomId)}${overThe(room)}`)

/** Joins over the creator's server, which tells these lies; the state that came of it. */
async function stateAfterJoining(room: RoomTimeline, lies: Resident) {
  serversAnswer(residentOf(room, lies))
  expect(await joining(room)).toMatchObject({ status: 200 })
  return fullState(alice, room.roomId)
}

const bodyOf = (asked: readonly { url: URL; body: JsonObject }[], part: string) =>
  asked.find(({ url }) => url.pathname.includes(part))?.body

describe.each<RoomVersion>(['1', '11', '12'])('case 11: a template in room version %s', (version) => {
  it.each([
    ['of another type', { type: 'm.room.power_levels', state_key: '' }],
    ['of a message', { type: 'm.room.message', state_key: undefined }],
    ['about somebody else', { state_key: '@bob:test.local' }],
    ['by somebody else', { sender: '@bob:test.local' }],
    ['of another room', { room_id: '!other:test.local' }],
    ['of another membership', { content: { membership: 'ban' } }],
    [
      'with more in its content',
      { content: { membership: 'join', users: { '@mallory:evil.test': 100 }, reason: 'x' } },
    ],
    ['with more fields', { redacts: '$x', 'm.evil': { a: 1 }, unsigned: { x: 1 }, origin: 'test.local' }],
    ['with hashes and signatures', { hashes: { sha256: 'AAAA' }, signatures: { 'test.local': { 'ed25519:a': 'AA' } } }],
  ])('%s gets nothing signed but our own join', async (_, lie) => {
    const { room } = strangeRoom(version)
    const asked = serversAnswer(residentOf(room, { template: (event) => ({ ...event, ...lie }) }))
    expect(await joining(room)).toMatchObject({ status: 200 })
    const sent = bodyOf(asked, '/send_join/')
    expect(sent).toMatchObject({
      type: 'm.room.member',
      sender: alice.userId,
      state_key: alice.userId,
      room_id: room.roomId,
      content: { membership: 'join', displayname: 'hj_alice' },
    })
    const ours = ['auth_events', 'content', 'depth', 'hashes', 'origin_server_ts', 'prev_events', 'room_id', 'sender']
    const more = version === '1' ? ['event_id'] : []
    expect(Object.keys(sent ?? {}).toSorted()).toEqual([...ours, ...more, 'signatures', 'state_key', 'type'].toSorted())
    expect(Object.keys(sent?.['content'] ?? {}).toSorted()).toEqual(['displayname', 'membership'])
    expect(Object.keys(sent?.['signatures'] ?? {})).toEqual(['test.local'])
  })
})

it.each(['knock', 'leave'] as const)('case 11: a template of a %s gets nothing else signed', async (membership) => {
  const creator = stranger()
  const room = timeline('11').privateChat({ creator })
  room.setJoinRule(creator, 'knock')
  const lie = { type: 'm.room.power_levels', state_key: '', sender: '@bob:test.local', content: { users: {} } }
  const asked = serversAnswer(residentOf(room, { template: (event) => ({ ...event, ...lie }) }))
  const knocked = await alice.post(`/knock/${encodeURIComponent(room.roomId)}${overThe(room)}`)
  expect(knocked).toMatchObject({ status: 200 })
  if (membership === 'leave') expect(await alice.post(at(room.roomId, '/leave'))).toMatchObject({ status: 200 })
  expect(bodyOf(asked, `/send_${membership}/`)).toMatchObject({
    type: 'm.room.member',
    sender: alice.userId,
    state_key: alice.userId,
    content: { membership },
  })
})

it.each([
  ['nothing', {}],
  ['no object', { event: [] }],
  ['an unknown version', { room_version: 'org.evil', event: {} }],
  ['two hundred prev_events', { room_version: '11', event: { prev_events: Array(200).fill(`$${'a'.repeat(43)}`) } }],
  ['eleven auth_events', { room_version: '11', event: { auth_events: Array(11).fill(`$${'a'.repeat(43)}`) } }],
])('case 11: a template of %s is an error, and nothing is signed', async (_, template) => {
  const { room } = strangeRoom('11')
  const asked = serversAnswer({ '/make_join/': () => Response.json(template) })
  const { status } = await joining(room)
  expect(status).toBeGreaterThanOrEqual(400)
  expect(bodyOf(asked, '/send_join/')).toBeUndefined()
})

describe.each<RoomVersion>(['6', '12'])('case 13: the answer to a join in room version %s', (version) => {
  /** A lie about the topic, which nobody may believe. */
  const topicLies: [string, (room: RoomTimeline) => JsonObject][] = [
    [
      'signed by another server than the sender’s (case 25)',
      (room) => {
        const liar = serverNameOf(room.current('m.room.create').sender)
        return room.draft('m.room.topic', '', { topic: 'lie' }, user('@victim:good.test:1'), { signedBy: liar }).json
      },
    ],
    [
      'signed by nobody (case 25)',
      (room) => ({ ...room.draft('m.room.topic', '', { topic: 'lie' }, creatorOf(room)).json, signatures: {} }),
    ],
    [
      'with a forged signature',
      (room) => {
        const { json } = room.draft('m.room.topic', '', { topic: 'lie' }, creatorOf(room))
        const server = serverNameOf(creatorOf(room))
        return signEvent(
          room.rules,
          { ...json, signatures: {} },
          server,
          { ...keyOf('else'), keyId: 'ed25519:1' },
          nodeCrypto,
        )
      },
    ],
    [
      'of another room (case 21)',
      (room) => {
        const other = timeline(room.rules.version).publicChat({ creator: neighbour(creatorOf(room), 'second') })
        const moved = other.draft('m.room.topic', '', { topic: 'lie' }, neighbour(creatorOf(room), 'second')).json
        return room.rules.roomIdIsCreateHash ? moved : resigned(room, { ...moved, room_id: '!swapped:evil.test' })
      },
    ],
    [
      'that its sender may not send',
      (room) => room.draft('m.room.topic', '', { topic: 'lie' }, neighbour(creatorOf(room), 'nobody')).json,
    ],
    [
      'with a float (case 6)',
      (room) =>
        resigned(room, {
          ...room.draft('m.room.topic', '', {}, creatorOf(room)).json,
          content: { topic: 'lie', a: 1.5 },
        }),
    ],
    [
      'of 200 kB (case 6)',
      (room) =>
        resigned(room, {
          ...room.draft('m.room.topic', '', {}, creatorOf(room)).json,
          content: { topic: 'x'.repeat(200_000) },
        }),
    ],
    [
      'with an ID of 300 bytes (case 6)',
      (room) => resigned(room, { ...room.draft('m.room.topic', '', {}, creatorOf(room)).json, type: 'm.'.repeat(150) }),
    ],
  ]

  it.each(topicLies)('leaves out an event %s', async (_, lie) => {
    const { room } = strangeRoom(version)
    const state = await stateAfterJoining(room, { state: (honest) => [...honest, lie(room)] })
    expect(state.map(({ type }) => type)).not.toContain('m.room.topic')
    expect(state.map(({ type }) => type)).toContain('m.room.join_rules')
  })

  it('takes from an event whose content was changed what a redaction leaves', async () => {
    const { room, creator } = strangeRoom(version)
    room.setTopic(creator, 'the truth')
    const changed = (event: JsonObject) =>
      event['type'] === 'm.room.topic' ? { ...event, content: { topic: 'lie' } } : event
    const state = await stateAfterJoining(room, {
      state: (honest) => honest.map(changed),
      authChain: (honest) => honest.filter((event) => event['type'] !== 'm.room.topic'),
    })
    expect(state.find(({ type }) => type === 'm.room.topic')?.content).toEqual({})
  })

  it('makes nobody a member who was banned, whatever it claims (cases 5, 8)', async () => {
    const { room, creator } = strangeRoom(version)
    const banned = neighbour(creator, 'banned')
    room.join(banned).ban(creator, banned)
    const lie = room.draft('m.room.member', banned, { membership: 'join' }, banned).json
    const state = await stateAfterJoining(room, { state: (honest) => [...honest.filter(isNotOf(banned)), lie] })
    expect(state.filter(({ state_key }) => state_key === banned)).toEqual([])
  })

  it.each<[string, Resident]>([
    [
      'without a create event',
      { state: (honest) => honest.filter(({ type }) => type !== 'm.room.create'), authChain: withoutCreate },
    ],
    [
      'without power levels and join rules',
      { state: (honest) => honest.slice(0, 1), authChain: (chain) => chain.slice(0, 1) },
    ],
    ['of numbers', { state: () => [1, 2, 3], authChain: () => [null, 'x', []] }],
    ['of nothing', { state: () => [], authChain: () => [] }],
    ['of no lists', { more: { state: { a: 1 }, auth_chain: 'no' } }],
    ['of another version', { version: version === '11' ? '10' : '11' }],
  ])('is refused when it is one %s, and leaves nothing', async (_, lies) => {
    const { room } = strangeRoom(version)
    serversAnswer(residentOf(room, lies))
    expect((await joining(room)).status).toBeGreaterThanOrEqual(400)
    expect(await alice.get(at(room.roomId, '/state'))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect((await sync(alice)).rooms?.join?.[room.roomId]).toBeUndefined()
    // Nobody is kept from joining over an honest server afterwards.
    expect((await stateAfterJoining(room, {})).map(({ type }) => type)).toContain('m.room.join_rules')
  })

  it('cannot put another join in place of ours', async () => {
    const { room, creator } = strangeRoom(version)
    const another = room.draft('m.room.member', '@bob:test.local', { membership: 'join' }, creator).json
    const state = await stateAfterJoining(room, { more: { event: another } })
    expect(state.find(({ state_key }) => state_key === alice.userId)?.content).toMatchObject({ membership: 'join' })
    expect(state.map(({ state_key }) => state_key)).not.toContain('@bob:test.local')
  })

  it('cannot bring a second create event (case 2)', async () => {
    const { room, creator } = strangeRoom(version)
    const second = room.draft('m.room.create', '', { room_version: version, creator, evil: true }, creator).json
    const lies: Resident = { state: (honest) => [second, ...honest] }
    // From version 12 on that is another room; before it is this one as well, and then it is neither.
    if (room.rules.roomIdIsCreateHash) {
      const creates = (await stateAfterJoining(room, lies)).filter(({ type }) => type === 'm.room.create')
      expect(creates.map(({ content }) => content['evil'])).toEqual([undefined])
      return
    }
    serversAnswer(residentOf(room, lies))
    expect(await joining(room)).toMatchObject(refused(502, 'M_UNKNOWN'))
  })
})

it('case 13: events that are their own ancestors get nowhere', async () => {
  // Only room versions 1 and 2 have event IDs that are no hashes, and so can have cycles.
  const { room, creator } = strangeRoom('1')
  const server = serverNameOf(creator)
  const [a, b] = [`$a:${server}`, `$b:${server}`]
  const cyclic = (id: string, other: string, type: string) => {
    const { event_id: _, ...json } = room.draft(type, '', { topic: 'lie' }, creator).json
    const cited = [...(Array.isArray(json['auth_events']) ? json['auth_events'] : []), [other, {}]]
    return resigned(room, { ...json, event_id: id, auth_events: cited })
  }
  const cycle = [cyclic(a, b, 'm.room.topic'), cyclic(b, a, 'm.room.name')]
  const state = await stateAfterJoining(room, {
    state: (honest) => [...honest, ...cycle],
    authChain: (honest) => [...honest, ...cycle],
  })
  expect(state.map(({ type }) => type)).not.toContain('m.room.topic')
  expect(state.map(({ type }) => type)).not.toContain('m.room.name')
})

it('case 13: an auth chain with a hole takes down what builds on the hole, and nothing else', async () => {
  const { room, creator } = strangeRoom('11')
  room
    .setTopic(creator, 'before')
    .setPowerLevels(creator, { users: { [creator]: 100 } })
    .send('m.room.name', '', { name: 'after' }, creator)
  const [first] = room.events.filter(({ pdu }) => pdu.type === 'm.room.power_levels')
  const second = room.current('m.room.power_levels').json
  const gone = (event: JsonObject) => event !== first?.pdu.json && event !== second
  serversAnswer(
    residentOf(room, { state: (honest) => honest.filter(gone), authChain: (honest) => honest.filter(gone) }),
  )
  // Our own join cites the power levels too.
  expect(await joining(room)).toMatchObject(refused(502, 'M_UNKNOWN'))
})

it('case 9: a chain of thousands of events that nobody cites costs its storage and no more', async () => {
  const { room, creator } = strangeRoom('11')
  const levels = Array.from({ length: 1500 }, (_, n) => {
    room.setPowerLevels(creator, { users: { [creator]: 100 }, events: { n } })
    return room.last.pdu.json
  })
  const state = await stateAfterJoining(room, {})
  expect(state.filter(({ type }) => type === 'm.room.power_levels')).toHaveLength(1)
  expect(levels).toHaveLength(1500)
})

it('case 24: events of a server whose keys nobody can get are left out, and the join goes on', async () => {
  const { room, creator } = strangeRoom('11')
  const silent = stranger('silent')
  room.join(silent)
  serversAnswer({
    ...residentOf(room),
    '/key/v2/server': ({ server }) =>
      server === serverNameOf(silent)
        ? Response.json(publishedKeys(server, { server_name: 'other.test' }))
        : Response.json(publishedKeys(server)),
  })
  expect(await joining(room)).toMatchObject({ status: 200 })
  const members = (await fullState(alice, room.roomId)).filter(({ type }) => type === 'm.room.member')
  expect(new Set(members.map(({ state_key }) => state_key))).toEqual(new Set([alice.userId, creator]))
})

it('case 23: the state of the room comes in the first sync, and nothing hidden in the answer does', async () => {
  const { room } = strangeRoom('11')
  await stateAfterJoining(room, { more: { evil: { deep: [1] }, members_omitted: 'true', servers_in_room: [1, 'x'] } })
  const synced = (await sync(alice)).rooms?.join?.[room.roomId]
  expect([...types(synced?.state), ...types(synced?.timeline)]).toContain(`m.room.member|${alice.userId}`)
})

const creatorOf = (room: RoomTimeline) => room.current('m.room.create').sender
const isNotOf = (stateKey: string) => (event: JsonObject) => event['state_key'] !== stateKey
const withoutCreate = (chain: JsonObject[]) => chain.filter(({ type }) => type !== 'm.room.create')

/** The event as its creator's server would hash and sign it with these fields. */
function resigned(room: RoomTimeline, event: JsonObject): JsonObject {
  const { signatures: _, hashes: __, ...bare } = event
  const server = serverNameOf(creatorOf(room))
  try {
    return signEvent(room.rules, bare, server, keyOf(server), nodeCrypto)
  } catch {
    // Floats have no canonical form: no signature can be right, and none has to be looked at.
    return { ...bare, hashes: event['hashes'], signatures: event['signatures'] }
  }
}
