/** Media between servers. Spec: server-server-api/#content-repository. */
import { parseMxcUri } from '#protocol/identifiers/mxc-uri.ts'
import { parseServerName } from '#protocol/identifiers/server-name.ts'
import { encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import { getPublicKeyAsync } from '@noble/ed25519'
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'

import { boundaryOf, frameOf, readMediaPart } from '../../../r2-media/multipart-mixed.ts'
import { encodePng } from '../../../r2-media/png.ts'
import { authorization } from '../../../worker/federation-client/signed-fetch.ts'
import { askForMedia } from '../../../worker/media/remote-media.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { registerUser, type User } from '../client.ts'
import { ask, chunked, create, download, type Reply, upload } from './media.ts'
import { redAndBlue } from './pictures.ts'

const remote = 'remote.example:8448'
let alice: User
beforeAll(async () => {
  alice = await registerUser('alice')
})
afterEach(() => {
  vi.restoreAllMocks()
})

/** What the other server answers, by path; the list of paths it was asked for. */
function remoteAnswers(answers: Readonly<Record<string, () => Response>>): string[] {
  const asked: string[] = []
  vi.spyOn(globalThis, 'fetch').mockImplementation((input) => {
    const url = new URL(input instanceof Request ? input.url : input.toString())
    asked.push(url.origin + url.pathname)
    const answer = answers[url.pathname] ?? answers[url.origin + url.pathname]
    return Promise.resolve(answer?.() ?? Response.json({ errcode: 'M_UNRECOGNIZED', error: 'no' }, { status: 404 }))
  })
  return asked
}

const downloadPath = (id: string) => `/_matrix/federation/v1/media/download/${id}`

function multipart(headers: Readonly<Record<string, string>>, body: string | Uint8Array, tail = true): Response {
  const frame = frameOf('the boundary', headers)
  const parts = [frame.head, body, ...(tail ? [frame.tail] : [])]
  return new Response(new Blob(parts), { headers: { 'Content-Type': 'multipart/mixed; boundary="the boundary"' } })
}

const rows = async () =>
  (await env.DB.prepare('SELECT 1 FROM media WHERE server_name = ?').bind(remote).all()).results.length

describe("another server's media", () => {
  it('is fetched once, and served from the copy after that', async () => {
    const headers = { 'Content-Type': 'text/plain', 'Content-Disposition': `inline; filename*=utf-8''%E2%98%95` }
    const asked = remoteAnswers({ [downloadPath('once')]: () => multipart(headers, 'from afar') })
    for (const _ of [1, 2]) {
      const reply = await download(alice.accessToken, `${remote}/once`)
      expect([reply.status, reply.text, reply.headers.get('Content-Type')]).toEqual([200, 'from afar', 'text/plain'])
      expect(reply.headers.get('Content-Disposition')).toBe(`inline; filename="_"; filename*=utf-8''%E2%98%95`)
      expect(reply.headers.get('Content-Security-Policy')).toContain('sandbox')
    }
    expect(asked).toEqual([`https://${remote}${downloadPath('once')}`])
    expect((await download(alice.accessToken, `${remote}/once`, { Range: 'bytes=5-8' })).text).toBe('afar')
  })

  it('is fetched again when the copy is lost', async () => {
    remoteAnswers({ [downloadPath('lost')]: () => multipart({}, 'still there') })
    await download(alice.accessToken, `${remote}/lost`)
    const copies = (await env.MEDIA.list({ prefix: 'remote/' })).objects
    await env.MEDIA.delete(copies.map(({ key }) => key))
    expect((await download(alice.accessToken, `${remote}/lost`)).text).toBe('still there')
  })

  it('is kept only when all of it came, and at most as much as may be uploaded', async () => {
    const before = await rows()
    remoteAnswers({
      [downloadPath('cut')]: () => multipart({}, 'half of', false),
      [downloadPath('large')]: () =>
        new Response(chunked([frameOf('b', {}).head, new Uint8Array(1_000_001), frameOf('b', {}).tail]), {
          headers: { 'Content-Type': 'multipart/mixed; boundary=b' },
        }),
      [downloadPath('announced')]: () =>
        new Response('', { headers: { 'Content-Type': 'multipart/mixed; boundary=b', 'Content-Length': '1200000' } }),
    })
    await expect(download(alice.accessToken, `${remote}/cut`)).rejects.toThrow()
    await expect(download(alice.accessToken, `${remote}/large`)).rejects.toThrow()
    expect((await download(alice.accessToken, `${remote}/announced`)).errcode).toBe('M_TOO_LARGE')
    expect(await rows()).toBe(before)
  })

  it('is looked for where the other server points, but never inside our network', async () => {
    const pointing = (Location: string) => () => multipart({ Location }, '')
    const asked = remoteAnswers({
      [downloadPath('cdn')]: pointing('https://cdn.example/file'),
      'https://cdn.example/file': () => new Response('from the CDN', { headers: { 'Content-Type': 'image/png' } }),
      [downloadPath('odd')]: pointing('file:///etc/passwd'),
      [downloadPath('none')]: pointing('not a URL'),
    })
    const reply = await download(alice.accessToken, `${remote}/cdn`)
    expect([reply.text, reply.headers.get('Content-Type')]).toEqual(['from the CDN', 'image/png'])
    for (const id of ['odd', 'none']) expect((await download(alice.accessToken, `${remote}/${id}`)).status).toBe(502)
    expect(asked.filter((url) => !url.startsWith(`https://${remote}`))).toEqual(['https://cdn.example/file'])
  })

  it.each([
    'https://127.0.0.1/x',
    'https://[::1]/',
    'http://cdn.example/',
    'https://169.254.169.254/',
    'https://db.internal/',
  ])('is not looked for at %s', async (Location) => {
    const asked = remoteAnswers({ [downloadPath('inside')]: () => multipart({ Location }, '') })
    const mxc = parseMxcUri(`mxc://${remote}/inside`)
    if (!mxc) throw new TypeError('not an MXC URI')
    const strict = { ...env, ALLOW_PRIVATE_ADDRESSES: 'off' }
    await expect(askForMedia(strict, mxc, 0)).rejects.toMatchObject({ failure: { reason: 'bad_gateway' } })
    expect(asked).toHaveLength(1)
  })

  it('is asked for as before v1.11 where a server knows no other way', async () => {
    remoteAnswers({ [`/_matrix/media/v3/download/${remote}/old`]: () => new Response('old ways') })
    expect((await download(alice.accessToken, `${remote}/old`)).text).toBe('old ways')
  })

  it.each([400, 404])('is asked for as before v1.11 where all that a server says is %i', async (status) => {
    remoteAnswers({
      [downloadPath(`older-${status}`)]: () => new Response('page not found', { status }),
      [`/_matrix/media/v3/download/${remote}/older-${status}`]: () => new Response('older ways'),
    })
    expect((await download(alice.accessToken, `${remote}/older-${status}`)).text).toBe('older ways')
  })

  it.each([
    ['M_NOT_FOUND', 404, 404, 'M_NOT_FOUND'],
    ['M_NOT_YET_UPLOADED', 504, 504, 'M_NOT_YET_UPLOADED'],
    ['M_TOO_LARGE', 502, 502, 'M_TOO_LARGE'],
    ['M_UNKNOWN', 500, 502, 'M_UNKNOWN'],
  ])('is refused as the other server refuses it: %s', async (theirs, theirStatus, status, errcode) => {
    remoteAnswers({
      [downloadPath('no')]: () => Response.json({ errcode: theirs, error: 'no' }, { status: theirStatus }),
    })
    const reply = await download(alice.accessToken, `${remote}/no`)
    expect([reply.status, reply.errcode]).toEqual([status, errcode])
  })

  it('is a bad gateway where the answer is nonsense', async () => {
    remoteAnswers({
      [downloadPath('plain')]: () => new Response('not multipart'),
      [downloadPath('single')]: () =>
        new Response('--b\r\n\r\n{}\r\n--b--\r\n', { headers: { 'Content-Type': 'multipart/mixed; boundary=b' } }),
      [downloadPath('endless')]: () =>
        new Response(`--b\r\nX: ${'x'.repeat(200_000)}`, {
          headers: { 'Content-Type': 'multipart/mixed; boundary=b' },
        }),
    })
    for (const id of ['plain', 'single', 'endless']) {
      expect((await download(alice.accessToken, `${remote}/${id}`)).status).toBe(502)
    }
  })

  it('gets a thumbnail made here', async () => {
    const picture = encodePng(redAndBlue(200, 200))
    remoteAnswers({ [downloadPath('picture')]: () => multipart({ 'Content-Type': 'image/png' }, picture) })
    const path = `/_matrix/client/v1/media/thumbnail/${remote}/picture?width=32&height=32&method=crop`
    const reply = await ask(path, { token: alice.accessToken })
    expect([reply.status, reply.headers.get('Content-Type')]).toEqual([200, 'image/png'])
    expect(reply.bytes.byteLength).toBeLessThan(picture.byteLength)
  })
})

describe('our media', () => {
  const seed = new Uint8Array(32).fill(42)
  const asker = parseServerName('asker.example')
  const us = parseServerName('test.local')

  beforeAll(async () => {
    const publicKey = encodeBase64Unpadded(await getPublicKeyAsync(seed))
    const insert = `INSERT INTO remote_server_keys(server_name, key_id, public_key, valid_until_ts, expired, fetched_at)
      VALUES ('asker.example', 'ed25519:1', ?, ?, 0, ?)`
    await env.DB.prepare(insert)
      .bind(publicKey, Date.now() + 86_400_000, Date.now())
      .run()
  })

  async function askAsServer(path: string): Promise<Reply> {
    if (!asker || !us) throw new TypeError('not a server name')
    const key = { keyId: 'ed25519:1', seed, publicKey: await getPublicKeyAsync(seed) }
    const header = authorization(
      { destination: us, method: 'GET', path },
      { serverName: asker, key, crypto: nodeCrypto },
    )
    return ask(path, { headers: { Authorization: header } })
  }

  async function partOf(reply: Reply): Promise<{ headers: Headers; text: string }> {
    const boundary = boundaryOf(reply.headers.get('Content-Type'))
    const part = boundary === undefined ? undefined : await readMediaPart(new Blob([reply.bytes]).stream(), boundary)
    return { headers: part?.headers ?? new Headers(), text: await new Response(part?.body).text() }
  }

  it('is given to servers that sign, in two parts', async () => {
    const file = await upload(alice.accessToken, 'for all', { name: '☕.txt', type: 'text/plain' })
    const reply = await askAsServer(downloadPath(file.split('/')[1] ?? ''))
    expect(reply.status).toBe(200)
    const { headers, text } = await partOf(reply)
    expect([text, headers.get('Content-Type')]).toEqual(['for all', 'text/plain'])
    expect(headers.get('Content-Disposition')).toBe(`inline; filename="_.txt"; filename*=utf-8''%E2%98%95.txt`)
  })

  it('is given as a thumbnail too', async () => {
    const file = await upload(alice.accessToken, encodePng(redAndBlue(200, 200)))
    const query = 'width=32&height=32&method=crop'
    const ours = await ask(`/_matrix/client/v1/media/thumbnail/${file}?${query}`, { token: alice.accessToken })
    const reply = await askAsServer(`/_matrix/federation/v1/media/thumbnail/${file.split('/')[1]}?${query}`)
    const { headers, text } = await partOf(reply)
    expect([headers.get('Content-Type'), text]).toEqual(['image/png', ours.text])
  })

  it('is given to nobody else, and not before it is there', async () => {
    const file = await upload(alice.accessToken, 'for all')
    expect((await ask(downloadPath(file.split('/')[1] ?? ''))).status).toBe(401)
    const awaited = (await create(alice.accessToken)).split('/')[1] ?? ''
    expect((await askAsServer(`${downloadPath(awaited)}?timeout_ms=0`)).errcode).toBe('M_NOT_YET_UPLOADED')
    for (const id of ['unknown', '..%2F..%2Fx']) expect((await askAsServer(downloadPath(id))).status).toBe(404)
  })
})

describe('multipart/mixed', () => {
  it.each([1, 2, 3, 7, 64, 1000])('is read alike in chunks of %i bytes', async (size) => {
    const media = 'a\r\n--the boundar\r\n--\r\n\r\n{}'
    const { head, tail } = frameOf('the boundary', { 'Content-Type': 'text/plain' })
    const whole = new Uint8Array(await new Blob(['preamble\r\n', head, media, tail]).arrayBuffer())
    const chunks = Array.from({ length: Math.ceil(whole.byteLength / size) }, (_, index) =>
      whole.subarray(index * size, (index + 1) * size),
    )
    const part = await readMediaPart(chunked(chunks), 'the boundary')
    expect([part?.headers.get('Content-Type'), await new Response(part?.body).text()]).toEqual(['text/plain', media])
  })

  it.each([
    ['multipart/mixed; boundary=abc', 'abc'],
    ['Multipart/Mixed; charset=x; Boundary="a b"', 'a b'],
    ['multipart/mixed; boundary="a\r\nb"', undefined],
    [`multipart/mixed; boundary=${'x'.repeat(71)}`, undefined],
    ['multipart/mixed', undefined],
    ['text/plain; boundary=abc', undefined],
    [null, undefined],
  ])('has its boundary in its type: %j', (type, boundary) => {
    expect(boundaryOf(type)).toBe(boundary)
  })
})
