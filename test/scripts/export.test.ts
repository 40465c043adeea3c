/** One user's data as files: by the user, by an administrator, and from a data folder whose server stands still. */
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { type Client, createRoom, fieldOf, newClient, sendMessage, signIn, text } from '../../scripts/bench/client.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const data = join(folder, 'data')
const run = promisify(execFile)
let url: string
let server: BackgroundServer | undefined
let alice: Client
let bob: Client
let roomId: string

beforeAll(async () => {
  const port = await freePort()
  url = `http://127.0.0.1:${port}`
  const options = [`--port=${port}`, `--data=${data}`, '--server-name=files.example', '--rate-limits=off']
  server = await startInBackground('scripts/serve.ts', [...options, '--log-level=warn'])
  alice = await newClient(url, 'alice')
  bob = await newClient(url, 'bob')
  roomId = await createRoom(alice, { preset: 'public_chat', name: '../../Küche & Co' })
  await bob.call('POST', `/join/${encodeURIComponent(roomId)}`, {})
  await sendMessage(alice, roomId, 'Wer kocht?\nIch nicht.')
  await sendMessage(bob, roomId, 'said by Bob')
  const regretted = await sendMessage(alice, roomId, 'regretted')
  await alice.call('PUT', `/rooms/${encodeURIComponent(roomId)}/redact/${encodeURIComponent(regretted)}/r1`, {})
  await alice.call('PUT', `/user/${encodeURIComponent(alice.userId)}/account_data/m.note`, { text: 'remember' })
  await alice.call('PUT', `/profile/${encodeURIComponent(alice.userId)}/displayname`, { displayname: 'Alice' })
  const upload = await fetch(`${url}/_matrix/media/v3/upload?filename=..%2F..%2Fsoup.png`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${alice.accessToken}`, 'Content-Type': 'image/png' },
    body: 'soup',
  })
  expect(text(await upload.json(), 'content_uri')).toMatch(/^mxc:/)
}, 60_000)
afterAll(async () => {
  await server?.end('SIGKILL')
  rmSync(folder, { recursive: true })
})

const exported = (args: readonly string[]) => run(process.execPath, ['scripts/export.ts', ...args])
const read = (out: string, name: string) => readFileSync(join(folder, out, name), 'utf8')
const json = (out: string, name: string): unknown => JSON.parse(read(out, name))

function expectWhole(out: string): void {
  expect(json(out, 'account.json')).toMatchObject({
    user_id: '@alice:files.example',
    profile: { displayname: 'Alice' },
    devices: [expect.objectContaining({ device_id: expect.any(String) })],
  })
  expect(json(out, 'account-data.json')).toContainEqual({ type: 'm.note', content: { text: 'remember' } })
  const [room] = Object(json(out, 'rooms.json'))
  expect(room).toMatchObject({ room_id: roomId, membership: 'join', name: '../../Küche & Co' })
  expect(fieldOf(room, 'folder')).toMatch(/^rooms\/Küche_Co-[\w-]+$/)
  const messages = read(out, join(text(room, 'folder'), 'messages.txt'))
  expect(messages).toMatch(/^20\S+Z {2}Wer kocht\?\n {4}Ich nicht\.$/m)
  expect(messages).not.toMatch(/said by Bob|regretted/)
  expect(read(out, join(text(room, 'folder'), 'events.jsonl'))).toContain('"type":"m.room.create"')
  const [file] = Object(json(out, 'media.json'))
  expect(file).toMatchObject({
    content_type: 'image/png',
    size: 4,
    file: expect.stringMatching(/^media\/\w[\w-]+\.png$/),
  })
  expect(read(out, text(file, 'file'))).toBe('soup')
  const everything = readdirSync(join(folder, out), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'utf8'))
  expect(everything.join('')).not.toMatch(/\$scrypt|password|access_token|signing_key/i)
}

test('the user has it by their own token', { timeout: 60_000 }, async () => {
  const args = ['@alice:files.example', '--url', url, '--token', alice.accessToken, '--out', join(folder, 'own')]
  const { stdout } = await exported(args)
  expect(stdout).toMatch(/1 rooms, \d+ messages and other events, 1 files \(1 kB\)/)
  expectWhole('own')
  await expect(exported(args)).rejects.toThrow('holds an export already')
})

test('nobody else has, but an administrator', { timeout: 60_000 }, async () => {
  const by = (client: Client, out: string) =>
    exported(['@alice:files.example', '--url', url, '--token', client.accessToken, '--out', join(folder, out)])
  await expect(by(bob, 'bobs')).rejects.toThrow('That is another user')
  expect(existsSync(join(folder, 'bobs'))).toBe(false)
  await run(process.execPath, [
    'scripts/register.ts',
    'boss',
    '--admin',
    '--password',
    'the password of all',
    '--url',
    url,
    '--data',
    data,
  ])
  const boss = await signIn(url, 'boss')
  await by(boss, 'admins')
  expectWhole('admins')
  const nobody = exported([
    '@nobody:files.example',
    '--url',
    url,
    '--token',
    boss.accessToken,
    '--out',
    join(folder, 'no'),
  ])
  await expect(nobody).rejects.toThrow('This server has no such user')
})

test('each fault is a sentence', { timeout: 60_000 }, async () => {
  await expect(exported([])).rejects.toThrow('whose data? npm run export -- @alice:example.org')
  await expect(exported(['@alice:files.example', '--url', url])).rejects.toThrow('--url needs --token')
  const away = exported(['@alice:files.example', '--data', folder])
  await expect(away).rejects.toThrow(/is no data folder of a homeserver\n {2}→ --url and --token ask one that runs/)
  const busy = exported(['alice', '--data', data, '--out', join(folder, 'busy')])
  await expect(busy).rejects.toThrow('is in use by the server with process ID')
})

test('a server that stands still gives it from its folder', { timeout: 60_000 }, async () => {
  await server?.end('SIGTERM')
  server = undefined
  await exported(['alice', '--data', data, '--out', join(folder, 'still')])
  expectWhole('still')
})
