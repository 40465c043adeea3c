/** What this server lacks of a room it is in is fetched: forks that began long ago, and what lies behind rejected events. */
import type { Pdu } from '#protocol/events/pdu.ts'
import { buildEvent } from '#protocol/events/build-event.ts'
import { authEventKeys } from '#protocol/events/auth-events-selection.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { type JsonObject, own } from '#protocol/json/json.ts'
import { runDurableObjectAlarm } from 'cloudflare:test'
import { afterEach, expect, test, vi } from 'vitest'

import { storeOutliers } from '../../../durable-objects/room/federation/outliers.ts'
import { stateLookup } from '../../../durable-objects/room/room.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { publicRoom, rows, say, alice, type TestRoom, user, withRoom } from '../room/rooms.ts'
import { joinOver, type OtherServer, otherServer, type Reply, serversAnswer } from './other-server.ts'

afterEach(() => void vi.restoreAllMocks())

let servers = 0
/** A server, one of whose users is in a room of ours. */
async function roomWithGuest() {
  const server = await otherServer(`fork${(servers += 1)}.test:8448`)
  const guest = user(`@guest:${server.name}`)
  const made = await publicRoom()
  const joined = await joinOver(server, guest, made.roomId)
  return { server, guest, made, joined }
}

interface Wish {
  readonly type?: string
  readonly stateKey?: string
  readonly content?: JsonObject
  /** Cited besides what the state before has. */
  readonly auth?: readonly Pdu[]
}

/** An event of the guest's, after another one; its auth events are those of our room as it is now. */
function build(made: TestRoom, server: OtherServer, sender: UserId, prev: Pdu, wish: Wish = {}): Promise<Pdu> {
  const { type = 'm.room.message', stateKey, content = { msgtype: 'm.text', body: 'in a fork' }, auth = [] } = wish
  return withRoom(made, (room) => {
    const { rules, roomId, currentGroup } = room.reader.header()
    const state = stateLookup(room, currentGroup ?? 0)
    const cited = authEventKeys(rules, { type, state_key: stateKey, sender, content })
      .map(([each, key]) => state(each, key)?.event_id)
      .filter((id) => id !== undefined)
    const authEvents = [...cited, ...auth.map(({ event_id }) => event_id)]
    const { serverName, key } = server.identity
    const draft = { rules, roomId, type, stateKey, sender, content, prevEvents: [prev], authEvents }
    const built = buildEvent({ ...draft, originServerTs: Date.now() }, serverName, key, nodeCrypto)
    if (!built.ok) throw new Error(built.message)
    return built.pdu
  })
}

async function fork(made: TestRoom, server: OtherServer, sender: UserId, from: Pdu, length: number): Promise<Pdu[]> {
  const events: Pdu[] = []
  for (let index = 0; index < length; index++) {
    events.push(await build(made, server, sender, events.at(-1) ?? from))
  }
  return events
}

/** Answers as a server that has these events does; what it is not asked for goes nowhere. */
function having(events: readonly Pdu[], state: readonly Pdu[]): Reply {
  const byId = new Map(events.map((pdu) => [String(pdu.event_id), pdu]))
  const back = (from: readonly string[], limit: number, stop: ReadonlySet<string>, minDepth: number) => {
    const [found, walk] = [new Set<Pdu>(), [...from]]
    for (let id = walk.shift(); id !== undefined && found.size < limit; id = walk.shift()) {
      const pdu = stop.has(id) ? undefined : byId.get(id)
      if (!pdu || pdu.depth < minDepth) continue
      found.add(pdu)
      walk.push(...pdu.prev_events)
    }
    return [...found].map(({ json }) => json)
  }
  return ({ path, query, body }) => {
    const last = path.split('/').at(-1) ?? ''
    if (path.includes('/get_missing_events/')) {
      const list = (name: string) => (own(body ?? {}, name) ?? []) as string[]
      const from = list('latest_events').flatMap((id) => byId.get(id)?.prev_events ?? [])
      const minDepth = Number(own(body ?? {}, 'min_depth'))
      return { events: back(from, 20, new Set(list('earliest_events')), minDepth).reverse() }
    }
    if (path.includes('/backfill/')) return { pdus: back(query.getAll('v'), Number(query.get('limit')), new Set(), 0) }
    if (path.includes('/state_ids/')) {
      if (!byId.has(query.get('event_id') ?? '')) return undefined
      return { pdu_ids: state.map(({ event_id }) => event_id), auth_chain_ids: [] }
    }
    const event = path.includes('/event/') ? byId.get(last) : undefined
    return event && { pdus: [event.json] }
  }
}

const stateOf = (made: TestRoom) =>
  withRoom(made, (room) =>
    [...room.groups.readAll(room.reader.header().currentGroup ?? 0).values()].map(
      (nid) => room.reader.eventOf(nid).pdu,
    ),
  )

const send = (server: OtherServer, ...pdus: Pdu[]) =>
  server.ask('PUT', `/send/holes${pdus[0]?.event_id.slice(1, 9)}`, {
    origin: server.name,
    origin_server_ts: 1,
    pdus: pdus.map(({ json }) => json),
  })

/** Outcomes by event, of those that have a place in the DAG. */
async function placed(made: TestRoom, events: readonly Pdu[]): Promise<(number | undefined)[]> {
  const found = await rows<{ event_id: string; outcome: number }>(
    made,
    'SELECT event_id, outcome FROM events WHERE state_before IS NOT NULL',
  )
  const byId = new Map(found.map(({ event_id, outcome }) => [event_id, outcome]))
  return events.map(({ event_id }) => byId.get(event_id))
}

/** The room's alarm goes for what is missing, as it does after a while. */
async function ring(made: TestRoom): Promise<void> {
  const later = Date.now() + 120_000
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => later)
  expect(await runDurableObjectAlarm(made.stub)).toBe(true)
  clock.mockRestore()
}

test('a fork that began long before our own last events is fetched whole', async () => {
  const { server, guest, made, joined } = await roomWithGuest()
  for (let index = 0; index < 12; index++) await say(made, alice, `meanwhile ${index}`)
  const events = await fork(made, server, guest, joined, 5)
  serversAnswer({ [server.name]: having(events, await stateOf(made)) })
  const newest = events.at(-1)
  if (!newest) throw new Error('no fork')
  expect(await send(server, newest)).toMatchObject({ status: 200 })
  await vi.waitFor(async () => expect(await placed(made, events)).toEqual([0, 0, 0, 0, 0]), { timeout: 10_000 })
  expect(await rows(made, 'SELECT event_id FROM missing_events')).toEqual([])
})

test('what lies behind an event that its own auth events reject is fetched, not waited for', async () => {
  const { server, guest, made, joined } = await roomWithGuest()
  // The guest may not set the power levels; an event that cites such an event as its auth event is rejected as well.
  const levels = { type: 'm.room.power_levels', stateKey: '', content: { users: { [guest]: 100 } } }
  const refused = await build(made, server, guest, joined, levels)
  const after = await build(made, server, guest, refused)
  const last = await build(made, server, guest, after)
  // It comes as part of an auth chain first, where its place in the DAG is not known.
  await withRoom(made, (room) => storeOutliers(room, [refused]))
  await made.evict()
  const outcome = 'SELECT outcome, state_before AS state FROM events WHERE event_id = ?'
  expect(await rows(made, outcome, refused.event_id)).toEqual([{ outcome: 2, state: null }])
  const asked = serversAnswer({ [server.name]: having([refused, after, last], await stateOf(made)) })
  await send(server, last)
  await vi.waitFor(async () => expect(await placed(made, [refused, after, last])).toEqual([2, 0, 0]), {
    timeout: 10_000,
  })
  expect(asked.filter((path) => path.includes('get_missing_events')).length).toBeLessThan(4)
  expect(await rows(made, 'SELECT event_id FROM missing_events')).toEqual([])
})

test('a hole that was passed over, since nobody had what lies in it, is filled once somebody has', async () => {
  const { server, guest, made, joined } = await roomWithGuest()
  const events = await fork(made, server, guest, joined, 6)
  const [first, second, third, fourth, fifth, last] = events
  if (!first || !second || !third || !fourth || !fifth || !last) throw new Error('no fork')
  // The server knows the state in the middle, and nothing of the events before.
  const asked = serversAnswer({ [server.name]: having([third, fourth], await stateOf(made)) })
  await send(server, fourth)
  await vi.waitFor(async () => expect((await placed(made, [fourth]))[0]).toBe(0), { timeout: 10_000 })
  expect(await placed(made, [first, second])).toEqual([undefined, undefined])
  // Nobody is bothered for the sake of a hole while there is news.
  expect(asked.filter((path) => path.includes('backfill'))).toEqual([])
  await ring(made)
  await vi.waitFor(async () => {
    const [hole] = await rows<{ tries: number }>(made, 'SELECT tries FROM missing_events')
    expect(hole?.tries).toBeGreaterThan(0)
  })
  const alarm = "SELECT at FROM alarms WHERE name = 'fetch'"
  expect(await rows(made, alarm)).toHaveLength(1)
  vi.restoreAllMocks()
  serversAnswer({ [server.name]: having(events, await stateOf(made)) })
  await send(server, last)
  await vi.waitFor(async () => expect(await placed(made, [last])).toEqual([0]), { timeout: 10_000 })
  await ring(made)
  await vi.waitFor(async () => expect(await placed(made, events)).toEqual([0, 0, 0, 0, 0, 0]), { timeout: 10_000 })
  await vi.waitFor(async () => expect(await rows(made, alarm)).toEqual([]))
})

test('a server that was put out gets what was said until then, and nothing of after', async () => {
  const { server, guest, made } = await roomWithGuest()
  const during = await say(made, alice, 'while you were here')
  const out = await made.rpc.setMembership({ sender: alice, target: guest, membership: 'leave' })
  if (!out.ok) throw new Error(out.reason)
  const after = await say(made, alice, 'not for you')
  const [room, kick] = [encodeURIComponent(made.roomId), out.event_id]
  const missing = { earliest_events: [], latest_events: [kick], limit: 1 }
  const told = await server.ask<{ events: JsonObject[] }>('POST', `/get_missing_events/${room}`, missing)
  expect(told.body.events).toMatchObject([{ content: { body: 'while you were here' } }])
  for (const path of [
    `/event/${during}`,
    `/event/${kick}`,
    `/state_ids/${room}?event_id=${encodeURIComponent(kick)}`,
  ]) {
    expect(await server.ask('GET', path), path).toMatchObject({ status: 200 })
  }
  for (const path of [`/event/${after}`, `/state_ids/${room}?event_id=${encodeURIComponent(after)}`]) {
    expect([403, 404], path).toContain((await server.ask('GET', path)).status)
  }
  const backfilled = await server.ask('GET', `/backfill/${room}?v=${encodeURIComponent(after)}&limit=1`)
  expect(backfilled).toMatchObject({ status: 403 })
})

test('what was sent by a server whose last user left can still be had from it', async () => {
  const { server, made } = await roomWithGuest()
  const parting = await say(made, alice, 'goodbye')
  const left = await made.rpc.setMembership({ sender: alice, target: alice, membership: 'leave' })
  if (!left.ok) throw new Error(left.reason)
  const missing = { earliest_events: [], latest_events: [left.event_id], limit: 1 }
  const path = `/get_missing_events/${encodeURIComponent(made.roomId)}`
  const told = await server.ask<{ events: JsonObject[] }>('POST', path, missing)
  expect(told.body.events).toMatchObject([{ content: { body: 'goodbye' } }])
  expect(await server.ask('GET', `/event/${parting}`)).toMatchObject({ status: 200 })
})

test('a server that only state resolution put out hears of that, and nothing else', async () => {
  const { server, guest, made, joined } = await roomWithGuest()
  const member = (membership: string) => ({ type: 'm.room.member', stateKey: guest, content: { membership } })
  // Its user says a second time over another server that they join, while their leave is on its way.
  const again = await build(made, server, guest, joined, member('join'))
  // Of two at one moment their IDs would decide, and they are random.
  await new Promise((resolve) => setTimeout(resolve, 20))
  const left = await build(made, server, guest, joined, member('leave'))
  for (const pdu of [left, again]) expect(await send(server, pdu)).toMatchObject({ status: 200 })
  expect(await placed(made, [left, again])).toEqual([0, 0])
  const after = await withRoom(made, (room) => {
    expect(room.reader.joinedServers().has(server.name)).toBe(false)
    return room.reader.header().pos
  })
  const merge = await say(made, alice, 'both are known to me')
  await say(made, alice, 'among us')
  const told = await made.rpc.pdusFor({ destination: server.name, after, limit: 50 })
  expect(told.pdus).toMatchObject([{ content: {}, type: 'm.room.message' }])
  expect(own(told.pdus[0] ?? {}, 'prev_events')).toEqual(expect.arrayContaining([left.event_id, again.event_id]))
  expect(told.pdus).toHaveLength(1)
  expect(JSON.stringify(told.pdus)).not.toContain('known to me')
  const event = await server.ask<{ pdus: JsonObject[] }>('GET', `/event/${merge}`)
  expect(event.body.pdus).toMatchObject([{ content: {} }])
  expect(event.text).not.toContain('known to me')
})

test('a server that is banned in a fork that it never saw gets what leads there, redacted', async () => {
  const { server, guest, made } = await roomWithGuest()
  const out = await made.rpc.setMembership({ sender: alice, target: guest, membership: 'leave' })
  const secret = await say(made, alice, 'between us')
  const ban = await made.rpc.setMembership({ sender: alice, target: guest, membership: 'ban' })
  if (!ban.ok || !out.ok) throw new Error('not put out')
  const missing = { earliest_events: [out.event_id], latest_events: [ban.event_id], limit: 10 }
  const path = `/get_missing_events/${encodeURIComponent(made.roomId)}`
  const told = await server.ask<{ events: JsonObject[] }>('POST', path, missing)
  expect(told.body.events).toMatchObject([{ type: 'm.room.message', content: {} }])
  expect(told.text).not.toContain('between us')
  const state = `/state_ids/${encodeURIComponent(made.roomId)}?event_id=${encodeURIComponent(secret)}`
  expect(await server.ask('GET', state)).toMatchObject({ status: 403 })
})

test('a server that tells us of a room that we left, and that was empty for us then, hears that we left', async () => {
  const { server, guest, made } = await roomWithGuest()
  const sent: JsonObject[] = []
  const takes: Reply = ({ path, body }) => {
    if (!path.includes('/send/')) return undefined
    sent.push(...((own(body ?? {}, 'pdus') ?? []) as JsonObject[]))
    return { pdus: {} }
  }
  serversAnswer({ [server.name]: takes })
  const out = await made.rpc.setMembership({ sender: alice, target: guest, membership: 'leave' })
  await vi.waitFor(() => expect(sent.at(-1)).toMatchObject({ state_key: guest }), { timeout: 10_000 })
  // Until the room knows that the sender knows: what is new goes to nobody then.
  await new Promise((resolve) => setTimeout(resolve, 500))
  const left = await made.rpc.setMembership({ sender: alice, target: alice, membership: 'leave' })
  if (!out.ok || !left.ok) throw new Error('nobody left')
  const isFarewell = (pdu: JsonObject) => pdu['type'] === 'm.room.member' && pdu['state_key'] === alice
  expect(sent.filter(isFarewell)).toEqual([])
  // On its fork its user has come back; here that is not allowed any more.
  const kick = await withRoom(made, (room) => room.reader.eventById(out.event_id)?.pdu)
  if (!kick) throw new Error('no kick')
  await send(server, await build(made, server, guest, kick))
  await vi.waitFor(() => expect(sent.filter(isFarewell)).toMatchObject([{ content: { membership: 'leave' } }]), {
    timeout: 10_000,
  })
})
