/** Account data, tags and filters over HTTP, and what a hostile client tries with them. */
import { beforeAll, describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { aMoment, long, sync } from './syncing.ts'

let alice: User
let eve: User
const room = '!room:test.local'

beforeAll(async () => {
  alice = await registerUser('data-alice')
  eve = await registerUser('data-eve')
})

const at = (user: User, path: string) => `/user/${encodeURIComponent(user.userId)}${path}`
const inRoom = (path: string) => `/rooms/${encodeURIComponent(room)}${path}`

describe('account data', () => {
  test('is given back as it was set, and reported by sync', async () => {
    const { next_batch: since } = await sync(alice)
    const content = { n: 1.5, deep: { list: [null, '\ud83d\ude00'] } }
    expect(await alice.put(at(alice, '/account_data/org.example.x'), content)).toMatchObject({ status: 200, body: {} })
    expect((await alice.get(at(alice, '/account_data/org.example.x'))).body).toEqual(content)
    const next = await sync(alice, { since })
    expect(next.account_data).toEqual({ events: [{ type: 'org.example.x', content }] })
    const last = await sync(alice, { since: next.next_batch })
    expect(last).not.toHaveProperty('account_data')
  })

  test('wakes a sync that waits for it', async () => {
    const { next_batch: since } = await sync(alice)
    const waiting = sync(alice, { since, timeout: long })
    await aMoment()
    await alice.put(at(alice, '/account_data/org.example.wake'), { up: true })
    expect((await waiting).account_data?.events).toEqual([{ type: 'org.example.wake', content: { up: true } }])
  })

  test('of a room and global data of the same type are different things', async () => {
    await alice.put(at(alice, '/account_data/same'), { where: 'global' })
    await alice.put(at(alice, inRoom('/account_data/same')), { where: 'room' })
    expect((await alice.get(at(alice, '/account_data/same'))).body).toEqual({ where: 'global' })
    expect((await alice.get(at(alice, inRoom('/account_data/same')))).body).toEqual({ where: 'room' })
    expect((await alice.get(at(alice, inRoom('/account_data/org.example.x')))).status).toBe(404)
  })

  test('can have any name and any keys', async () => {
    for (const type of ['__proto__', 'a/b c%', 'constructor', "'; DROP TABLE account_data; --"]) {
      await alice.put(at(alice, `/account_data/${encodeURIComponent(type)}`), '{"__proto__":{"x":1},"toString":2}')
      const { body } = await alice.get(at(alice, `/account_data/${encodeURIComponent(type)}`))
      expect(Object.entries(body)).toEqual([
        ['__proto__', { x: 1 }],
        ['toString', 2],
      ])
    }
  })

  test.each(['m.fully_read', 'm.push_rules'])('of type %s is the server’s to set', async (type) => {
    for (const path of [`/account_data/${type}`, inRoom(`/account_data/${type}`)]) {
      expect(await alice.put(at(alice, path), {})).toMatchObject({ status: 405, body: { errcode: 'M_BAD_JSON' } })
    }
    const { body } = await alice.get(at(alice, `/account_data/${type}`))
    expect(body).toEqual(
      type === 'm.push_rules' ? { global: expect.anything() } : { errcode: 'M_NOT_FOUND', error: expect.anything() },
    )
    expect((await alice.get(at(alice, inRoom(`/account_data/${type}`)))).status).toBe(404)
  })

  test('of others is nobody’s business', async () => {
    await alice.put(at(alice, '/account_data/secret'), { a: 1 })
    for (const path of ['/account_data/secret', inRoom('/account_data/secret')]) {
      const refused = { status: 403, body: { errcode: 'M_FORBIDDEN' } }
      expect(await eve.get(at(alice, path))).toMatchObject(refused)
      expect(await eve.put(at(alice, path), { a: 2 })).toMatchObject(refused)
    }
    expect((await alice.get(at(alice, '/account_data/secret'))).body).toEqual({ a: 1 })
  })

  test('is a JSON object of bounded size in a room with an ID', async () => {
    const put = (path: string, body: unknown) => alice.put(at(alice, path), body)
    expect(await put('/account_data/x', '[]')).toMatchObject({ status: 400, body: { errcode: 'M_BAD_JSON' } })
    expect(await put('/account_data/x', 'nonsense')).toMatchObject({ status: 400, body: { errcode: 'M_NOT_JSON' } })
    expect(await put('/account_data/x', { x: 'x'.repeat(300_000) })).toMatchObject({ status: 413 })
    expect(await put('/rooms/not-a-room/account_data/x', {})).toMatchObject({
      status: 400,
      body: { errcode: 'M_INVALID_PARAM' },
    })
  })
})

describe('tags', () => {
  test('are added, replaced and removed one by one', async () => {
    await alice.put(at(alice, inRoom('/tags/m.favourite')), { order: 0.25 })
    await alice.put(at(alice, inRoom('/tags/u.Work%20%2F%20play')), { order: 0.5, 'org.example.colour': 'red' })
    await alice.put(at(alice, inRoom('/tags/m.favourite')), {})
    await alice.put(at(alice, inRoom('/tags/u.gone')), {})
    await alice.delete(at(alice, inRoom('/tags/u.gone')))
    const tags = { 'm.favourite': {}, 'u.Work / play': { order: 0.5, 'org.example.colour': 'red' } }
    expect((await alice.get(at(alice, inRoom('/tags')))).body).toEqual({ tags })
    expect((await alice.get(at(alice, inRoom('/account_data/m.tag')))).body).toEqual({ tags })
  })

  test('have names of at most 255 bytes and an order that is a number', async () => {
    const put = (tag: string, body: object) => alice.put(at(alice, inRoom(`/tags/${encodeURIComponent(tag)}`)), body)
    expect(await put('é'.repeat(127), {})).toMatchObject({ status: 200 })
    expect(await put('é'.repeat(128), {})).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } })
    expect(await put('u.x', { order: 'first' })).toMatchObject({ status: 400, body: { errcode: 'M_BAD_JSON' } })
  })

  test('of others stay theirs', async () => {
    expect((await eve.get(at(alice, inRoom('/tags')))).status).toBe(403)
    expect((await eve.put(at(alice, inRoom('/tags/u.x')), {})).status).toBe(403)
    expect((await eve.delete(at(alice, inRoom('/tags/m.favourite')))).status).toBe(403)
    expect((await eve.get(at(eve, inRoom('/tags')))).body).toEqual({ tags: {} })
  })
})

describe('a filter', () => {
  test('is given back as it was stored, unknown fields and all', async () => {
    const filter = { room: { timeline: { limit: 10 } }, 'org.example.own': { x: 1 } }
    const { status, body } = await alice.post<{ filter_id: string }>(at(alice, '/filter'), filter)
    expect(status).toBe(200)
    const filterId = body.filter_id
    expect(filterId).not.toMatch(/^\{/)
    expect((await alice.get(at(alice, `/filter/${filterId}`))).body).toEqual(filter)
    expect((await alice.post(at(alice, '/filter'), filter)).body).toEqual(body)
    expect((await eve.get(at(alice, `/filter/${filterId}`))).status).toBe(403)
    expect((await eve.get(at(eve, `/filter/${filterId}`))).status).toBe(404)
  })

  test('of the wrong form is refused where it is stored and where it is used', async () => {
    const filter = { room: { timeline: { limit: 'many' } } }
    const refused = {
      status: 400,
      body: { errcode: 'M_BAD_JSON', error: expect.stringContaining('room.timeline.limit') },
    }
    expect(await alice.post(at(alice, '/filter'), filter)).toMatchObject(refused)
    expect(await alice.get(`/sync?filter=${encodeURIComponent(JSON.stringify(filter))}`)).toMatchObject(refused)
    expect(await alice.get('/sync?filter={')).toMatchObject({ status: 400, body: { errcode: 'M_NOT_JSON' } })
    expect(await alice.get('/sync?filter=12345')).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } })
  })

  test('chooses the account data that sync reports, stored or inline', async () => {
    const person = await registerUser('data-filtered')
    await person.put(at(person, '/account_data/org.a.one'), { n: 0 })
    await person.put(at(person, '/account_data/org.b.two'), { n: 0 })
    const filter = { account_data: { types: ['org.a.*'] } }
    const { body } = await person.post<{ filter_id: string }>(at(person, '/filter'), filter)
    const filterId = body.filter_id
    for (const given of [filterId, filter]) {
      expect((await sync(person, { filter: given })).account_data?.events).toEqual([
        { type: 'org.a.one', content: { n: 0 } },
      ])
    }
    const { next_batch: since } = await sync(person)
    const waiting = sync(person, { since, timeout: long, filter: filterId })
    await aMoment()
    // What the filter hides does not end the wait.
    await person.put(at(person, '/account_data/org.b.two'), { n: 2 })
    await person.put(at(person, '/account_data/org.a.one'), { n: 1 })
    expect((await waiting).account_data?.events).toEqual([{ type: 'org.a.one', content: { n: 1 } }])
  })
})
