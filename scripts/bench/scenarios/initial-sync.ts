/** The first /sync of an account in many rooms, and one that has nothing new. */
import { createRoom, listIn, newClient, sendMessage, text } from '../client.ts'
import { measure, measureUse, type Row } from '../measure.ts'
import type { Bench } from '../setting.ts'

export async function* initialSync({ server, sizes }: Bench): AsyncGenerator<Row> {
  const owner = await newClient(server.url, 'collector')
  yield await measure({
    name: 'createRoom',
    pid: server.pid,
    count: sizes.rooms,
    run: async (n) => void (await createRoom(owner, { preset: 'private_chat', name: `Room ${n}` })),
  })
  const rooms = listIn((await owner.call('GET', '/joined_rooms')).json, 'joined_rooms')
  for (const room of rooms) await sendMessage(owner, String(room), 'hello')

  let since = ''
  let bytes = 0
  const row = await measureUse(server, {
    name: `initial /sync of ${sizes.rooms} rooms`,
    count: sizes.syncs,
    run: async () => {
      const answer = await owner.call('GET', '/sync?timeout=0')
      since = text(answer.json, 'next_batch')
      bytes = answer.bytes
    },
  })
  yield { ...row, note: `${(bytes / 1024).toFixed(0)} KiB` }
  yield await measureUse(server, {
    name: '/sync with nothing new',
    count: sizes.messages,
    run: async () => void (await owner.call('GET', `/sync?timeout=0&since=${encodeURIComponent(since)}`)),
  })
}
