/** What encryption asks of a server: one-time keys, messages to devices, and the devices of everybody in a large room. */
import { type Client, createRoom, fieldOf, newClient, signIn, text } from '../client.ts'
import { uploadDeviceKeys, uploadOneTimeKeys } from '../devices.ts'
import { measureUse, type Row } from '../measure.ts'
import { many } from '../progress.ts'
import type { Bench, Target } from '../setting.ts'

/** Of each person in the large room. */
const devicesEach = 10
const keysAtOnce = 50
/** Who claim or send at the same time. */
const atOnce = 8

export async function* encryption({ server, sizes }: Bench): AsyncGenerator<Row> {
  const pairs: (readonly [asks: Client, answers: Client])[] = []
  for (let n = 0; n < atOnce; n++) {
    pairs.push([await newClient(server.url, `asks${n}`), await newClient(server.url, `answers${n}`)])
  }
  for (const [, client] of pairs) await uploadDeviceKeys(client)
  yield await claims(server, pairs, sizes.messages)
  yield await toDevices(server, pairs, sizes.messages)
  const [first] = pairs
  if (first) yield await toDeviceDelivery(server, first, sizes.deliveries)
  yield* keyQuery(server, sizes.devices, sizes.syncs)
}

type Pairs = readonly (readonly [asks: Client, answers: Client])[]

async function claims(server: Target, pairs: Pairs, count: number): Promise<Row> {
  const batches = Math.ceil(count / pairs.length / keysAtOnce) + 1
  await many('one-time keys', batches, 1, async (batch) => {
    for (const [, client] of pairs) await uploadOneTimeKeys(client, batch, keysAtOnce)
  })
  return measureUse(server, {
    name: `claim a one-time key, ${pairs.length} at once`,
    count,
    parallel: pairs.length,
    run: async (_, own) => {
      const [asks, { userId, deviceId }] = pairs[own] ?? nobody()
      const wanted = { [userId]: { [deviceId]: 'signed_curve25519' } }
      const { json } = await asks.call('POST', '/keys/claim', { one_time_keys: wanted })
      const given = fieldOf(fieldOf(fieldOf(json, 'one_time_keys'), userId), deviceId)
      if (given === undefined) throw new Error('no key was left')
    },
  })
}

async function toDevices(server: Target, pairs: Pairs, count: number): Promise<Row> {
  const row = await measureUse(server, {
    name: `send to a device, ${pairs.length} at once`,
    count,
    parallel: pairs.length,
    run: async (n, own) => {
      const [asks, answers] = pairs[own] ?? nobody()
      await sendTo(asks, answers, `${own}-${n}`)
    },
  })
  for (const [, client] of pairs) await readAll(client)
  return row
}

/** From the beginning of the request that sends it to the end of the waiting sync's answer. */
async function toDeviceDelivery(server: Target, [asks, answers]: Pairs[number], count: number): Promise<Row> {
  let since = await readAll(answers)
  return measureUse(server, {
    name: "message to a device → its user's waiting /sync",
    count,
    run: async (n) => {
      const waiting = poll(answers, since)
      await new Promise((wake) => setTimeout(wake, 15))
      const begun = performance.now()
      await sendTo(asks, answers, `delivery-${n}`)
      for (let answer = await waiting; ; answer = await poll(answers, since)) {
        since = text(answer.json, 'next_batch')
        if (JSON.stringify(answer.json).includes(`"delivery-${n}"`)) return performance.now() - begun
      }
    },
  })
}

async function* keyQuery(server: Target, devices: number, times: number): AsyncGenerator<Row> {
  const people = Math.ceil(devices / devicesEach)
  const owner = await newClient(server.url, 'querier')
  const room = `/join/${encodeURIComponent(await createRoom(owner))}`
  const users: string[] = []
  await many(`devices of ${people} people`, people, 4, async (n) => {
    const first = await newClient(server.url, `many-devices${n}`)
    await first.call('POST', room, {})
    users.push(first.userId)
    for (let d = 0; d < devicesEach; d++) {
      await uploadDeviceKeys(d === 0 ? first : await signIn(server.url, `many-devices${n}`))
    }
  })
  let note = ''
  const row = await measureUse(server, {
    name: `query the keys of a room with ${people * devicesEach} devices`,
    count: times,
    run: async () => {
      const wanted = Object.fromEntries(users.map((user) => [user, []]))
      const { json, bytes } = await owner.call('POST', '/keys/query', { device_keys: wanted })
      const found = Object.values(Object(fieldOf(json, 'device_keys'))).map((each) => Object.keys(Object(each)).length)
      note = `${found.reduce((sum, each) => sum + each, 0)} devices, ${(bytes / 1024).toFixed(0)} KiB`
    },
  })
  yield { ...row, note }
}

async function sendTo(from: Client, { userId, deviceId }: Client, id: string): Promise<void> {
  const messages = { [userId]: { [deviceId]: { id, ciphertext: 'x'.repeat(500) } } }
  await from.call('PUT', `/sendToDevice/m.room.encrypted/bench-${id}`, { messages })
}

/** Takes everything that waits. Where the next sync goes on. */
async function readAll(client: Client): Promise<string> {
  let since = text((await client.call('GET', '/sync?timeout=0')).json, 'next_batch')
  for (;;) {
    const { json } = await client.call('GET', `/sync?timeout=0&since=${encodeURIComponent(since)}`)
    since = text(json, 'next_batch')
    const events = fieldOf(fieldOf(json, 'to_device'), 'events')
    if (!Array.isArray(events) || events.length === 0) return since
  }
}

function poll(client: Client, since: string) {
  return client.call('GET', `/sync?timeout=30000&since=${encodeURIComponent(since)}`)
}

function nobody(): never {
  throw new Error('nobody is left')
}
