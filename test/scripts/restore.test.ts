/** The drill: copied while it runs, gone on, lost, restored from the older copy; and people go on as if little had happened. */
import { execFile } from 'node:child_process'
import { hash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { type Client, createRoom, fieldOf, newClient, sendMessage, text } from '../../scripts/bench/client.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'
import { encodeBase64Unpadded } from '../../worker/protocol/signing/base64.ts'
import { signingKeyOf } from '../../worker/protocol/signing/keys.ts'
import { signJson } from '../../worker/protocol/signing/sign-json.ts'
import { nodeCrypto } from '../../worker/node-crypto.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const data = join(folder, 'data')
const copy = join(folder, 'copy')
const run = promisify(execFile)
let port: number
let server: BackgroundServer
let alice: Client
let bob: Client
let roomId: string
let deviceId: string
const since = { alice: '', bob: '' }
/** What was given out of alice's one-time keys, before the backup and after it. */
const given: string[] = []

beforeAll(async () => {
  port = await freePort()
  await start()
}, 60_000)
afterAll(async () => {
  await server.end('SIGKILL')
  rmSync(folder, { recursive: true })
})

async function start(): Promise<void> {
  const options = [`--port=${port}`, `--data=${data}`, '--server-name=drill.example', '--rate-limits=off']
  server = await startInBackground('scripts/serve.ts', [...options, '--log-level=warn'])
}

function script(name: string, ...args: string[]) {
  return run(process.execPath, [`scripts/${name}.ts`, ...args])
}

async function sync(client: Client, from?: string): Promise<unknown> {
  const query = from === undefined ? '' : `&since=${encodeURIComponent(from)}`
  return (await client.call('GET', `/sync?timeout=0${query}`)).json
}

const at = (json: unknown, ...path: string[]) => path.reduce(fieldOf, json)

function bodiesIn(answer: unknown): unknown[] {
  const events = at(answer, 'rooms', 'join', roomId, 'timeline', 'events')
  const list: unknown[] = Array.isArray(events) ? events : []
  return list.map((event) => at(event, 'content', 'body')).filter((body) => body !== undefined)
}

const deviceKey = () => signingKeyOf(`ed25519:${deviceId}`, hash('sha256', deviceId, 'buffer'))

async function uploadKeys(...names: string[]): Promise<unknown> {
  const keys = names.map((name) => {
    const value = { key: encodeBase64Unpadded(hash('sha256', name, 'buffer')) }
    return [`signed_curve25519:${name}`, signJson(value, alice.userId, deviceKey(), nodeCrypto)]
  })
  return (await alice.call('POST', '/keys/upload', { one_time_keys: Object.fromEntries(keys) })).json
}

/** Claims one of alice's keys; undefined where there is none. */
async function claim(): Promise<string | undefined> {
  const wanted = { one_time_keys: { [alice.userId]: { [deviceId]: 'signed_curve25519' } } }
  const { json } = await bob.call('POST', '/keys/claim', wanted)
  return Object.keys(Object(at(json, 'one_time_keys', alice.userId, deviceId)))[0]
}

async function claimOne(): Promise<void> {
  const key = await claim()
  expect(key).toBeDefined()
  given.push(key ?? '')
}

test('a server with people, a room and keys is copied while it runs', { timeout: 60_000 }, async () => {
  alice = await newClient(`http://127.0.0.1:${port}`, 'alice')
  bob = await newClient(`http://127.0.0.1:${port}`, 'bob')
  roomId = await createRoom(alice)
  await bob.call('POST', `/join/${encodeURIComponent(roomId)}`, {})
  const path = `/rooms/${encodeURIComponent(roomId)}/state/m.room.encryption`
  await alice.call('PUT', path, { algorithm: 'm.megolm.v1.aes-sha2' })
  deviceId = text((await alice.call('GET', '/account/whoami')).json, 'device_id')
  const keys = {
    [`ed25519:${deviceId}`]: encodeBase64Unpadded(deviceKey().publicKey),
    [`curve25519:${deviceId}`]: encodeBase64Unpadded(deviceKey().publicKey),
  }
  const identity = { user_id: alice.userId, device_id: deviceId, algorithms: ['m.olm.v1.curve25519-aes-sha2'], keys }
  await alice.call('POST', '/keys/upload', { device_keys: signJson(identity, alice.userId, deviceKey(), nodeCrypto) })
  await uploadKeys('one', 'two', 'three', 'four')
  await claimOne()
  await sendMessage(alice, roomId, 'before the backup')
  since.bob = text(await sync(bob), 'next_batch')
  const { stdout } = await script('backup', '--data', data, '--out', copy)
  expect(stdout).toMatch(/has it all: \d+ databases/)
})

test('a copy never goes over another one, nor comes from a folder that is none', async () => {
  await expect(script('backup', '--data', data, '--out', copy)).rejects.toThrow('is there already')
  await expect(script('backup', '--data', folder, '--out', `${copy}2`)).rejects.toThrow('is no data folder')
  await expect(script('restore', '--from', copy, '--data', data)).rejects.toThrow('is there already')
})

test('life goes on after the backup', async () => {
  await sendMessage(alice, roomId, 'lost with the disk')
  await claimOne()
  await bob.call('PUT', '/sendToDevice/m.test/after', { messages: { [alice.userId]: { '*': { n: 1 } } } })
  since.alice = text(await sync(alice), 'next_batch')
  const news = await sync(bob, since.bob)
  expect(bodiesIn(news)).toEqual(['lost with the disk'])
  since.bob = text(news, 'next_batch')
})

test('the disk is lost, and the server starts from the older copy', { timeout: 60_000 }, async () => {
  await server.end('SIGKILL')
  rmSync(data, { recursive: true })
  await script('restore', '--from', copy, '--data', data)
  await start()
})

test('what is said now reaches those who hold tokens of positions that are lost', async () => {
  await sendMessage(alice, roomId, 'after the restore')
  const answer = await sync(bob, since.bob)
  expect(bodiesIn(answer)).toEqual(expect.arrayContaining(['before the backup', 'after the restore']))
  since.bob = text(answer, 'next_batch')
  // From here on, one token leads to the next as ever.
  await sendMessage(alice, roomId, 'and on')
  const next = await sync(bob, since.bob)
  expect(bodiesIn(next)).toEqual(['and on'])
  since.bob = text(next, 'next_batch')
  expect(at(await sync(bob, since.bob), 'rooms', 'join', roomId)).toBeUndefined()
})

test('no one-time key is given out a second time', async () => {
  expect(await claim()).toBeUndefined()
  // Her client sees that none is left, and makes others.
  const answer = await sync(alice, since.alice)
  expect(at(answer, 'device_one_time_keys_count', 'signed_curve25519') ?? 0).toBe(0)
  since.alice = text(answer, 'next_batch')
  await uploadKeys('five')
  expect(await claim()).toBe('signed_curve25519:five')
  expect(given).not.toContain('signed_curve25519:five')
})

test('whoever shares a room is told to look at the devices again', { timeout: 30_000 }, async () => {
  const told = async () => {
    const answer = await sync(bob, since.bob)
    since.bob = text(answer, 'next_batch')
    const changed = at(answer, 'device_lists', 'changed')
    return Array.isArray(changed) && changed.includes(alice.userId)
  }
  await expect.poll(told, { timeout: 20_000 }).toBe(true)
})

test('a message to a device arrives once, though its position may have been another before', async () => {
  await bob.call('PUT', '/sendToDevice/m.test/again', { messages: { [alice.userId]: { '*': { n: 2 } } } })
  const answer = await sync(alice, since.alice)
  expect(at(answer, 'to_device', 'events')).toEqual([expect.objectContaining({ content: { n: 2 } })])
  const next = await sync(alice, text(answer, 'next_batch'))
  expect(at(next, 'to_device', 'events') ?? []).toEqual([])
})

test('the same restore is told of once: after another start, tokens hold', { timeout: 60_000 }, async () => {
  since.bob = text(await sync(bob, since.bob), 'next_batch')
  await server.end('SIGTERM')
  await start()
  await sendMessage(alice, roomId, 'after another start')
  expect(bodiesIn(await sync(bob, since.bob))).toEqual(['after another start'])
})
