/** What other servers are sent, and when: the sender against servers that answer, refuse, hang or are gone. */
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, test, vi } from 'vitest'

import { retryDelay } from '../../../durable-objects/federation-sender/backoff.ts'
import { SenderStorage } from '../../../durable-objects/federation-sender/sender-storage.ts'
import { federationSender } from '../../../worker/federation-client/sender.ts'
import { type Asked, joinOver, otherServer, type OtherServer, serversAnswer } from '../federation/other-server.ts'
import { alice, publicRoom, say, type TestRoom, user } from '../room/rooms.ts'

interface Transaction {
  readonly pdus: readonly JsonObject[]
  readonly edus: readonly JsonObject[]
}

/** A server that takes transactions, or does not. */
class Destination {
  readonly server: OtherServer
  readonly taken: Transaction[] = []
  tried = 0
  /** Under way at once, at most. */
  most = 0
  how: 'takes' | 'fails' | 'hangs' = 'takes'
  #underWay = 0

  constructor(server: OtherServer) {
    this.server = server
  }

  get name(): ServerName {
    return this.server.name
  }

  /** Bodies of the messages it was sent, in order. */
  get said(): unknown[] {
    return this.saidIn()
  }

  saidIn(roomId?: string): unknown[] {
    return this.taken
      .flatMap(({ pdus }) => pdus)
      .filter((pdu) => pdu['type'] === 'm.room.message' && (roomId === undefined || pdu['room_id'] === roomId))
      .map(({ content }) => isObject(content) && content['body'])
  }

  async answer({ path, body }: Asked): Promise<object | undefined> {
    if (!path.includes('/send/')) return undefined
    this.tried++
    this.most = Math.max(this.most, ++this.#underWay)
    // Others get a word in, as over a wire.
    await new Promise((resolve) => setTimeout(resolve, 2))
    this.#underWay--
    if (this.how === 'hangs') return new Promise(() => undefined)
    if (this.how === 'fails') return Response.json({ errcode: 'M_UNKNOWN' }, { status: 502 })
    const list = (name: string) => (own(body ?? {}, name) ?? []) as JsonObject[]
    this.taken.push({ pdus: list('pdus'), edus: list('edus') })
    return { pdus: {} }
  }
}

let servers = 0
async function destinations(count: number): Promise<Destination[]> {
  const made: Destination[] = []
  for (let index = 0; index < count; index++) {
    made.push(new Destination(await otherServer(`to${(servers += 1)}.test:8448`)))
  }
  listen(...made)
  return made
}

function listen(...all: Destination[]): void {
  vi.restoreAllMocks()
  serversAnswer(Object.fromEntries(all.map((each) => [each.name, (asked: Asked) => each.answer(asked)])))
}
afterEach(() => void vi.restoreAllMocks())

/** A room with a user of each. */
async function roomWith(...all: Destination[]): Promise<TestRoom> {
  const made = await publicRoom()
  for (const { server } of all) await joinOver(server, `@guest:${server.name}`, made.roomId)
  return made
}

const sender = () => federationSender(env)
/** The sender's memory is lost, with whatever it was doing. */
async function sleeps(): Promise<void> {
  await runInDurableObject(sender(), (_, state) => state.abort('put to sleep')).catch(() => undefined)
}
const senderRows = <Row extends Record<string, SqlStorageValue>>(query: string, ...bindings: string[]) =>
  runInDurableObject(sender(), (_, { storage }) => storage.sql.exec<Row>(query, ...bindings).toArray())
const failing = (name: ServerName) =>
  senderRows<{ failures: number; at: number }>(
    'SELECT failures, retry_at AS at FROM failing WHERE destination = ?',
    name,
  )
const eventually = (check: () => void | Promise<void>) => vi.waitFor(check, { timeout: 10_000, interval: 20 })

/** It did not answer, and everybody knows. */
async function goneSilent(destination: Destination): Promise<void> {
  await eventually(async () => expect(await failing(destination.name)).toHaveLength(1))
}
const upTo = (count: number) => Array.from({ length: count }, (_, index) => `${index}`)

describe('transactions', () => {
  test('hold what was said in its order, one after the other', async () => {
    const [there] = await destinations(1)
    if (!there) throw new Error('nobody')
    const room = await roomWith(there)
    for (const body of upTo(30)) await say(room, alice, body)
    await eventually(() => expect(there.said).toEqual(upTo(30)))
    expect(there.most).toBe(1)
  })

  test('hold at most 50 events and 100 others', async () => {
    const [there] = await destinations(1)
    if (!there) throw new Error('nobody')
    there.how = 'fails'
    const rooms = [await roomWith(there), await roomWith(there), await roomWith(there)]
    for (const room of rooms) for (const body of upTo(30)) await say(room, alice, body)
    const edus = upTo(150).map((name) => ({ edu_type: 'org.example', content: { name } }))
    for (const edu of edus) await sender().sendEdu({ edu, destinations: [there.name] })
    await goneSilent(there)
    there.how = 'takes'
    await sender().heardFrom(there.name)
    await eventually(() => expect(there.said).toHaveLength(90))
    await eventually(() => expect(there.taken.flatMap((each) => each.edus)).toEqual(edus))
    for (const { pdus, edus: some } of there.taken) {
      expect(pdus.length).toBeLessThanOrEqual(50)
      expect(some.length).toBeLessThanOrEqual(100)
    }
    for (const { roomId } of rooms) {
      expect(there.saidIn(roomId)).toEqual(upTo(30))
    }
  })

  test('are no larger than others take, however much there is to say', async () => {
    const [there] = await destinations(1)
    if (!there) throw new Error('nobody')
    there.how = 'fails'
    const edus = upTo(100).map((name) => ({ edu_type: 'org.example', content: { name, x: 'y'.repeat(65_000) } }))
    for (const edu of edus) await sender().sendEdu({ edu, destinations: [there.name] })
    await goneSilent(there)
    there.how = 'takes'
    await sender().heardFrom(there.name)
    const names = () =>
      there.taken.flatMap(({ edus: some }) => some.map(({ content }) => isObject(content) && content['name']))
    await eventually(() => expect(names()).toEqual(upTo(100)))
    for (const { edus: some } of there.taken) expect(JSON.stringify(some).length).toBeLessThan(2_100_000)
    expect(there.taken.length).toBeLessThan(6)
  })
})

test('what a server missed for months is given up, but whose devices changed', async () => {
  const [there] = await destinations(1)
  if (!there) throw new Error('nobody')
  there.how = 'fails'
  const edus = ['m.direct_to_device', 'm.device_list_update', 'm.signing_key_update'].map((edu_type) => ({
    edu_type,
    content: {},
  }))
  for (const edu of edus) await sender().sendEdu({ edu, destinations: [there.name] })
  await goneSilent(there)
  const left = () =>
    runInDurableObject(sender(), (_, { storage: { sql } }) => {
      new SenderStorage(sql).deleteOldEdus(Date.now())
      const rows = sql.exec<{ type: string }>("SELECT json_extract(json, '$.edu_type') AS type FROM edus ORDER BY id")
      return rows.toArray().map(({ type }) => type)
    })
  const age = (days: number) => senderRows(`UPDATE edus SET created_at = ${Date.now() - days * 86_400_000}`)
  const all = edus.map(({ edu_type }) => edu_type)
  await age(29)
  expect(await left()).toEqual(all)
  await age(300)
  expect(await left()).toEqual(all.slice(1))
  await age(366)
  expect(await left()).toEqual([])
})

describe('a server that fails', () => {
  test('is left alone until its time has come, whatever is said, and whether or not we sleep', async () => {
    const [there] = await destinations(1)
    if (!there) throw new Error('nobody')
    const room = await roomWith(there)
    there.how = 'fails'
    const before = Date.now()
    await say(room, alice, 'first')
    await goneSilent(there)
    const [row] = await failing(there.name)
    expect(row?.failures).toBe(1)
    expect(row?.at).toBeGreaterThanOrEqual(before + retryDelay(1, 0))
    const { tried } = there
    await sleeps()
    for (const body of ['second', 'third']) await say(room, alice, body)
    await sleeps()
    await runDurableObjectAlarm(sender())
    await say(room, alice, 'fourth')
    expect(there.tried).toBe(tried)
    expect(await failing(there.name)).toEqual([row])
    // Its time comes.
    there.how = 'takes'
    await senderRows('UPDATE failing SET retry_at = 1 WHERE destination = ? RETURNING 1 AS done', there.name)
    await sleeps()
    await runDurableObjectAlarm(sender())
    await eventually(() => expect(there.said).toEqual(['first', 'second', 'third', 'fourth']))
    expect(await failing(there.name)).toEqual([])
    await eventually(async () => {
      expect(await senderRows('SELECT * FROM behind WHERE destination = ?', there.name)).toEqual([])
    })
  })

  test('is tried more and more rarely', async () => {
    const [there] = await destinations(1)
    if (!there) throw new Error('nobody')
    const room = await roomWith(there)
    there.how = 'fails'
    await say(room, alice, 'lost on you')
    await goneSilent(there)
    for (const failures of [2, 3, 4]) {
      await senderRows('UPDATE failing SET retry_at = 1 WHERE destination = ? RETURNING 1 AS done', there.name)
      await sleeps()
      const before = Date.now()
      await runDurableObjectAlarm(sender())
      await eventually(async () => expect((await failing(there.name))[0]?.failures).toBe(failures))
      expect((await failing(there.name))[0]?.at).toBeGreaterThanOrEqual(before + retryDelay(failures, 0))
    }
  })

  test('is sent all at once when it is heard from', async () => {
    const [there] = await destinations(1)
    if (!there) throw new Error('nobody')
    const room = await roomWith(there)
    there.how = 'fails'
    await say(room, alice, 'first')
    await goneSilent(there)
    // It will be a while until it is tried again.
    for (const failures of [2, 3, 4, 5]) {
      await sender().heardFrom(there.name)
      await eventually(async () => expect((await failing(there.name))[0]?.failures).toBe(failures))
    }
    await say(room, alice, 'second')
    there.how = 'takes'
    // Any request that bears its signature is a sign of life, of which one in some seconds counts.
    const path = `/query/profile?user_id=${encodeURIComponent(user('@nobody:test.local'))}`
    await eventually(async () => {
      expect((await there.server.ask('GET', path)).status).toBe(404)
      expect(there.said).toEqual(['first', 'second'])
    })
  })

  test('and is heard from at that very time, is tried again soon', async () => {
    const [there] = await destinations(1)
    if (!there) throw new Error('nobody')
    const room = await roomWith(there)
    // A flag and not a promise: one that is made here and waited for in an object can stop the runtime for good.
    const wait = { isOver: false }
    serversAnswer({
      [there.name]: async (request) => {
        if (!request.path.includes('/send/') || there.tried > 0) return there.answer(request)
        there.tried++
        while (!wait.isOver) await new Promise((resolve) => setTimeout(resolve, 5))
        return Response.json({ errcode: 'M_UNKNOWN' }, { status: 502 })
      },
    })
    const before = Date.now()
    await say(room, alice, 'too early')
    await eventually(() => expect(there.tried).toBe(1))
    await sender().heardFrom(there.name)
    wait.isOver = true
    await goneSilent(there)
    expect((await failing(there.name))[0]?.at).toBeLessThan(before + retryDelay(1, 0))
    await eventually(() => expect(there.said).toEqual(['too early']))
  })

  test('misses nothing of any room, and of a busy one gets the newest, which lead to the rest', async () => {
    const [there] = await destinations(1)
    if (!there) throw new Error('nobody')
    const [busy, quiet, third] = [await roomWith(there), await roomWith(there), await roomWith(there)]
    there.how = 'fails'
    await say(quiet, alice, 'quiet first')
    await goneSilent(there)
    for (const body of upTo(70)) await say(busy, alice, body)
    for (const body of upTo(20)) await say(third, alice, `third ${body}`)
    await say(quiet, alice, 'quiet last')
    // What is left to send is known from rows alone, and that there is more only from the rooms.
    await sleeps()
    await senderRows('UPDATE failing SET retry_at = 1 WHERE destination = ? RETURNING 1 AS done', there.name)
    await sleeps()
    there.how = 'takes'
    await runDurableObjectAlarm(sender())
    await eventually(() => expect(there.said).toHaveLength(50 + 20 + 2))
    expect(there.saidIn(busy.roomId)).toEqual(upTo(70).slice(20))
    expect(there.saidIn(quiet.roomId)).toEqual(['quiet first', 'quiet last'])
    expect(there.saidIn(third.roomId)).toEqual(upTo(20).map((body) => `third ${body}`))
  })

  test('for which there is nothing is not taken for one that answered', async () => {
    const [there] = await destinations(1)
    if (!there) throw new Error('nobody')
    const room = await roomWith(there)
    there.how = 'fails'
    await say(room, alice, 'hello')
    await goneSilent(there)
    await senderRows('DELETE FROM behind WHERE destination = ? RETURNING 1 AS done', there.name)
    await sleeps()
    const empty = await publicRoom()
    await sender().roomHasNews({ roomId: empty.roomId, after: 0, pos: 1, destinations: [there.name] })
    await sender().heardFrom(there.name)
    await eventually(async () => {
      expect(await senderRows('SELECT * FROM behind WHERE destination = ?', there.name)).toEqual([])
    })
    expect(await failing(there.name)).toHaveLength(1)
  })
})

test('dead servers, hanging or refusing, delay nobody', async () => {
  const all = await destinations(10)
  const [alive, ...dead] = all
  if (!alive) throw new Error('nobody')
  const room = await roomWith(...all)
  for (const each of dead) each.how = 'fails'
  await say(room, alice, 'to whom it may concern')
  for (const each of dead) await goneSilent(each)
  // They are tried again, and now do not even say no.
  for (const each of dead) {
    each.how = 'hangs'
    each.tried = 0
  }
  await senderRows('UPDATE failing SET retry_at = 1 RETURNING 1 AS done')
  await sleeps()
  void runDurableObjectAlarm(sender())
  await eventually(() => expect(dead.filter(({ tried }) => tried > 0)).toHaveLength(1))
  for (const body of upTo(10)) await say(room, alice, body)
  await eventually(() => expect(alive.said).toEqual(['to whom it may concern', ...upTo(10)]))
  // One that was dead and is heard from does not wait behind those that hang.
  const risen = dead.find(({ tried }) => tried === 0)
  if (!risen) throw new Error('all were tried')
  risen.how = 'takes'
  await sender().heardFrom(risen.name)
  await eventually(() => expect(risen.said).toEqual(['to whom it may concern', ...upTo(10)]))
})
