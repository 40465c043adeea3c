/** Two devices that leave each other messages while one signs the other in. MSC4108 (2024), MSC4388. */
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import {
  dropPlace,
  forgetOldPlaces,
  lifetime,
  mostPlaces,
  newPlace,
  readPlace,
  writePlace,
} from '../../../worker/accounts/rendezvous.ts'
import { anonymous, registerUser, send } from '../client.ts'
import { refused } from '../rooms/rooms.ts'
import { ask } from './servers.ts'

const textPath = '/_matrix/client/unstable/org.matrix.msc4108/rendezvous'
const jsonPath = '/_matrix/client/unstable/io.element.msc4388/rendezvous'

beforeEach(async () => {
  // The first request sets the database up.
  await anonymous.get('/login')
  await env.DB.prepare('DELETE FROM rendezvous').run()
})
afterEach(() => vi.restoreAllMocks())

describe('by entity tags and text', () => {
  const text = { 'Content-Type': 'text/plain' }
  const tagOf = ({ headers }: { headers: Headers }) => headers.get('ETag') ?? expect.fail('no ETag')
  const create = async (data = '') => {
    const answer = await send<{ url: string }>('POST', textPath, data, text)
    expect(answer).toMatchObject({
      status: 201,
      body: { url: expect.stringMatching(/^http:\/\/test\.local\/_matrix/) },
    })
    return { ...answer, path: new URL(answer.body.url).pathname }
  }

  test('a message is left, read, answered, and taken away', async () => {
    const { path, ...made } = await create('foo=bar')
    expect(tagOf(made)).toMatch(/^"\w+"$/)
    const read = await send('GET', path)
    expect(read).toMatchObject({ status: 200, text: 'foo=bar' })
    // The letter of this is what Element compares.
    expect(read.headers.get('Content-Type')).toBe('text/plain')
    expect(tagOf(read)).toBe(tagOf(made))
    const ends = Date.parse(read.headers.get('Expires') ?? '')
    expect(ends - Date.parse(read.headers.get('Last-Modified') ?? '')).toBe(lifetime)
    expect(read.headers.get('Cache-Control')).toBe('no-store, no-transform')
    const same = await send('GET', path, undefined, { 'If-None-Match': tagOf(made) })
    expect(same).toMatchObject({ status: 304, text: '' })
    expect(tagOf(same)).toBe(tagOf(made))
    expect(Date.parse(same.headers.get('Expires') ?? '')).toBe(ends)

    const put = await send('PUT', path, 'foo=baz', { ...text, 'If-Match': tagOf(made) })
    expect(put).toMatchObject({ status: 202, text: '' })
    expect(tagOf(put)).not.toBe(tagOf(made))
    const late = await send('PUT', path, 'bar=baz', { ...text, 'If-Match': tagOf(made) })
    const errcode = { 'org.matrix.msc4108.errcode': 'M_CONCURRENT_WRITE' }
    expect(late).toMatchObject({ status: 412, body: { errcode: 'M_UNKNOWN', ...errcode } })
    expect(tagOf(late)).toBe(tagOf(put))
    const news = await send('GET', path, undefined, { 'If-None-Match': tagOf(made) })
    expect(news).toMatchObject({ status: 200, text: 'foo=baz' })

    expect((await send('DELETE', path)).status).toBe(204)
    expect(await send('DELETE', path)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await send('GET', path)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    const gone = await send('PUT', path, 'x', { ...text, 'If-Match': tagOf(put) })
    expect(gone).toMatchObject(refused(404, 'M_NOT_FOUND'))
  })

  test('a browser of any site may write and see the entity tag', async () => {
    const { path, headers } = await create()
    expect(headers.get('Access-Control-Allow-Origin')).toBe('*')
    expect(headers.get('Access-Control-Expose-Headers')).toBe('ETag')
    for (const each of [textPath, path]) {
      const preflight = await send('OPTIONS', each)
      expect(preflight.status).toBe(204)
      expect(preflight.headers.get('Access-Control-Allow-Headers')).toContain('If-Match, If-None-Match')
      expect(preflight.headers.get('Access-Control-Allow-Methods')).toContain('PUT')
    }
    expect((await send('OPTIONS', '/login')).headers.has('Access-Control-Expose-Headers')).toBe(false)
    const unread = await send('GET', `${textPath}/nothing`)
    expect(unread.headers.get('Access-Control-Expose-Headers')).toBe('ETag')
  })

  test('what is not a short text is refused', async () => {
    expect(await send('POST', textPath, 'x', { 'Content-Type': 'text/html' })).toMatchObject(
      refused(400, 'M_INVALID_PARAM'),
    )
    const unnamed = await env.DB.prepare('SELECT count(*) AS n FROM rendezvous').first()
    expect(unnamed).toEqual({ n: 0 })
    expect(await send('POST', textPath, 'x'.repeat(4097), text)).toMatchObject(refused(413, 'M_TOO_LARGE'))
    const { path, ...made } = await create('x'.repeat(4096))
    expect((await send('GET', path)).text).toHaveLength(4096)
    const tag = { 'If-Match': tagOf(made) }
    expect(await send('PUT', path, 'x'.repeat(4097), { ...text, ...tag })).toMatchObject(refused(413, 'M_TOO_LARGE'))
    expect(await send('PUT', path, 'x', text)).toMatchObject(refused(400, 'M_MISSING_PARAM'))
    const typed = { 'Content-Type': 'application/json', ...tag }
    expect(await send('PUT', path, 'x', typed)).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect((await send('GET', path)).text).toHaveLength(4096)
    expect((await send('PUT', path, 'ü', { 'Content-Type': 'text/plain; charset=utf-8', ...tag })).status).toBe(202)
    expect((await send('GET', path)).text).toBe('ü')
  })
})

describe('by tokens and JSON', () => {
  interface Made {
    readonly id: string
    readonly sequence_token: string
    readonly expires_in_ms: number
  }
  interface Read {
    readonly data: string
    readonly sequence_token: string
    readonly expires_in_ms: number
  }
  const create = async (data: string) => {
    const made = await anonymous.post<Made>(jsonPath, { data })
    expect(made).toMatchObject({ status: 200, body: { expires_in_ms: lifetime } })
    return made.body
  }

  test('a message is left, read, answered, and taken away', async () => {
    expect(await anonymous.get(jsonPath)).toMatchObject({ status: 200, body: { create_available: true } })
    const { id, sequence_token } = await create('foo=bar')
    const path = `${jsonPath}/${id}`
    const { status, body: read, headers } = await anonymous.get<Read>(path)
    expect({ status, ...read }).toMatchObject({ status: 200, data: 'foo=bar', sequence_token })
    expect(read.expires_in_ms).toBeLessThanOrEqual(lifetime)
    expect(headers.get('Cache-Control')).toBe('no-store')

    const put = await anonymous.put<Read>(path, { sequence_token, data: 'foo=baz' })
    expect(put.status).toBe(200)
    expect(put.body.sequence_token).not.toBe(sequence_token)
    // Said again, since no answer came, and said by somebody else.
    expect(await anonymous.put(path, { sequence_token, data: 'foo=baz' })).toMatchObject({
      status: 200,
      body: put.body,
    })
    const other = await anonymous.put(path, { sequence_token, data: 'other' })
    expect(other).toMatchObject(refused(409, 'IO_ELEMENT_MSC4388_CONCURRENT_WRITE'))
    expect((await anonymous.get(path)).body).toMatchObject({ ...put.body, data: 'foo=baz' })

    expect(await anonymous.delete(path)).toMatchObject({ status: 200, body: {} })
    expect(await anonymous.delete(path)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await anonymous.get(path)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    const gone = await anonymous.put(path, { sequence_token: put.body.sequence_token, data: 'x' })
    expect(gone).toMatchObject(refused(404, 'M_NOT_FOUND'))
  })

  test('somebody with an account may, and nobody with a wrong token', async () => {
    const alice = await registerUser('rendezvous-alice')
    expect((await alice.get(jsonPath)).status).toBe(200)
    expect((await alice.post(jsonPath, { data: '' })).status).toBe(200)
    const wrong = { Authorization: 'Bearer wrong' }
    expect(await send('POST', jsonPath, { data: '' }, wrong)).toMatchObject(refused(401, 'M_UNKNOWN_TOKEN'))
  })

  test('what is not a short text is refused', async () => {
    expect(await anonymous.post(jsonPath, {})).toMatchObject(refused(400, 'M_MISSING_PARAM'))
    expect(await anonymous.post(jsonPath, { data: 7 })).toMatchObject(refused(400, 'M_BAD_JSON'))
    // Bytes count, not letters.
    expect(await anonymous.post(jsonPath, { data: 'ü'.repeat(2049) })).toMatchObject(refused(413, 'M_TOO_LARGE'))
    const { id, sequence_token } = await create('ü'.repeat(2048))
    const long = { sequence_token, data: 'x'.repeat(4097) }
    expect(await anonymous.put(`${jsonPath}/${id}`, long)).toMatchObject(refused(413, 'M_TOO_LARGE'))
    expect(await anonymous.put(`${jsonPath}/${id}`, { data: 'x' })).toMatchObject(refused(400, 'M_MISSING_PARAM'))
  })

  test.each([
    { 'Sec-Fetch-Dest': 'document' },
    { 'Sec-Fetch-Dest': 'image' },
    { 'Sec-Fetch-Mode': 'navigate' },
    { 'Sec-Fetch-User': '?1' },
    { 'Sec-Fetch-Site': 'none' },
  ])('nothing of it is shown as a page: %o', async (headers) => {
    const { id } = await create('<script>')
    expect(await send('GET', `${jsonPath}/${id}`, undefined, headers)).toMatchObject(refused(403, 'M_FORBIDDEN'))
    const program = { 'Sec-Fetch-Dest': 'empty', 'Sec-Fetch-Mode': 'cors', 'Sec-Fetch-Site': 'cross-site' }
    expect((await send('GET', `${jsonPath}/${id}`, undefined, program)).status).toBe(200)
  })

  test('one made in the other form is not there', async () => {
    const { id } = await create('x')
    expect(await send('GET', `${textPath}/${id}`)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await send('DELETE', `${textPath}/${id}`)).toMatchObject(refused(404, 'M_NOT_FOUND'))
  })
})

describe('places', () => {
  const now = 1_700_000_000_000

  test('end after two minutes, however often they were written', async () => {
    const { id, token } = (await newPlace(env, 'msc4388', 'a', now)) ?? expect.fail('none')
    const last = now + lifetime - 1
    expect(await writePlace(env, 'msc4388', id, { token, data: 'b', now: last })).toMatchObject({ ok: true })
    expect(await readPlace(env, 'msc4388', id, last)).toMatchObject({ data: 'b', expiresAt: now + lifetime })
    const after = now + lifetime
    expect(await readPlace(env, 'msc4388', id, after)).toBeUndefined()
    const late = await writePlace(env, 'msc4388', id, { token: undefined, data: 'c', now: after })
    expect(late).toMatchObject({ ok: false, place: undefined })
    expect(await dropPlace(env, 'msc4388', id, after)).toBe(false)
    await forgetOldPlaces(env, after)
    expect(await env.DB.prepare('SELECT count(*) AS n FROM rendezvous').first()).toEqual({ n: 0 })
  })

  test('are few: whoever finds all taken is told to wait, and nobody loses theirs', async () => {
    const first = (await newPlace(env, 'msc4108', 'first', Date.now())) ?? expect.fail('none')
    await Promise.all(Array.from({ length: mostPlaces - 1 }, () => newPlace(env, 'msc4388', 'x', Date.now())))
    for (const [path, body] of [
      [textPath, 'x'],
      [jsonPath, { data: 'x' }],
    ] as const) {
      const answer = await send('POST', path, body, { 'Content-Type': 'text/plain' })
      expect(answer).toMatchObject(refused(429, 'M_LIMIT_EXCEEDED'))
      expect(answer.headers.get('Retry-After')).toBe('30')
    }
    expect((await send('GET', `${textPath}/${first.id}`)).text).toBe('first')
    expect(await newPlace(env, 'msc4388', 'later', Date.now() + lifetime + 1)).toBeDefined()
  })

  test('of those who write at once one succeeds', async () => {
    const { id, token } = (await newPlace(env, 'msc4388', '', Date.now())) ?? expect.fail('none')
    const all = await Promise.all(
      Array.from({ length: 10 }, (_, n) => writePlace(env, 'msc4388', id, { token, data: `${n}`, now: Date.now() })),
    )
    expect(all.filter(({ ok }) => ok)).toHaveLength(1)
  })

  test('one address writes sixty messages at once', async () => {
    const settings = { RATE_LIMITS: 'on', CLIENT_ADDRESS_HEADER: 'X-Real-IP' }
    const { id } = (await newPlace(env, 'msc4388', '', Date.now())) ?? expect.fail('none')
    const write = (address: string) =>
      ask(settings, 'PUT', `${jsonPath}/${id}`, { sequence_token: 'x', data: 'x' }, { 'X-Real-IP': address })
    const statuses = new Map<number, number>()
    for (let n = 0; n < 70; n++) {
      const { status } = await write('203.0.113.79')
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
    expect([...statuses.keys()]).toEqual([409, 429])
    expect(statuses.get(409)).toBeGreaterThanOrEqual(60)
    expect((await write('203.0.113.80')).status).toBe(409)
  })

  test('one address makes ten at once', async () => {
    const settings = { RATE_LIMITS: 'on', CLIENT_ADDRESS_HEADER: 'X-Real-IP' }
    const from = { 'X-Real-IP': '203.0.113.77' }
    const statuses: number[] = []
    for (let n = 0; n < 15; n++) statuses.push((await ask(settings, 'POST', jsonPath, { data: 'x' }, from)).status)
    expect(statuses.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => 200))
    expect(statuses).toContain(429)
    const elsewhere = { 'X-Real-IP': '203.0.113.78' }
    expect((await ask(settings, 'POST', jsonPath, { data: 'x' }, elsewhere)).status).toBe(200)
  })
})
