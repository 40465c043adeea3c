/**
 * States that a server tells when it is asked what lies behind a hole: of more than fits into memory, or with more in them than
 * was asked for. Security cases 9, 22, 26.
 */
import { parsePdu } from '#protocol/events/event-format.ts'
import { parseEventId, type EventId } from '#protocol/identifiers/event-id.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'

import { FederationRequests, maxIds } from '../../../durable-objects/room/federation/federation-requests.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { type RoomTimeline, timeline } from '../../dsl/room-timeline.ts'
import { registerUser, type User } from '../client.ts'
import { at, type ClientEvent, fullState, ok } from '../rooms/rooms.ts'
import { receive } from '../room/remote-events.ts'
import { makeRoom, mallory, roomObject, rows, withRoom } from '../room/rooms.ts'
import { neighbour, residentOf, serversAnswer, stranger, transact } from './hostile-server.ts'

let alice: User
beforeAll(async () => {
  alice = await registerUser('hu_alice')
})
afterEach(() => void serversAnswer({}))

/** A room that Alice joined before anything in `later` was. */
async function joined(): Promise<{ room: RoomTimeline; creator: UserId }> {
  const creator = stranger()
  const room = timeline('11').publicChat({ creator })
  const asked = serversAnswer(residentOf(room))
  await ok(alice.post(`/join/${encodeURIComponent(room.roomId)}?server_name=${serverNameOf(creator)}`))
  const join = parsePdu(room.rules, asked.find(({ url }) => url.pathname.includes('/send_join/'))?.body, nodeCrypto)
  if (!join.ok) throw new Error(join.message)
  room.append(join.pdu)
  return { room, creator }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('it never came to that')
}

const eventsOf = (room: RoomTimeline) => [...room.state.values()].map((id) => room.lookupAny(id)?.pdu)
const storedIn = async (room: RoomTimeline) => {
  const roomId = parseRoomId(room.roomId)
  if (!roomId) throw new Error(room.roomId)
  return (await rows<{ count: number }>(roomObject(roomId), 'SELECT count(*) AS count FROM events'))[0]?.count ?? 0
}

describe('the state behind a hole', () => {
  it('of many events is taken as it comes, and of what was not asked for nothing is kept', async () => {
    const { room, creator } = await joined()
    for (let n = 0; n < 40; n++) room.join(neighbour(creator, `m${n}`))
    // Nobody tells this message, only what came after it.
    const hole = room.message(creator, 'in between').last.pdu
    const state = eventsOf(room)
    const told = room.message(creator, 'told').last.pdu
    const junk = Array.from({ length: 300 }, (_, n) => room.draft('m.room.topic', '', { topic: `${n}` }, creator).json)
    serversAnswer({
      ...residentOf(room),
      '/get_missing_events/': () => Response.json({ events: [] }),
      '/state_ids/': ({ url }) =>
        url.searchParams.get('event_id') === hole.event_id
          ? Response.json({ pdu_ids: state.map((pdu) => pdu?.event_id), auth_chain_ids: [] })
          : undefined,
      '/state/': () => Response.json({ pdus: [...junk, ...state.map((pdu) => pdu?.json)], auth_chain: junk }),
      '/event/': ({ url }) => {
        const isHole = url.pathname.endsWith(encodeURIComponent(hole.event_id))
        return isHole ? Response.json({ pdus: [hole.json] }) : undefined
      },
    })
    const before = await storedIn(room)
    await transact(serverNameOf(creator), { pdus: [told.json] })
    await until(async () => {
      const { chunk } = await ok<{ chunk: ClientEvent[] }>(alice.get(at(room.roomId, '/messages?dir=b&limit=5')))
      return chunk.some(({ content }) => content['body'] === 'told')
    })
    expect((await fullState(alice, room.roomId)).filter(({ type }) => type === 'm.room.member')).toHaveLength(42)
    expect(await storedIn(room)).toBeLessThan(before + 50)
  })

  it('of more events than any room has is none', async () => {
    const { room, creator } = await joined()
    const text = Array.from({ length: maxIds + 2 }, (_, n) => `"$${n.toString(36)}"`).join()
    const answers: Record<string, string> = {
      many: `{"pdu_ids":[${text}],"auth_chain_ids":[]}`,
      chain: `{"pdu_ids":["$a"],"auth_chain_ids":[${text}]}`,
      few: '{"pdu_ids":["$a","$a",1,null],"auth_chain_ids":["$b"]}',
      broken: '{"pdu_ids":["$a"],"auth_chain_ids":["$b"',
    }
    serversAnswer({
      '/state_ids/': ({ url }) => new Response(answers[url.searchParams.get('event_id')?.slice(1) ?? '']),
    })
    const requests = new FederationRequests(env, room)
    const ask = (id: string) => requests.stateIds(serverNameOf(creator), eventId(id))
    expect(await ask('$many')).toBeUndefined()
    expect(await ask('$chain')).toBeUndefined()
    expect(await ask('$broken')).toBeUndefined()
    expect(await ask('$few')).toEqual({ state: ['$a'], authChain: ['$b'] })
  })
})

it('an auth chain that somebody made as long as they liked is told whole, and never held', async () => {
  const made = await makeRoom('11', { preset: 'public_chat' })
  const count = 700
  const last = await withRoom(made, (opened) => {
    let prev = opened.reader.events(opened.reader.header().extremities)
    for (let n = 0; n < count; n++) {
      const content = { membership: 'join', displayname: `${n}`, padding: 'x'.repeat(5_000) }
      prev = [receive(opened, { type: 'm.room.member', stateKey: mallory, sender: mallory, content, prev })]
    }
    return prev[0]?.event_id
  })
  await made.evict()
  const ask = (origin: string) =>
    made.stub.fetch('https://room/event-auth', { method: 'POST', body: JSON.stringify({ origin, authOf: last }) })
  const { auth_chain: chain } = await (await ask('localhost:1')).json<{ auth_chain: { type: string }[] }>()
  expect(chain.filter(({ type }) => type === 'm.room.member')).toHaveLength(count)
  expect((await ask('elsewhere.test')).status).toBe(403)
})

function eventId(id: string): EventId {
  const parsed = parseEventId(id)
  if (!parsed) throw new Error(id)
  return parsed
}
