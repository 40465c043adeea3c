/** Full-text search over a user's rooms: a word that few messages have, one that many have, and one room alone. */
import { createRoom, type Client, fieldOf, listIn, newClient, sendMessage } from '../client.ts'
import { measure, measureUse, type Row } from '../measure.ts'
import { progress } from '../progress.ts'
import type { Bench } from '../setting.ts'

const rooms = 50
const senders = 32

export async function* searching({ server, sizes: { searched, syncs } }: Bench): AsyncGenerator<Row> {
  const owner = await newClient(server.url, 'searcher')
  const ids: string[] = []
  for (let n = 0; n < rooms; n++) ids.push(await createRoom(owner, { preset: 'private_chat', name: `Room ${n}` }))
  const [first = ''] = ids
  const searches: readonly [name: string, term: string, more: object][] = [
    ['a rare word', 'rare7', {}],
    ['a word in every message', 'word1', { order_by: 'recent' }],
    ['the same by rank', 'word1', { order_by: 'rank' }],
    ['the same in one room', 'word1', { order_by: 'recent', filter: { rooms: [first] } }],
  ]
  let sent = 0
  for (const count of searched) {
    const from = sent
    const note = progress('messages to search', count)
    yield await measure({
      name: `send, ${count - from} messages in ${rooms} rooms`,
      pid: server.pid,
      count: count - from,
      parallel: senders,
      run: async (n) => {
        note(from + n)
        await sendMessage(owner, ids[n % rooms] ?? '', sentence(from + n))
      },
    })
    sent = count
    for (const [name, term, more] of searches) {
      let found = 0
      const row = await measureUse(server, {
        name: `search of ${count}, ${name}`,
        count: syncs,
        run: async () => {
          found = await search(owner, term, more)
        },
      })
      yield { ...row, note: `${found} on the page` }
    }
  }
}

/** Ten words, of which some are in many messages and one is in one of a thousand. */
function sentence(n: number): string {
  const words = ['word1']
  for (let at = 1; at < 10; at++) words.push(`word${(n * 7919 + at * 104_729) % 5 ** (1 + (at % 5))}`)
  if (n % 1000 === 7) words.push('rare7')
  return words.join(' ')
}

async function search(client: Client, term: string, more: object): Promise<number> {
  const body = { search_categories: { room_events: { search_term: term, ...more } } }
  const { json } = await client.call('POST', '/search', body)
  return listIn(fieldOf(fieldOf(json, 'search_categories'), 'room_events'), 'results').length
}
