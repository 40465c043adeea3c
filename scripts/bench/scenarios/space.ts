/** The hierarchy of a space with many rooms: the first page, and all of it page by page. */
import { type Client, createRoom, fieldOf, listIn, newClient, wholePath } from '../client.ts'
import { measureUse, type Row } from '../measure.ts'
import { many } from '../progress.ts'
import type { Bench } from '../setting.ts'

export async function* space({ server, sizes }: Bench): AsyncGenerator<Row> {
  const owner = await newClient(server.url, 'gardener')
  for (const count of sizes.space) {
    const root = await createRoom(owner, { preset: 'private_chat', creation_content: { type: 'm.space' } })
    await many(`rooms of a space of ${count}`, count, 8, async (n) => {
      const child = await createRoom(owner, { preset: 'private_chat', name: `Room ${n}` })
      const state = `/rooms/${encodeURIComponent(root)}/state/m.space.child/${encodeURIComponent(child)}`
      await owner.call('PUT', state, { via: ['bench.local'] })
    })
    for (const [name, pages] of [
      ['first page', 1],
      ['all pages', Infinity],
    ] as const) {
      let found = 0
      const row = await measureUse(server, {
        name: `hierarchy of a space of ${count} rooms, ${name}`,
        count: sizes.syncs,
        run: async () => {
          found = await walk(server.url, owner, root, pages)
        },
      })
      yield { ...row, note: `${found} rooms` }
    }
  }
}

/** How many rooms so many pages have. */
async function walk(base: string, reader: Client, root: string, most: number): Promise<number> {
  let found = 0
  const path = `/_matrix/client/v1/rooms/${encodeURIComponent(root)}/hierarchy?limit=50`
  let from = ''
  for (let page = 0; page < most; page++) {
    const { json } = await wholePath(base, reader, 'GET', `${path}${from}`)
    found += listIn(json, 'rooms').length
    const next = fieldOf(json, 'next_batch')
    if (typeof next !== 'string') return found
    from = `&from=${encodeURIComponent(next)}`
  }
  return found
}
