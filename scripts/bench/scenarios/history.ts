/**
 * Pages from the middle of a long room: from an event that somebody jumped to, and from where a client's timeline ended.
 *
 * The room is another server's, which tells of its messages in transactions: so it is filled as rooms are, and fast.
 */
import { type Client, listIn, newClient, text } from '../client.ts'
import { fabricateRoom } from '../foreign/fabricated-room.ts'
import { measureUse, type Row } from '../measure.ts'
import { progress } from '../progress.ts'
import type { Bench, Target } from '../setting.ts'
import { type Abroad, goAbroad, joined, tell } from './federation.ts'

const pageSize = 50

export async function* history({ server, sizes }: Bench): AsyncGenerator<Row> {
  const abroad = await goAbroad()
  try {
    for (const count of sizes.history) {
      const reader = await newClient(server.url, `pages${count}`)
      yield* pages(server, reader, await fill(abroad, server, reader, count), count, sizes.syncs)
    }
  } finally {
    abroad.servers.end()
  }
}

interface Filled {
  readonly path: string
  readonly middleEvent: string
  /** A token of `/sync` from when half of the events were there. */
  readonly middleToken: string
}

async function fill(abroad: Abroad, server: Target, reader: Client, count: number): Promise<Filled> {
  const room = fabricateRoom([abroad.home], 10)
  await joined(abroad, reader, room)
  const note = progress(`events in a room of ${count}`, count)
  let [middleEvent, middleToken] = ['', '']
  for (let sent = 0; sent < count; sent += 50) {
    const pdus = Array.from({ length: 50 }, (_, n) =>
      room.send('m.room.message', { msgtype: 'm.text', body: `message ${sent + n}` }),
    )
    await tell(
      abroad,
      server,
      `history${count}-${sent}`,
      pdus.map(({ json }) => json),
    )
    note(sent)
    if (middleEvent !== '' || sent + 50 < count / 2) continue
    middleEvent = pdus.at(-1)?.event_id ?? ''
    middleToken = text((await reader.call('GET', '/sync?timeout=0')).json, 'next_batch')
  }
  return { path: `/rooms/${encodeURIComponent(room.roomId)}`, middleEvent, middleToken }
}

async function* pages(server: Target, reader: Client, filled: Filled, count: number, times: number) {
  const { path, middleEvent, middleToken } = filled
  const context = await reader.call('GET', `${path}/context/${encodeURIComponent(middleEvent)}?limit=0`)
  const wanted = [
    ['back from an event', 'b', text(context.json, 'start')],
    ['back from an old token of /sync', 'b', middleToken],
    ['forward from an old token of /sync', 'f', middleToken],
  ] as const
  for (const [name, dir, from] of wanted) {
    const load = {
      name: `page of ${pageSize}, ${name}, room of ${count}`,
      run: async () => {
        const query = `dir=${dir}&limit=${pageSize}&from=${encodeURIComponent(from)}`
        const { json } = await reader.call('GET', `${path}/messages?${query}`)
        if (listIn(json, 'chunk').length !== pageSize) throw new Error('the page is not full')
      },
    }
    // The first look at a room from an old token notes what later ones need.
    yield await measureUse(server, { ...load, name: `${load.name}, first`, count: 1 })
    yield await measureUse(server, { ...load, count: times })
  }
}
