/**
 * Answers of other servers that never end, come never, are compressed a thousandfold, nest without end: bounded in bytes,
 * time and depth. Security cases 9, 26, 37, 42.
 */
import type { JsonObject } from '#protocol/json/json.ts'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'

import { type AnswerLimits, readJoinAnswer } from '../../../durable-objects/room/federation/join-answer.ts'
import { readCapped } from '../../../worker/federation-client/fetch-capped.ts'
import { ByteReader, readResponse } from '../../../worker/federation-client/http1.ts'
import { JsonSplitter } from '../../../worker/federation-client/json-splitter.ts'
import { registerUser, send, type User } from '../client.ts'
import { serverNameOf } from '#protocol/identifiers/user-id.ts'
import { askAs, publishedKeys, serversAnswer, stranger, strangeRoom } from './hostile-server.ts'

let alice: User
beforeAll(async () => {
  alice = await registerUser('ha_alice')
})
afterEach(() => {
  // What our sender still has to tell goes nowhere.
  serversAnswer({})
})

const bytesOf = (text: string) => new TextEncoder().encode(text)

/** A body that begins like this and goes on like that, for ever. `taken`: how much of it was taken. */
function endless(head: string, again: string) {
  const chunk = bytesOf(again.repeat(Math.ceil(65_536 / again.length)))
  const count = { taken: 0, cancelled: false }
  let isFirst = true
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const next = isFirst ? bytesOf(head) : chunk
        isFirst = false
        count.taken += next.byteLength
        controller.enqueue(next)
      },
      cancel() {
        count.cancelled = true
      },
    },
    { highWaterMark: 0 },
  )
  return { body, count }
}

/** Reads what claims to be a join's answer; the events that came out of it. */
async function read(body: ReadableStream<Uint8Array>, limits: AnswerLimits = { bytes: 8_000_000, silence: 5_000 }) {
  const events: unknown[] = []
  const spool = { add: () => undefined }
  const requests = {
    verified: (batch: readonly unknown[]) => {
      events.push(...batch)
      return Promise.resolve([])
    },
  }
  return { answer: await readJoinAnswer(spool, requests, body, limits), events }
}

describe('case 26: the answer to a join', () => {
  it.each([
    ['goes on with events for ever', '{"state":[{}', ',{"type":"m.x","content":{}}', 8_100_000],
    ['is one event that never ends', '{"state":[{"content":{"body":"', 'x', 1_200_000],
    ['is a key that never ends', '{"', 'x', 1_200_000],
    ['nests without end inside an event', '{"state":[', '[', 1_200_000],
    ['nests without end beside the events', '{"x":', '{"a":', 8_100_000],
    ['is filled up with something else', '{"x":"', 'x', 8_100_000],
    ['is white space', ' ', ' ', 8_100_000],
    ['is no JSON', '<html>', '<br>', 100_000],
  ])('%s: is given up within its bounds', async (_, head, again, most) => {
    const { body, count } = endless(head, again)
    expect((await read(body)).answer).toBeUndefined()
    expect(count).toMatchObject({ cancelled: true })
    expect(count.taken).toBeLessThan(most)
  })

  it('falls silent: is given up', async () => {
    let cancelled = false
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(bytesOf('{"state":[{},')),
      pull: () => new Promise(() => undefined),
      cancel: () => {
        cancelled = true
      },
    })
    expect((await read(body, { bytes: 1000, silence: 20 })).answer).toBeUndefined()
    expect(cancelled).toBe(true)
  })

  it('breaks off: is given up', async () => {
    const breaking = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(bytesOf('{"state":[{},')),
      pull: (controller) => controller.error(new Error('reset')),
    })
    expect((await read(breaking)).answer).toBeUndefined()
    expect((await read(new Blob(['{"state":[],"auth_chain":[{}]']).stream())).answer).toBeUndefined()
  })

  it.each([1, 2, 3, 7, 64, 100_000])('is taken apart alike in pieces of %i bytes', async (size) => {
    const tricky = { body: 'a"]},{\\', 'ö\u{1f600}': [[], {}, [{ state: [1] }]], n: -1, t: true }
    const event = { type: 'm.room.member', content: { membership: 'join' }, unsigned: { state: ['no'] } }
    const whole = JSON.stringify({
      other: { state: [{ wrong: 1 }], event: 'wrong' },
      state: [tricky, event, {}, []],
      members_omitted: false,
      event,
      nothing: [],
      auth_chain: [],
    })
    for (const text of [whole, JSON.stringify(JSON.parse(whole), null, 2)]) {
      const bytes = bytesOf(text)
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size))
          controller.close()
        },
      })
      expect(await read(body)).toEqual({ answer: { event }, events: [tricky, event, {}, []] })
    }
  })

  it('spells numbers and keys as no server signs them: they count as no numbers', async () => {
    const body = new Blob(['{"state":[{"a":1.0},{"a":1,"a":2},{"a":1e400}],"auth_chain":[]}']).stream()
    expect((await read(body)).events).toEqual([{ a: NaN }, { a: NaN }, { a: NaN }])
  })

  it('holds its largest event to a megabyte', () => {
    const found: string[] = []
    const splitter = new JsonSplitter({ lists: ['l'], values: [], maxBytes: 10 }, (_, json) => found.push(json))
    expect(splitter.write(bytesOf('{"l":["12345678","123456789"]}'))).toBe(false)
    expect(found).toEqual(['"12345678"'])
    expect([splitter.isComplete, splitter.write(bytesOf('{}'))]).toEqual([false, false])
  })
})

it('case 26: a compressed answer is counted as it unfolds', async () => {
  const { body } = endless('', '\0')
  let limit = 0
  const much = body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        if ((limit += chunk.byteLength) > 64_000_000) controller.terminate()
        else controller.enqueue(chunk)
      },
    }),
  )
  const bomb = much.pipeThrough(new CompressionStream('gzip')).pipeThrough(new DecompressionStream('gzip'))
  expect(await readCapped(new Response(bomb), 1_000_000)).toMatchObject({ ok: false, kind: 'too_large' })
})

it('case 26: a compressed request is not unfolded at all', async () => {
  const json = JSON.stringify({ pdus: [], edus: [], origin_server_ts: 1, filler: 'x'.repeat(1_000_000) })
  const packed = await new Response(new Blob([json]).stream().pipeThrough(new CompressionStream('gzip'))).text()
  const headers = { 'Content-Encoding': 'gzip', Authorization: 'X-Matrix origin="a.test",key="ed25519:1",sig="AA"' }
  const { status } = await send('PUT', '/_matrix/federation/v1/send/gzip', packed, headers)
  expect(status).toBeGreaterThanOrEqual(400)
  expect(status).toBeLessThan(500)
})

describe('case 26: any other answer', () => {
  const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
  it.each<[string, () => Response]>([
    ['without end', () => new Response(endless('{"a":"', 'x').body)],
    ['that says it is large', () => new Response('{}', { headers: { 'Content-Length': '999999999999' } })],
    ['that nests without end', () => new Response(`{"room_version":"11","event":${deep(1_000_000)}}`)],
    ['that nests inside its event', () => new Response(`{"room_version":"11","event":{"content":${deep(50_000)}}}`)],
    ['that is no JSON', () => new Response('<html>')],
    ['that is no object', () => Response.json([1])],
    ['that is not text', () => new Response(new Uint8Array([0xff, 0xfe, 0]))],
    ['that redirects', () => new Response(null, { status: 302, headers: { Location: 'https://10.0.0.1/' } })],
    ['that is a huge error', () => new Response(endless('{"error":"', 'x').body, { status: 500 })],
  ])('%s is an error for who asked, and nothing worse', async (_, answer) => {
    const { room, creator } = strangeRoom('11')
    serversAnswer({
      '/make_join/': answer,
      '/query/profile': answer,
      '/publicRooms': answer,
      '/query/directory': answer,
    })
    const server = serverNameOf(creator)
    const asked = await Promise.all([
      alice.post(`/join/${encodeURIComponent(room.roomId)}?server_name=${server}`),
      alice.get(`/profile/${encodeURIComponent(creator)}`),
      alice.get(`/publicRooms?server=${server}`),
      alice.get(`/directory/room/${encodeURIComponent(`#alias:${server}`)}`),
    ])
    expect(asked[0]?.status).toBeGreaterThanOrEqual(400)
    for (const { status } of asked) expect(status).not.toBe(500)
    for (const { body } of asked.filter(({ status }) => status >= 400)) expect(body).toHaveProperty('errcode')
    for (const { body } of asked) expect(JSON.stringify(body).length).toBeLessThan(100_000)
  })

  it.each<[string, (server: string) => Response]>([
    ['nest', (server) => new Response(JSON.stringify(publishedKeys(server)).replace('{', `{"x":${deep(200_000)},`))],
    ['never end', () => new Response(endless('{"a":"', 'x').body)],
    ['list a million keys', (server) => Response.json(publishedKeys(server, { verify_keys: manyKeys(20_000) }))],
    ['are of another server', () => Response.json(publishedKeys('other.test:1'))],
    ['are valid for no time', (server) => Response.json(publishedKeys(server, { valid_until_ts: 1 }))],
    ['are no numbers', (server) => Response.json(publishedKeys(server, { valid_until_ts: 1.5 }))],
  ])('case 24: keys that %s let nobody in', async (_, answer) => {
    const server = serverNameOf(stranger())
    serversAnswer({ '/key/v2/server': (asked) => answer(asked.server) })
    const { status, body } = await askAs(server, 'GET', '/query/profile?user_id=@ha_alice:test.local')
    expect({ status, body }).toMatchObject({ status: 401, body: { errcode: 'M_UNAUTHORIZED' } })
  })
})

function manyKeys(count: number): JsonObject {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [`ed25519:${n}`, { key: 'A'.repeat(43) }]))
}

describe('case 26: an answer over a socket of our own', () => {
  const answered = async (text: string, pieces = 1000) => {
    const bytes = bytesOf(text)
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < bytes.length; at += pieces) controller.enqueue(bytes.slice(at, at + pieces))
        controller.close()
      },
    })
    const response = await readResponse(new ByteReader(body.getReader()), () => undefined)
    return [response.status, await response.text()]
  }

  it.each([1, 7, 1000])('is read in pieces of %i bytes', async (pieces) => {
    expect(await answered('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}rest', pieces)).toEqual([200, '{}'])
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n'
    expect(await answered(chunked, pieces)).toEqual([200, '{}'])
    expect(await answered('HTTP/1.0 404 No\r\n\r\nuntil the end', pieces)).toEqual([404, 'until the end'])
  })

  it.each([
    ['is not HTTP', 'SSH-2.0-OpenSSH\r\n\r\n'],
    ['has a header without end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}`],
    ['has headers without end', `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(50_000)}`],
    ['has a header without a name', 'HTTP/1.1 200 OK\r\n: x\r\n\r\n'],
    ['breaks off in its headers', 'HTTP/1.1 200 OK\r\nX: y'],
    ['breaks off in its body', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}'],
    ['has a length that is none', 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}'],
    ['has a chunk of no size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n'],
    ['breaks off between chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n'],
  ])('%s: is no answer', async (_, text) => {
    await expect(answered(text)).rejects.toThrow()
  })
})
