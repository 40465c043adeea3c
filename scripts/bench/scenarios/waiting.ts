/** From the beginning of a PUT to the event in the long-polled /sync of each of so many users; and what waiting costs. */
import { type Client, createRoom, newClient, sendMessage, text } from '../client.ts'
import { measureUse, type Row, rowOf } from '../measure.ts'
import { cpuOf } from '../process-tree.ts'
import { many } from '../progress.ts'
import type { Bench, Target } from '../setting.ts'

/** Long enough that every poll waits, in ms. */
const settle = 300
/** How long nothing happens, in ms. */
const quiet = 5_000

interface Reader {
  readonly client: Client
  since: string
}

export async function* waiting({ server, sizes }: Bench): AsyncGenerator<Row> {
  const sender = await newClient(server.url, 'waited-for')
  const roomId = await createRoom(sender)
  const readers: Reader[] = []
  for (const wanted of sizes.waiting) {
    await many(`users who wait, of ${wanted}`, wanted - readers.length, 4, async (n) => {
      const client = await newClient(server.url, `waits-${wanted}-${n}`)
      await client.call('POST', `/rooms/${encodeURIComponent(roomId)}/join`, {})
      readers.push({ client, since: '' })
    })
    for (const reader of readers) reader.since = text((await reader.client.call('GET', '/sync')).json, 'next_batch')
    const rounds = Math.max(3, Math.ceil(sizes.deliveries / wanted))
    const times: number[] = []
    const [cpuBefore, begun] = [cpuOf(server.pid), performance.now()]
    for (let n = 0; n < rounds; n++) times.push(...(await round(sender, roomId, readers, `${wanted}/${n}`)))
    yield rowOf({
      name: `send → each of ${wanted} waiting users`,
      times,
      seconds: (performance.now() - begun) / 1000,
      cpu: (cpuOf(server.pid) - cpuBefore) / times.length,
    })
  }
  yield await idlePolls(server, readers)
}

/** Sends one message while everybody waits; how long it took to each. */
async function round(sender: Client, roomId: string, readers: readonly Reader[], body: string): Promise<number[]> {
  let begun = Infinity
  const heard = readers.map(async (reader) => {
    for (;;) {
      const { json } = await poll(reader, 30_000)
      reader.since = text(json, 'next_batch')
      if (JSON.stringify(json).includes(`"${body}"`)) return performance.now() - begun
    }
  })
  await new Promise((wake) => setTimeout(wake, settle))
  begun = performance.now()
  await sendMessage(sender, roomId, body)
  return Promise.all(heard)
}

/** Everybody polls and nothing happens: the price of a poll, and of keeping it waiting. */
async function idlePolls(server: Target, readers: readonly Reader[]): Promise<Row> {
  // The first after an answer with events says that it arrived; all later ones are like each other.
  for (const reader of readers) await poll(reader, 0)
  const row = await measureUse(server, {
    name: 'a /sync in which nothing happens',
    count: readers.length,
    parallel: readers.length,
    run: async (n) => {
      const begun = performance.now()
      const [reader] = readers.slice(n)
      if (reader) await poll(reader, quiet)
      return performance.now() - begun - quiet
    },
  })
  return { ...row, note: `${readers.length} at once, ${quiet / 1000} s each; the time beyond that` }
}

function poll({ client, since }: Reader, timeout: number) {
  return client.call('GET', `/sync?timeout=${timeout}&since=${encodeURIComponent(since)}`)
}
