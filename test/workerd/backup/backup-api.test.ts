/** The whole server goes out over HTTP and comes back into an empty one; who has no secret finds no such path. */
import { gunzipSync } from 'node:zlib'

import { createExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, test } from 'vitest'

import { createApp } from '../../../worker/app.ts'
import { type DumpLine, parseDumpLine } from '../../../worker/backup/dump-line.ts'
import type { Env } from '../../../worker/env.ts'
import { anonymous, clientWith, registerUser, type User } from '../client.ts'

const day = 86_400_000
const random = 'a-random-text-of-at-least-32-characters'
const secretFor = (purpose: string, until = Date.now() + day) => `${purpose}.${until}.${random}`

async function ask(secret: string, method: string, path: string, body?: string | object, given = secret) {
  const request = new Request(`http://test.local/_hearth/${path}`, {
    method,
    headers: { Authorization: `Bearer ${given}` },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const changed: Env = Object.assign({}, env, { BACKUP_SECRET: secret })
  const response = await createApp().fetch(request, changed, createExecutionContext())
  const bytes = new Uint8Array(await response.arrayBuffer())
  return { status: response.status, bytes, text: () => new TextDecoder().decode(bytes) }
}

const get = (path: string) => ask(secretFor('backup'), 'GET', `backup${path}`)
const restore = async (path: string, body: string | object, method = 'POST') => {
  const answer = await ask(secretFor('restore'), method, `restore${path}`, body)
  const parsed: unknown = JSON.parse(answer.text())
  return { status: answer.status, body: parsed }
}

async function linesOf(path: string): Promise<DumpLine[]> {
  const { status, bytes } = await get(path)
  expect(status).toBe(200)
  const texts = gunzipSync(bytes).toString().trimEnd().split('\n')
  return texts.map((text) => parseDumpLine(text) ?? expect.fail(`no line: ${text.slice(0, 200)}`))
}

const textOf = (lines: readonly DumpLine[]) => lines.map((line) => `${JSON.stringify(line)}\n`).join('')
const objectPath = (kind: string, name: string) => `/object?kind=${kind}&name=${encodeURIComponent(name)}`
const tablesWith = (lines: readonly DumpLine[]) => new Set(lines.flatMap((line) => ('rows' in line ? [line.rows] : [])))
const rowsIn = (lines: readonly DumpLine[]) =>
  lines.reduce((sum, line) => sum + ('rows' in line ? line.values.length : 0), 0)

/** Rows that others point to first: a backup has them last. */
const parentsFirst = (lines: readonly DumpLine[]) => [
  ...lines.filter((line) => 'table' in line),
  ...lines.filter((line) => 'rows' in line).toReversed(),
  ...lines.filter((line) => !('table' in line) && !('rows' in line)),
]

let alice: User
let roomId: string
const copied = new Map<string, DumpLine[]>()

test('without the secret, with one for something else, or too late, there is no such path', async () => {
  expect((await ask('', 'GET', 'backup')).status).toBe(404)
  expect((await ask(secretFor('restore'), 'GET', 'backup')).status).toBe(404)
  expect((await ask(secretFor('backup', Date.now() - 1), 'GET', 'backup')).status).toBe(404)
  expect((await ask(`backup.${Date.now() + day}.short`, 'GET', 'backup')).status).toBe(404)
  expect((await ask(secretFor('backup'), 'GET', 'backup', undefined, 'backup.9.guess')).status).toBe(403)
  const admin = await registerUser('not-enough')
  await env.DB.prepare('UPDATE users SET is_admin = 1 WHERE user_id = ?').bind(admin.userId).run()
  expect((await admin.get('/_hearth/backup')).status).toBe(404)
  for (const path of ['/database', '/names', '/object', '/media-list', '/media']) {
    expect((await ask(secretFor('restore'), 'GET', `backup${path}`)).status).toBe(404)
  }
  for (const path of ['/begin', '/database', '/object', '/finish']) {
    expect((await ask(secretFor('backup'), 'POST', `restore${path}`, {})).status).toBe(404)
  }
  expect((await ask(secretFor('backup'), 'PUT', 'restore/media?key=x', 'x')).status).toBe(404)
})

test('nothing is restored that was not begun, nor over people, nor under another name', async () => {
  expect((await restore('/database', '')).status).toBe(403)
  expect((await restore('/object?kind=ROOM&name=!x', '')).status).toBe(403)
  expect((await restore('/finish', { restore: 'r', rows: 0 })).status).toBe(403)
  expect(await restore('/begin', { restore: 'r', server_name: 'test.local' })).toMatchObject({
    status: 403,
    body: { error: 'This server has accounts already: a backup goes into an empty one' },
  })
  expect(await restore('/begin', { restore: 'r', server_name: 'other.local' })).toMatchObject({ status: 403 })
})

test('a server with a room, a message and a file is copied', async () => {
  alice = await registerUser('alice')
  roomId = (await alice.post<{ room_id: string }>('/createRoom', { name: 'Cellar' })).body.room_id
  await alice.put(`/rooms/${roomId}/send/m.room.message/1`, { msgtype: 'm.text', body: 'potatoes \u{1f954} are there' })
  await alice.put(`/user/${alice.userId}/account_data/m.note`, { text: 'kept' })
  await env.MEDIA.put('local/potato', 'bytes of a potato', { httpMetadata: { contentType: 'image/png' } })

  const facts: unknown = JSON.parse((await get('')).text())
  expect(facts).toMatchObject({ server_name: 'test.local', migrations: expect.arrayContaining(['0000_accounts']) })
  const names: unknown = JSON.parse((await get('/names?kind=ROOM')).text())
  expect(names).toMatchObject({ names: expect.arrayContaining([roomId]), more: false })
  copied.set('room', await linesOf(objectPath('ROOM', roomId)))
  copied.set('user', await linesOf(objectPath('USER_SYNC', alice.userId)))
  copied.set('database', await linesOf('/database'))
  expect(tablesWith(copied.get('room') ?? [])).toContain('events')
  // The words of messages are in the events; an index is made anew.
  expect(copied.get('room')).not.toContainEqual(
    expect.objectContaining({ rows: expect.stringMatching(/^search_(?!progress)/) }),
  )
  expect(tablesWith(copied.get('user') ?? [])).toContain('account_data')
  expect(tablesWith(copied.get('database') ?? [])).toContain('users')
  for (const lines of copied.values()) expect(lines.at(-1)).toEqual({ end: rowsIn(lines) })
  expect((await get(objectPath('ROOM', '!nobodys:test.local'))).status).toBe(204)
  expect(JSON.parse((await get('/media-list')).text())).toEqual({
    media: expect.arrayContaining([{ key: 'local/potato', size: 17, content_type: 'image/png' }]),
  })
  expect((await get('/media?key=local%2Fpotato')).text()).toBe('bytes of a potato')
  expect((await get('/media?key=nowhere')).status).toBe(404)
})

test('it comes back into an emptied server, cut off once on the way', async () => {
  await env.DB.batch(
    ['access_tokens', 'device_keys', 'devices', 'profiles', 'users'].map((t) => env.DB.prepare(`DELETE FROM ${t}`)),
  )
  await env.MEDIA.delete('local/potato')
  const begin = { restore: 'potatoes', server_name: 'test.local' }
  expect(await restore('/begin', begin)).toEqual({ status: 200, body: { resumed: false } })
  const room = copied.get('room') ?? []
  const name = encodeURIComponent(roomId)
  await restore(`/object?kind=ROOM&name=${name}&first`, textOf(room.slice(0, 5)))
  // Cut off here.
  expect(await restore('/begin', begin)).toEqual({ status: 200, body: { resumed: true } })
  expect((await restore('/database', 'no line of a backup\n')).status).toBe(400)
  const middle = Math.floor(room.length / 2)
  expect((await restore(`/object?kind=ROOM&name=${name}&first`, textOf(room.slice(0, middle)))).status).toBe(200)
  expect((await restore(`/object?kind=ROOM&name=${name}&last`, textOf(room.slice(middle)))).status).toBe(200)
  const user = `kind=USER_SYNC&name=${encodeURIComponent(alice.userId)}`
  expect((await restore(`/object?${user}&first&last`, textOf(copied.get('user') ?? []))).status).toBe(200)
  const database = copied.get('database') ?? []
  expect(await restore('/database', textOf(parentsFirst(database)))).toEqual({ status: 200, body: { lost: 0 } })
  // Sent again, since an answer was lost.
  expect(await restore('/database', textOf(database.filter((line) => 'rows' in line)))).toMatchObject({ status: 200 })
  await restore('/media?key=local%2Fpotato&content_type=image%2Fpng', 'bytes of a potato', 'PUT')
  expect(await restore('/finish', { restore: 'potatoes', rows: 1 })).toMatchObject({ status: 403 })
  const rows = rowsIn(database)
  expect(await restore('/finish', { restore: 'potatoes', rows })).toEqual({ status: 200, body: {} })
  expect((await restore('/finish', { restore: 'potatoes', rows })).status).toBe(403)
})

test('and everything is there, under new positions', async () => {
  const again = clientWith(alice.accessToken)
  const { status, body } = await again.get<{ rooms: { join: Record<string, unknown> }; next_batch: string }>('/sync')
  expect(status).toBe(200)
  expect(JSON.stringify(body.rooms.join[roomId])).toContain('potatoes \u{1f954} are there')
  expect((await again.get(`/user/${alice.userId}/account_data/m.note`)).body).toEqual({ text: 'kept' })
  const sent = await again.put(`/rooms/${roomId}/send/m.room.message/2`, { msgtype: 'm.text', body: 'and turnips' })
  expect(sent.status).toBe(200)
  const next = await again.get(`/sync?since=${body.next_batch}&timeout=0`)
  expect(JSON.stringify(next.body)).toContain('and turnips')
  const search = { search_categories: { room_events: { search_term: 'potatoes' } } }
  await expect
    .poll(async () => JSON.stringify((await again.post('/search', search)).body), { timeout: 20_000 })
    .toContain('potatoes \u{1f954} are there')
  expect(await (await env.MEDIA.get('local/potato'))?.text()).toBe('bytes of a potato')
  expect((await env.MEDIA.head('local/potato'))?.httpMetadata).toMatchObject({ contentType: 'image/png' })
  expect((await anonymous.get('/_matrix/client/versions')).status).toBe(200)
})
