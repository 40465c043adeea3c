/** What admins do about media: forbid it, delete it, see who has how much. */
import { createExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'

import { createApp } from '../../../worker/app.ts'
import { encodePng } from '../../../r2-media/png.ts'
import { frameOf } from '../../../r2-media/multipart-mixed.ts'
import { registerUser, serverUrl, type User } from '../client.ts'
import { registerAdmin } from '../people/admins.ts'
import { ask, create, download, replyOf, upload } from './media.ts'
import { redAndBlue } from './pictures.ts'

const v1 = '/_synapse/admin/v1'
let admin: User
let alice: User
beforeAll(async () => {
  admin = await registerAdmin('admin')
  alice = await registerUser('alice')
})
afterEach(() => {
  vi.restoreAllMocks()
})

const idOf = (file: string) => file.split('/')[1] ?? ''
const objects = async () => (await env.MEDIA.list()).objects.length
const status = async (file: string) => (await download(alice.accessToken, file)).status

/** Another server that has every file; how often it was asked. */
function farAway() {
  return vi.spyOn(globalThis, 'fetch').mockImplementation(() => {
    const { head, tail } = frameOf('b', { 'Content-Type': 'text/plain' })
    const body = new Blob([head, 'from afar', tail])
    return Promise.resolve(new Response(body, { headers: { 'Content-Type': 'multipart/mixed; boundary=b' } }))
  })
}

/** A room in which Alice named media. */
async function roomWith(contents: readonly object[]): Promise<string> {
  const { body } = await alice.post<{ room_id: string }>('/createRoom', { preset: 'private_chat' })
  for (const [index, content] of contents.entries()) {
    const sent = await alice.put(`/rooms/${body.room_id}/send/m.room.message/m${index}`, content)
    expect(sent.status).toBe(200)
  }
  return body.room_id
}

it('is for admins alone', async () => {
  const [user, room] = [encodeURIComponent(alice.userId), encodeURIComponent('!room:test.local')]
  for (const [method, path] of [
    ['GET', `/media/test.local/x`],
    ['DELETE', `/media/test.local/x`],
    ['POST', `/media/quarantine/test.local/x`],
    ['POST', `/media/unquarantine/test.local/x`],
    ['POST', `/media/protect/x`],
    ['POST', `/media/unprotect/x`],
    ['GET', `/users/${user}/media`],
    ['DELETE', `/users/${user}/media`],
    ['POST', `/user/${user}/media/quarantine`],
    ['GET', `/room/${room}/media`],
    ['DELETE', `/room/${room}/media`],
    ['POST', `/room/${room}/media/quarantine`],
    ['POST', `/purge_media_cache?before_ts=1`],
    ['GET', `/statistics/users/media`],
  ] as const) {
    const reply = await ask(v1 + path, { method, token: alice.accessToken })
    expect({ path, status: reply.status, errcode: reply.errcode }).toEqual({
      path,
      status: 403,
      errcode: 'M_FORBIDDEN',
    })
    expect((await ask(v1 + path, { method })).status).toBe(401)
  }
})

describe('quarantine', () => {
  it('of a file: nobody gets it, nor a thumbnail, until it ends', async () => {
    const file = await upload(alice.accessToken, encodePng(redAndBlue(100, 100)))
    const thumbnail = `/_matrix/client/v1/media/thumbnail/${file}?width=32&height=32`
    expect((await ask(thumbnail, { token: alice.accessToken })).status).toBe(200)
    expect(await admin.post(`${v1}/media/quarantine/${file}`)).toMatchObject({ status: 200, body: {} })
    expect(await status(file)).toBe(404)
    expect((await ask(thumbnail, { token: alice.accessToken })).status).toBe(404)
    const info = await admin.get(`${v1}/media/${file}`)
    expect(info.body).toMatchObject({ media_info: { user_id: alice.userId, quarantined_by: admin.userId } })
    await admin.post(`${v1}/media/unquarantine/${file}`)
    expect(await status(file)).toBe(200)
  })

  it('of an ID: nothing can be uploaded to it', async () => {
    const file = await create(alice.accessToken)
    await admin.post(`${v1}/media/quarantine/${file}`)
    const put = { token: alice.accessToken, method: 'PUT', body: 'x' }
    expect((await ask(`/_matrix/media/v3/upload/${file}`, put)).status).toBe(409)
    expect(await status(file)).toBe(404)
  })

  it('of another server’s file: it is not fetched, known or not', async () => {
    const asked = farAway()
    const [known, unknown] = ['remote.example/known', 'remote.example/unknown']
    expect(await status(known)).toBe(200)
    const before = asked.mock.calls.length
    for (const file of [known, unknown]) await admin.post(`${v1}/media/quarantine/${file}`)
    for (const file of [known, unknown]) expect(await status(file)).toBe(404)
    const thumbnail = `/_matrix/client/v1/media/thumbnail/${unknown}?width=32&height=32`
    expect((await ask(thumbnail, { token: alice.accessToken })).status).toBe(404)
    expect(asked.mock.calls.length).toBe(before)
    await admin.post(`${v1}/media/unquarantine/${unknown}`)
    expect(await status(unknown)).toBe(200)
  })

  it('of all that a user has, but what an admin protects', async () => {
    const bob = await registerUser('bob')
    const [bad, worse, good] = [
      await upload(bob.accessToken, 'bad'),
      await upload(bob.accessToken, 'worse'),
      await upload(bob.accessToken, 'good'),
    ]
    await admin.post(`${v1}/media/protect/${idOf(good)}`)
    const path = `${v1}/user/${encodeURIComponent(bob.userId)}/media/quarantine`
    expect((await admin.post(path)).body).toEqual({ num_quarantined: 2 })
    expect(await Promise.all([bad, worse, good].map(status))).toEqual([404, 404, 200])
    await admin.post(`${v1}/media/unprotect/${idOf(good)}`)
    expect((await admin.post(path)).body).toEqual({ num_quarantined: 1 })
  })

  it('of all that a room names', async () => {
    const asked = farAway()
    const files: string[] = []
    for (const name of ['plain', 'thumbnail', 'file', 'sealed', 'apart'])
      files.push(await upload(alice.accessToken, name))
    const [plain, thumbnail, file, sealed, apart] = files.map((name) => `mxc://${name}`)
    const roomId = await roomWith([
      { msgtype: 'm.image', body: 'a', url: plain, info: { thumbnail_url: thumbnail } },
      { msgtype: 'm.image', body: 'b', file: { url: file }, info: { thumbnail_file: { url: sealed } } },
      { msgtype: 'm.image', body: 'c', url: 'mxc://remote.example/inRoom' },
      { msgtype: 'm.text', body: `only words: ${apart}`, url: 7, file: null, info: 'x' },
    ])
    const room = `${v1}/room/${encodeURIComponent(roomId)}/media`
    const listed = (await admin.get<{ local: string[]; remote: string[] }>(room)).body
    expect(new Set(listed.local)).toEqual(new Set([plain, thumbnail, file, sealed]))
    expect(listed.remote).toEqual(['mxc://remote.example/inRoom'])
    expect((await admin.post(`${room}/quarantine`)).body).toEqual({ num_quarantined: 5 })
    expect(await Promise.all(files.map(status))).toEqual([404, 404, 404, 404, 200])
    expect(await status('remote.example/inRoom')).toBe(404)
    expect(asked).not.toHaveBeenCalled()
    expect((await admin.post(`${v1}/quarantine_media/${encodeURIComponent(roomId)}`)).body).toEqual({
      num_quarantined: 0,
    })
  })
})

describe('deleting', () => {
  it('a file takes its bytes and thumbnails along', async () => {
    const before = await objects()
    const file = await upload(alice.accessToken, encodePng(redAndBlue(100, 120)))
    await ask(`/_matrix/client/v1/media/thumbnail/${file}?width=32&height=32`, { token: alice.accessToken })
    expect(await objects()).toBe(before + 2)
    const answer = await admin.delete(`${v1}/media/${file}`)
    expect(answer).toMatchObject({ status: 200, body: { deleted_media: [idOf(file)], total: 1 } })
    expect(await objects()).toBe(before)
    expect(await status(file)).toBe(404)
    expect((await admin.delete(`${v1}/media/${file}`)).status).toBe(404)
    expect((await admin.delete(`${v1}/media/remote.example/x`)).status).toBe(400)
  })

  it('a user’s files, so many at a time', async () => {
    const carol = await registerUser('carol')
    for (const body of ['one', 'three', 'fifteen']) await upload(carol.accessToken, body)
    const kept = await upload(alice.accessToken, 'kept')
    const path = `${v1}/users/${encodeURIComponent(carol.userId)}/media`
    const largest = await admin.get<{ media: { media_length: number }[] }>(
      `${path}?order_by=media_length&dir=b&limit=2`,
    )
    expect(largest.body).toMatchObject({ total: 3, next_token: 2, media: [{ media_length: 7 }, { media_length: 5 }] })
    expect((await admin.delete(`${path}?order_by=media_length&dir=b&limit=1`)).body).toMatchObject({ total: 1 })
    expect((await admin.get(`${path}?from=0`)).body).toMatchObject({ total: 2, media: [{}, {}] })
    expect((await admin.delete(path)).body).toMatchObject({ total: 2 })
    expect((await admin.get(path)).body).toEqual({ media: [], total: 0 })
    expect(await status(kept)).toBe(200)
    for (const wrong of ['?order_by=storage_key', '?limit=x', '?dir=up']) {
      expect((await admin.get(path + wrong)).status).toBe(400)
    }
  })

  it('what a room names', async () => {
    farAway()
    const file = await upload(alice.accessToken, 'gone')
    expect(await status('remote.example/gone')).toBe(200)
    const roomId = await roomWith([
      { msgtype: 'm.file', body: 'a', url: `mxc://${file}` },
      { msgtype: 'm.file', body: 'b', url: 'mxc://remote.example/gone' },
    ])
    const answer = await admin.delete<{ deleted_media: string[] }>(`${v1}/room/${encodeURIComponent(roomId)}/media`)
    expect(answer.body).toMatchObject({ total: 2 })
    expect(new Set(answer.body.deleted_media)).toEqual(new Set([idOf(file), 'gone']))
    expect(await status(file)).toBe(404)
    const nothing = await admin.get(`${v1}/room/${encodeURIComponent('!nowhere:test.local')}/media`)
    expect(nothing.body).toEqual({ local: [], remote: [] })
  })

  it('copies of other servers’ files that nobody looked at', async () => {
    const asked = farAway()
    expect(await status('remote.example/old')).toBe(200)
    const calls = asked.mock.calls.length
    expect((await admin.post(`${v1}/purge_media_cache?before_ts=1`)).body).toEqual({ deleted: 0 })
    const purged = await admin.post<{ deleted: number }>(`${v1}/purge_media_cache?before_ts=${Date.now() + 1000}`)
    expect(purged.body.deleted).toBeGreaterThan(0)
    expect(await status('remote.example/old')).toBe(200)
    expect(asked.mock.calls.length).toBeGreaterThan(calls)
    expect((await admin.post(`${v1}/purge_media_cache`)).status).toBe(400)
  })
})

it('tells how much each user has', async () => {
  const [erin, frank] = [await registerUser('erin'), await registerUser('frank')]
  await erin.put(`/profile/${encodeURIComponent(erin.userId)}/displayname`, { displayname: 'Quota Erin' })
  for (const body of ['1', '22', '333']) await upload(erin.accessToken, body)
  await upload(frank.accessToken, '4'.repeat(100))
  await create(frank.accessToken)
  interface Statistics {
    readonly users: { user_id: string; displayname: string; media_count: number; media_length: number }[]
    readonly total: number
    readonly next_token?: number
  }
  const path = `${v1}/statistics/users/media`
  const all = (await admin.get<Statistics>(`${path}?order_by=media_length&dir=b`)).body
  expect(all.users).toContainEqual({ user_id: erin.userId, displayname: 'Quota Erin', media_count: 3, media_length: 6 })
  expect(all.users.find(({ user_id }) => user_id === frank.userId)).toMatchObject({ media_count: 1, media_length: 100 })
  expect(all.total).toBe(all.users.length)
  const lengths = all.users.map(({ media_length }) => media_length)
  expect(lengths).toEqual(lengths.toSorted((a, b) => b - a))
  const found = (await admin.get<Statistics>(`${path}?search_term=quota%20e`)).body
  expect(found).toMatchObject({ total: 1, users: [{ user_id: erin.userId }] })
  expect((await admin.get<Statistics>(`${path}?limit=1`)).body).toMatchObject({ next_token: 1 })
  expect((await admin.get<Statistics>(`${path}?until_ts=1`)).body).toEqual({ users: [], total: 0 })
})

describe('the freeze of the paths without a token', () => {
  const lifted = { ...env, FREEZE_UNAUTHENTICATED_MEDIA: 'off' }
  const uploadBefore = async (path: string, method: string) => {
    const init = {
      method,
      headers: { Authorization: `Bearer ${alice.accessToken}` },
      body: encodePng(redAndBlue(64, 64)),
    }
    return replyOf(await createApp().fetch(new Request(serverUrl + path, init), lifted, createExecutionContext()))
  }

  it('is for other servers’ media as well', async () => {
    farAway()
    const get = async (settings: object, query = '') => {
      const request = new Request(`${serverUrl}/_matrix/media/v3/download/remote.example/open${query}`)
      return (await createApp().fetch(request, { ...env, ...settings }, createExecutionContext())).status
    }
    expect(await get(lifted, '?allow_remote=false')).toBe(404)
    expect(await get(lifted)).toBe(200)
    expect(await get({})).toBe(404)
  })

  it('leaves what was uploaded before it, and that alone', async () => {
    const { content_uri: uri }: { content_uri: string } = JSON.parse(
      (await uploadBefore('/_matrix/media/v3/upload', 'POST')).text,
    )
    const before = uri.slice('mxc://'.length)
    const later = await create(alice.accessToken)
    expect((await uploadBefore(`/_matrix/media/v3/upload/${later}`, 'PUT')).status).toBe(200)
    const after = await upload(alice.accessToken, 'new')
    for (const version of ['v3', 'r0']) {
      const get = async (path: string) => (await ask(`/_matrix/media/${version}/${path}`)).status
      for (const file of [before, later]) {
        expect(await get(`download/${file}`)).toBe(200)
        expect(await get(`thumbnail/${file}?width=32&height=32`)).toBe(200)
      }
      expect(await get(`download/${after}`)).toBe(404)
      expect(await get('download/remote.example/x')).toBe(404)
    }
    const named = await ask(`/_matrix/media/v3/download/${before}/other%20name.png`)
    expect(named.headers.get('Content-Disposition')).toBe('attachment; filename="other name.png"')
    await admin.post(`${v1}/media/quarantine/${before}`)
    expect((await ask(`/_matrix/media/v3/download/${before}`)).status).toBe(404)
  })
})
