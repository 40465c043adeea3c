/** Sending messages: one sender, 32 in one room, 32 in a room each; beside each the floor, under the same load. */
import { createRoom, newClient, plain, sendMessage } from '../client.ts'
import { measure, type Row } from '../measure.ts'
import type { Bench } from '../setting.ts'

export async function* sending({ server, floor, sizes }: Bench): AsyncGenerator<Row> {
  const senders = await Promise.all(
    Array.from({ length: sizes.senders }, (_, i) => newClient(server.url, `sender${i}`)),
  )
  const [first] = senders
  if (!first) return
  const shared = await createRoom(first)
  for (const sender of senders.slice(1)) await sender.call('POST', `/rooms/${encodeURIComponent(shared)}/join`, {})
  const own: string[] = []
  for (const sender of senders) own.push(await createRoom(sender))

  const loads = [
    { name: 'send, one after the other', parallel: 1, room: () => shared },
    { name: `send, ${senders.length} at once in one room`, parallel: senders.length, room: () => shared },
    { name: `send, ${senders.length} at once in a room each`, parallel: senders.length, room: (i: number) => own[i] },
  ]
  for (const { name, parallel, room } of loads) {
    const load = { count: sizes.messages, parallel }
    const body = JSON.stringify({ event: 'x'.repeat(600) })
    const least = await measure({
      ...load,
      name: 'floor',
      pid: floor.pid,
      run: async (_, i) => void (await plain(floor.url, 'POST', `/${room(i)}`, { body })),
    })
    yield measure({
      ...load,
      name,
      pid: server.pid,
      floor: least,
      run: async (n, i) => void (await sendMessage(senders[i] ?? first, room(i) ?? shared, `message ${n}`)),
    })
  }
}
