/** Uploads and downloads on one server. Spec: client-server-api/#content-repository. */
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, it } from 'vitest'

import { receiveUpload } from '../../../worker/media/receive-upload.ts'
import { settingsOf } from '../../../worker/settings.ts'
import { registerUser, type User } from '../client.ts'
import { ask, create, download, streamOf, upload } from './media.ts'

let alice: User
let bob: User
beforeAll(async () => {
  alice = await registerUser('alice')
  bob = await registerUser('bob')
})

const objects = async () => (await env.MEDIA.list()).objects.length

describe('uploading', () => {
  it('gives back what was uploaded, with its type and name', async () => {
    const file = await upload(alice.accessToken, 'Hello', { name: 'War and Peace.txt', type: 'text/plain' })
    expect(file).toMatch(/^test\.local\/[\w-]{24}$/)
    const { status, text, headers } = await download(bob.accessToken, file)
    expect({ status, text }).toEqual({ status: 200, text: 'Hello' })
    expect(Object.fromEntries(headers)).toMatchObject({
      'content-type': 'text/plain',
      'content-disposition': 'inline; filename="War and Peace.txt"',
      'content-length': '5',
      'content-security-policy': expect.stringContaining('sandbox;'),
      'cross-origin-resource-policy': 'cross-origin',
      'x-content-type-options': 'nosniff',
    })
  })

  it('takes an empty file, and one without a type', async () => {
    const file = await upload(alice.accessToken, new Uint8Array())
    const { status, bytes, headers } = await download(alice.accessToken, file)
    expect([status, bytes.byteLength, headers.get('Content-Type')]).toEqual([200, 0, 'application/octet-stream'])
    expect(headers.get('Content-Disposition')).toBe('attachment')
  })

  it('wants a token for uploads, downloads and the configuration', async () => {
    const file = await upload(alice.accessToken, 'secret')
    for (const [method, path] of [
      ['POST', '/_matrix/media/v3/upload'],
      ['POST', '/_matrix/media/v1/create'],
      ['PUT', `/_matrix/media/v3/upload/${file}`],
      ['GET', `/_matrix/client/v1/media/download/${file}`],
      ['GET', `/_matrix/client/v1/media/download/${file}/name`],
      ['GET', '/_matrix/client/v1/media/config'],
      ['GET', '/_matrix/media/v3/config'],
    ] as const) {
      const { status, errcode } = await ask(path, { method })
      expect({ path, status, errcode }).toEqual({ path, status: 401, errcode: 'M_MISSING_TOKEN' })
    }
  })

  it('tells how large an upload may be', async () => {
    for (const path of ['/_matrix/client/v1/media/config', '/_matrix/media/v3/config', '/_matrix/media/r0/config']) {
      expect(JSON.parse((await ask(path, { token: alice.accessToken })).text)).toEqual({ 'm.upload.size': 1_000_000 })
    }
  })

  it('takes a file of just that size, and nothing larger, whether or not the length was announced', async () => {
    const token = alice.accessToken
    const before = await objects()
    for (const body of [new Uint8Array(1_000_001), streamOf(1_000_001)]) {
      const { status, errcode } = await ask('/_matrix/media/v3/upload', { token, method: 'POST', body })
      expect({ status, errcode }).toEqual({ status: 413, errcode: 'M_TOO_LARGE' })
    }
    expect(await objects()).toBe(before)
    const file = await upload(token, streamOf(1_000_000))
    expect((await download(token, file)).bytes.byteLength).toBe(1_000_000)
  })
})

it('keeps nothing of an upload that breaks off', async () => {
  const before = await objects()
  const request = new Request('http://test.local/', {
    method: 'POST',
    body: new ReadableStream({
      start: (controller) => controller.enqueue(new Uint8Array(10)),
      pull: (controller) => controller.error(new Error('gone')),
    }),
  })
  const userId = parseUserId(alice.userId)
  if (!userId) throw new TypeError('not a user ID')
  const call = { request, env, settings: settingsOf(env), query: new URLSearchParams(), requester: { userId } }
  const refused = receiveUpload(call, () => Promise.resolve(true))
  await expect(refused).rejects.toMatchObject({ failure: { reason: 'invalid_param' } })
  const lying = new Request('http://test.local/', {
    method: 'POST',
    body: 'ten bytes?',
    headers: { 'Content-Length': '99' },
  })
  await expect(receiveUpload({ ...call, request: lying }, () => Promise.resolve(true))).rejects.toMatchObject({
    failure: { reason: 'invalid_param' },
  })
  expect(await objects()).toBe(before)
})

describe('downloading', () => {
  it('sends the part that is asked for', async () => {
    const file = await upload(alice.accessToken, '0123456789')
    for (const [range, text, where] of [
      ['bytes=2-4', '234', 'bytes 2-4/10'],
      ['bytes=7-', '789', 'bytes 7-9/10'],
      ['bytes=-2', '89', 'bytes 8-9/10'],
      ['bytes=8-99', '89', 'bytes 8-9/10'],
    ] as const) {
      const reply = await download(bob.accessToken, file, { Range: range })
      expect([reply.status, reply.text, reply.headers.get('Content-Range')]).toEqual([206, text, where])
    }
    expect((await download(bob.accessToken, file, { Range: 'bytes=10-' })).status).toBe(416)
    for (const range of ['bytes=4-2', 'bytes=0-1,3-4', 'lines=1-2', 'bytes=-']) {
      expect((await download(bob.accessToken, file, { Range: range })).text).toBe('0123456789')
    }
  })

  it('sends nothing to a client that has it already', async () => {
    const file = await upload(alice.accessToken, '0123456789')
    const etag = (await download(bob.accessToken, file)).headers.get('ETag') ?? ''
    expect(etag).toMatch(/^"[\w-]{43}"$/)
    expect((await download(bob.accessToken, file, { 'If-None-Match': etag })).status).toBe(304)
    expect((await download(bob.accessToken, file, { 'If-None-Match': '"other"' })).status).toBe(200)
    const stale = await download(bob.accessToken, file, { Range: 'bytes=0-0', 'If-Range': '"other"' })
    expect([stale.status, stale.text]).toEqual([200, '0123456789'])
  })

  it('knows no media that is not there', async () => {
    for (const id of ['unknown', '..', '%2e%2e', '..%2f..%2fsecret', 'a%00b', 'a.b', 'a%20b', 'ä', 'x'.repeat(256)]) {
      const { status } = await download(alice.accessToken, `test.local/${id}`)
      expect({ id, status }).toEqual({ id, status: 404 })
    }
    for (const server of ['..', '%2e%2e%2f', 'a%20b', 'test.local%2fx']) {
      const { status } = await download(alice.accessToken, `${server}/unknown`)
      expect({ server, status }).toEqual({ server, status: 404 })
    }
  })

  it('is frozen for those who have no token', async () => {
    const file = await upload(alice.accessToken, 'new')
    for (const version of ['v3', 'r0']) {
      for (const path of [`download/${file}`, `download/${file}/name.txt`, `thumbnail/${file}?width=32&height=32`]) {
        const { status, errcode } = await ask(`/_matrix/media/${version}/${path}`)
        expect({ path, status, errcode }).toEqual({ path, status: 404, errcode: 'M_NOT_FOUND' })
      }
    }
  })
})

describe('uploading later', () => {
  it('gives out an ID first, and the media once it is there', async () => {
    const file = await create(alice.accessToken)
    const early = await download(bob.accessToken, `${file}?timeout_ms=0`)
    expect([early.status, early.errcode]).toEqual([504, 'M_NOT_YET_UPLOADED'])
    const old = await ask(`/_matrix/media/v3/download/${file}`)
    expect([old.status, old.errcode]).toEqual([504, 'M_NOT_YET_UPLOADED'])

    const waiting = download(bob.accessToken, `${file}?timeout_ms=20000`)
    const put = (body: string, token = alice.accessToken) =>
      ask(`/_matrix/media/v3/upload/${file}?filename=late.txt`, {
        token,
        method: 'PUT',
        body,
        headers: { 'Content-Type': 'text/plain' },
      })
    expect((await put('mine', bob.accessToken)).errcode).toBe('M_FORBIDDEN')
    expect(await put('late')).toMatchObject({ status: 200, text: '{}' })
    expect(await waiting).toMatchObject({ status: 200, text: 'late' })
    const again = await put('other')
    expect([again.status, again.errcode]).toEqual([409, 'M_CANNOT_OVERWRITE_MEDIA'])
    expect((await download(bob.accessToken, file)).text).toBe('late')
  })

  it('lets one of two uploads to an ID win, and keeps nothing of the other', async () => {
    const file = await create(alice.accessToken)
    const before = await objects()
    const put = (body: string) =>
      ask(`/_matrix/media/v3/upload/${file}`, { token: alice.accessToken, method: 'PUT', body })
    const statuses = (await Promise.all([put('one'), put('two')])).map(({ status }) => status)
    expect(new Set(statuses)).toEqual(new Set([200, 409]))
    expect(await objects()).toBe(before + 1)
  })

  it('takes nothing for an ID that was not given out, that is of another server, or whose time is over', async () => {
    const gone = await create(alice.accessToken)
    await env.DB.prepare('UPDATE media SET expires_at = 1 WHERE media_id = ?').bind(gone.split('/')[1]).run()
    for (const file of ['test.local/unknown', 'other.example/unknown', 'test.local/..%2fx', gone]) {
      const put = { token: alice.accessToken, method: 'PUT', body: 'x' }
      const { status, errcode } = await ask(`/_matrix/media/v3/upload/${file}`, put)
      expect({ file, status, errcode }).toEqual({ file, status: 404, errcode: 'M_NOT_FOUND' })
    }
    expect((await download(alice.accessToken, gone)).status).toBe(404)
  })

  it('gives a user only so many IDs at a time', async () => {
    const carol = await registerUser('carol')
    for (let made = 0; made < 50; made++) await create(carol.accessToken)
    const refused = await ask('/_matrix/media/v1/create', { token: carol.accessToken, method: 'POST' })
    expect([refused.status, refused.errcode]).toEqual([429, 'M_LIMIT_EXCEEDED'])
    await env.DB.prepare('UPDATE media SET expires_at = 1 WHERE uploader = ?').bind(carol.userId).run()
    expect(await create(carol.accessToken)).toMatch(/^test\.local\//)
  })
})
