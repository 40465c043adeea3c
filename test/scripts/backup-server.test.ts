/**
 * A server is copied over HTTP into a bucket, by a run that is killed in the middle and one that goes on; then it comes back
 * from there, into a data folder and into another server, and people go on.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { newSecret } from '../../scripts/backup/one-time-secret.ts'
import { type Client, createRoom, fieldOf, listIn, newClient, sendMessage, text } from '../../scripts/bench/client.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'
import { type Bucket, startBucket } from './bucket.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const run = promisify(execFile)
const secret = newSecret('backup', Date.now())
const place = 's3://cellar/hearth'
const patience = { timeout: 60_000, interval: 100 }
const picture = Buffer.from('not really a picture, but bytes')
let bucket: Bucket
let port: number
let server: BackgroundServer | undefined
let alice: Client
let bob: Client
let roomId: string
let mxc: string

beforeAll(async () => {
  bucket = await startBucket('cellar')
  port = await freePort()
  server = await start('data', `--backup-secret=${secret}`)
  alice = await newClient(`http://127.0.0.1:${port}`, 'alice')
  bob = await newClient(`http://127.0.0.1:${port}`, 'bob')
  roomId = await createRoom(alice)
  for (const n of [1, 2, 3]) await createRoom(alice, { name: `room ${n}` })
  // Bob is in no room: his invite is known to the room and to his stream alone.
  await alice.call('POST', `/rooms/${encodeURIComponent(roomId)}/invite`, { user_id: bob.userId })
  for (let n = 1; n <= 30; n++) await sendMessage(alice, roomId, `message ${n} \u{1f955}`)
  const upload = await fetch(`http://127.0.0.1:${port}/_matrix/media/v3/upload`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${alice.accessToken}`, 'Content-Type': 'image/png' },
    body: picture,
  })
  mxc = text(await upload.json(), 'content_uri')
}, 60_000)
afterAll(async () => {
  await server?.end('SIGKILL')
  bucket.close()
  rmSync(folder, { recursive: true })
})

function start(data: string, ...more: string[]): Promise<BackgroundServer> {
  const options = [`--port=${port}`, `--data=${join(folder, data)}`, '--server-name=drill.example', '--rate-limits=off']
  return startInBackground('scripts/serve.ts', [...options, '--log-level=warn', ...more])
}

const url = () => `http://127.0.0.1:${port}`
const env = (more: Record<string, string> = {}) => ({ ...process.env, ...bucket.env, BACKUP_SECRET: secret, ...more })
const script = (name: string, args: readonly string[], more?: Record<string, string>) =>
  run(process.execPath, [`scripts/${name}.ts`, ...args], { env: env(more) })
const backup = () => script('backup', ['--url', url(), '--out', place])

async function said(client: Client): Promise<unknown[]> {
  const { json } = await client.call('GET', `/rooms/${encodeURIComponent(roomId)}/messages?dir=f&limit=100`)
  return listIn(json, 'chunk')
    .map((event) => fieldOf(fieldOf(event, 'content'), 'body'))
    .filter((body) => body !== undefined)
}

test('a run that is killed in the middle leaves whole parts, and no backup', { timeout: 90_000 }, async () => {
  bucket.hangAfter = 4
  const killed = spawn(process.execPath, ['scripts/backup.ts', '--url', url(), '--out', place], {
    env: env(),
    stdio: 'ignore',
  })
  await vi.waitFor(() => expect(bucket.puts.length).toBe(4), patience)
  killed.kill('SIGKILL')
  await once(killed, 'exit')
  const early = script('restore', ['--from', place, '--data', join(folder, 'early')])
  await expect(early).rejects.toThrow('is not whole\n  → npm run backup with the same --out finishes it')
  expect(existsSync(join(folder, 'early'))).toBe(false)
})

test('the next run goes on, and asks for nothing twice', { timeout: 60_000 }, async () => {
  bucket.hangAfter = Infinity
  const { stdout } = await backup()
  expect(stdout).toMatch(
    /has it all: 2 users, 4 rooms, \d+ rows of the database, 1 files \(1 kB\); [1-9]\d* parts were there already/,
  )
  expect(new Set(bucket.puts).size).toBe(bucket.puts.length)
  expect(bucket.refused).toEqual([])
  await expect(backup()).rejects.toThrow('holds a whole backup already')
  const stored = Buffer.concat([...bucket.files.values()]).toString('latin1')
  expect(stored).not.toContain(secret)
})

test('the wrong secret, none, or one for something else: a sentence', { timeout: 60_000 }, async () => {
  const again = (more: Record<string, string>) => script('backup', ['--url', url(), '--out', join(folder, 'x')], more)
  await expect(again({ BACKUP_SECRET: newSecret('backup', Date.now()) })).rejects.toThrow(
    'is not the secret of this backup',
  )
  await expect(again({ BACKUP_SECRET: '' })).rejects.toThrow('--url needs BACKUP_SECRET')
  await server?.end('SIGTERM')
  server = await start('data')
  await expect(backup())
    .rejects.toThrow('holds a whole backup already')
    .catch(() => undefined)
  await expect(again({})).rejects.toThrow('gives out no backup')
})

test('it comes back into a folder, and people go on with their clients', { timeout: 90_000 }, async () => {
  await server?.end('SIGTERM')
  const data = join(folder, 'restored')
  const { stdout, stderr } = await script('restore', ['--from', place, '--data', data])
  expect(stdout).toMatch(
    /is drill\.example as of 20.*: 7 objects, 1 files\nnpm start -- --server-name drill\.example goes on/,
  )
  expect(stderr).not.toMatch(/error|Warning/i)
  await expect(script('restore', ['--from', place, '--data', data])).rejects.toThrow('is there already, and not empty')
  server = await start('restored')
  expect(await said(alice)).toEqual(Array.from({ length: 30 }, (_, index) => `message ${index + 1} \u{1f955}`))
  await bob.call('POST', `/join/${encodeURIComponent(roomId)}`, {})
  await sendMessage(bob, roomId, 'here I am')
  expect((await said(alice)).at(-1)).toBe('here I am')
  const path = `/_matrix/client/v1/media/download/${mxc.slice('mxc://'.length)}`
  const file = await fetch(url() + path, { headers: { Authorization: `Bearer ${alice.accessToken}` } })
  expect(Buffer.from(await file.arrayBuffer())).toEqual(picture)
  expect(file.headers.get('Content-Type')).toBe('image/png')
})

test('a restore that was cut off is finished by the next one, and not served before', { timeout: 90_000 }, async () => {
  const data = join(folder, 'cut')
  const [key, part] = [...bucket.files].find(([name]) => name.includes('/room/')) ?? []
  bucket.files.delete(key ?? '')
  await expect(script('restore', ['--from', place, '--data', data])).rejects.toThrow('is missing in s3://')
  const early = startInBackground('scripts/serve.ts', [
    `--data=${data}`,
    '--server-name=drill.example',
    `--port=${await freePort()}`,
  ])
  await expect(early).rejects.toThrow('is being filled from a backup: the same npm run restore again finishes it')
  bucket.files.set(key ?? '', part ?? Buffer.alloc(0))
  expect((await script('restore', ['--from', place, '--data', data])).stdout).toContain('7 objects')
})

test('a damaged part is found, and a backup of a newer version refused', { timeout: 60_000 }, async () => {
  const [key, part] = [...bucket.files].find(([name]) => name.endsWith('/database.gz')) ?? []
  bucket.files.set(key ?? '', part?.subarray(0, -20) ?? Buffer.alloc(0))
  const damaged = script('restore', ['--from', place, '--data', join(folder, 'damaged')])
  await expect(damaged).rejects.toThrow(/the database is (?:damaged|not whole)/)
  const head = bucket.files.get('hearth/backup.json')?.toString() ?? ''
  bucket.files.set('hearth/backup.json', Buffer.from(head.replace('"0000_accounts"', '"0000_accounts", "9999_future"')))
  const newer = script('restore', ['--from', place, '--data', join(folder, 'newer')])
  await expect(newer).rejects.toThrow('is of a newer version than this one (9999_future)')
})

test('a local server that stands still is copied in the same form, into a folder', { timeout: 60_000 }, async () => {
  const out = join(folder, 'portable')
  const busy = script('backup', ['--portable', '--data', join(folder, 'restored'), '--out', out])
  await expect(busy).rejects.toThrow('is in use by the server with process ID')
  await server?.end('SIGTERM')
  server = undefined
  writeFileSync(join(folder, 'no-backup'), '')
  const { stdout } = await script('backup', ['--portable', '--data', join(folder, 'restored'), '--out', out])
  expect(stdout).toMatch(/2 users, 4 rooms/)
  expect(readFileSync(join(out, 'backup.json'), 'utf8')).toContain('"drill.example"')
})

test(
  'and goes into another server that is empty, which its own secret opens for that',
  { timeout: 60_000 },
  async () => {
    const filling = newSecret('restore', Date.now())
    const into = (more: Record<string, string> = {}) =>
      script('restore', ['--from', join(folder, 'portable'), '--url', url()], { BACKUP_SECRET: filling, ...more })
    server = await start('other', `--backup-secret=${filling}`)
    await expect(into({ BACKUP_SECRET: newSecret('restore', Date.now()) })).rejects.toThrow(
      'is not the secret of this backup',
    )
    expect((await into()).stdout).toMatch(/7 objects, 1 files\nRestart it now/)
    await expect(into()).rejects.toThrow('This server has accounts already: a backup goes into an empty one')
    const keyNow = async () => {
      const answer = await fetch(`${url()}/_matrix/key/v2/server`)
      return Object.keys(Object(fieldOf(await answer.json(), 'verify_keys')))
    }
    await server.end('SIGTERM')
    server = await start('other')
    const restored = await keyNow()
    expect((await said(bob)).at(-1)).toBe('here I am')
    await server.end('SIGTERM')
    server = await start('restored')
    expect(restored).toEqual(await keyNow())
  },
)

test('a local copy of the folder goes into no deployed server: how it does is said', { timeout: 60_000 }, async () => {
  const copy = join(folder, 'copied')
  await script('backup', ['--data', join(folder, 'restored'), '--out', copy])
  const wrong = script('restore', ['--from', copy, '--url', url()], { BACKUP_SECRET: newSecret('restore', Date.now()) })
  await expect(wrong).rejects.toThrow(/is no backup that a deployed server takes\n {2}→ npm run backup -- --portable/)
})
