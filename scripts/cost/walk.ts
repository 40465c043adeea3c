/** The main paths of a homeserver, one after the other, as its clients and other servers go them. */
import { EventEmitter, once } from 'node:events'
import { createServer } from 'node:http'

import { type Client, createRoom, newClient, sendMessage, signIn, text, wholePath } from '../bench/client.ts'
import { uploadDeviceKeys, uploadOneTimeKeys } from '../bench/devices.ts'
import { fabricateRoom } from '../bench/foreign/fabricated-room.ts'
import { askAs } from '../bench/foreign/foreign-server.ts'
import { goAbroad, joined } from '../bench/scenarios/federation.ts'
import type { Usage } from './bill.ts'
import { usageOf } from './counters.ts'

export interface Walk {
  readonly base: string
  readonly serverName: string
  /** Where the counters are told. */
  readonly metrics: string
  /** After so many ms without anything counted, an operation is over. */
  readonly quiet: number
  /** How often each operation is repeated, for the mean. */
  readonly times: number
  /** Rooms of the account whose first sync is counted. */
  readonly rooms: number
}

/** What each operation uses, by its name in profiles.ts. */
export async function walk({ base, serverName, metrics, quiet, times, rooms }: Walk): Promise<Map<string, Usage>> {
  const measured = new Map<string, Usage>()
  const note = async (name: string, run: (n: number) => Promise<unknown>, count = times) => {
    measured.set(
      name,
      await usageOf({ metrics, quiet }, count, async () => {
        for (let n = 0; n < count; n++) await run(n)
      }),
    )
  }
  const alice = await newClient(base, 'alice')
  const bob = await newClient(base, 'bob')
  await note('create an account', (n) => newClient(base, `account${n}`))
  await note('sign in', () => signIn(base, 'alice'))

  const made: string[] = []
  await note('create a room', async () => made.push(await createRoom(alice)))
  while (made.length < rooms) made.push(await createRoom(alice))
  const room = made[0] ?? ''
  const inRoom = `/rooms/${encodeURIComponent(room)}`
  await bob.call('POST', `/join/${encodeURIComponent(room)}`, {})
  const others = await Promise.all(made.slice(0, times).map((_, n) => signIn(base, `account${n % times}`)))
  await note('join a room', (n) => others[n]?.call('POST', `/join/${encodeURIComponent(made[1] ?? room)}`, {}) ?? no())

  const since = { bob: await sync(bob) }
  await note('first sync', () => sync(alice))
  await note('send a message', (n) => sendMessage(alice, room, `message ${n}`))
  since.bob = await sync(bob, since.bob)
  // What sending costs is known; what more it costs when somebody waits is the answer to who waits.
  const sending = measured.get('send a message') ?? {}
  await note('sync, one message', async (n) => {
    const waiting = sync(bob, since.bob, 10_000)
    await new Promise((resolve) => setTimeout(resolve, 50))
    await sendMessage(alice, room, `awaited ${n}`)
    since.bob = await waiting
  })
  measured.set('sync, one message', without(measured.get('sync, one message') ?? {}, sending))
  since.bob = await sync(bob, since.bob)
  // The first after an answer with events says that it arrived; all later ones are like each other.
  since.bob = await sync(bob, since.bob, 500)
  await note('sync, nothing in 30 s', async () => {
    since.bob = await sync(bob, since.bob, 500)
  })
  await note('typing', (n) =>
    alice.call('PUT', `${inRoom}/typing/${encodeURIComponent(alice.userId)}`, { typing: n % 2 === 0, timeout: 1000 }),
  )
  await note('read receipt', async () => {
    const event = await sendMessage(alice, room, 'read me')
    await bob.call('POST', `${inRoom}/receipt/m.read/${encodeURIComponent(event)}`, {})
  })
  measured.set('read receipt', without(measured.get('read receipt') ?? {}, sending))
  const lists = { all: { ranges: [[0, 19]], timeline_limit: 1, required_state: [['m.room.name', '']] } }
  const sliding = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0'
  await note('sliding sync, first', (n) =>
    wholePath(base, alice, 'POST', sliding, { conn_id: `c${n}`, lists, extensions: {} }),
  )
  await encryption(base, alice, bob, note)
  await media(base, alice, note)
  await federation({ base, destination: serverName }, alice, note)
  await pushing(alice, bob, room, note, sending, measured)
  return measured
}

type Note = (name: string, run: (n: number) => Promise<unknown>, count?: number) => Promise<void>

async function sync(client: Client, since?: string, timeout = 0): Promise<string> {
  const query = `timeout=${timeout}${since === undefined ? '' : `&since=${encodeURIComponent(since)}`}`
  return text((await client.call('GET', `/sync?${query}`)).json, 'next_batch')
}

async function encryption(base: string, alice: Client, bob: Client, note: Note): Promise<void> {
  const { deviceId } = alice
  await uploadDeviceKeys(alice)
  await note('upload 50 one-time keys', (n) => uploadOneTimeKeys(alice, n, 50))
  const wanted = { [alice.userId]: { [deviceId]: 'signed_curve25519' } }
  await note('claim a one-time key', () => bob.call('POST', '/keys/claim', { one_time_keys: wanted }))
  await note('query keys', () => bob.call('POST', '/keys/query', { device_keys: { [alice.userId]: [] } }))
  await note('send to devices', (n) =>
    bob.call('PUT', `/sendToDevice/m.room.encrypted/td${n}`, { messages: { [alice.userId]: { '*': { n } } } }),
  )
  await sync(await signIn(base, 'alice'))
}

async function media(base: string, alice: Client, note: Note): Promise<void> {
  const headers = { Authorization: `Bearer ${alice.accessToken}`, 'Content-Type': 'image/jpeg' }
  const stored: string[] = []
  await note('upload a picture', async () => {
    const answer = await fetch(`${base}/_matrix/media/v3/upload`, {
      method: 'POST',
      headers,
      body: Buffer.alloc(200_000, String(stored.length)),
    })
    stored.push(text(await answer.json(), 'content_uri'))
  })
  await note('download a picture', async (n) => {
    const path = (stored[n] ?? '').replace('mxc://', '')
    const answer = await fetch(`${base}/_matrix/client/v1/media/download/${path}`, { headers })
    if ((await answer.arrayBuffer()).byteLength !== 200_000) throw new Error('the picture came back otherwise')
  })
}

async function federation(ours: { base: string; destination: string }, alice: Client, note: Note): Promise<void> {
  const abroad = await goAbroad()
  try {
    const foreign = fabricateRoom([abroad.home], 100)
    await note('join a room by federation', () => joined(abroad, alice, foreign), 1)
    await note('receive a message by federation', (n) => {
      const { json } = foreign.send('m.room.message', { msgtype: 'm.text', body: `from abroad ${n}` })
      const content = { origin: abroad.home.name, origin_server_ts: 1, pdus: [json] }
      return askAs(abroad.home, ours, 'PUT', `/_matrix/federation/v1/send/cost${n}`, content)
    })
  } finally {
    abroad.servers.end()
  }
}

async function pushing(
  alice: Client,
  bob: Client,
  room: string,
  note: Note,
  sending: Usage,
  measured: Map<string, Usage>,
): Promise<void> {
  const rings = new EventEmitter()
  const gateway = createServer((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"rejected":[]}')
      rings.emit('ring')
    })
  })
  gateway.listen(0, '127.0.0.1')
  await once(gateway, 'listening')
  const address = gateway.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const data = { url: `http://127.0.0.1:${port}/_matrix/push/v1/notify` }
  const named = { app_id: 'cost', app_display_name: 'cost', device_display_name: 'cost', lang: 'en', pushkey: 'cost' }
  await bob.call('POST', '/pushers/set', { ...named, kind: 'http', data })
  try {
    await note('push a notification', async (n) => {
      const pushed = once(rings, 'ring')
      await sendMessage(alice, room, `ring ${n}`)
      await pushed
    })
    measured.set('push a notification', without(measured.get('push a notification') ?? {}, sending))
  } finally {
    gateway.close()
    gateway.closeAllConnections()
  }
}

/** What is left without what belongs to another operation. */
function without(usage: Usage, other: Usage): Usage {
  return Object.fromEntries(
    Object.entries(usage).map(([unit, count]) => [unit, Math.max(0, count - (other[unit] ?? 0))]),
  )
}

function no(): never {
  throw new Error('nobody is left')
}
