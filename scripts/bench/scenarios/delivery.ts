/** From the beginning of a PUT to the event in another user's long-polled /sync. */
import { type Client, createRoom, newClient, sendMessage, text } from '../client.ts'
import { measure, type Row } from '../measure.ts'
import type { Bench } from '../setting.ts'

export async function* delivery({ server, sizes }: Bench): AsyncGenerator<Row> {
  const [sender, reader] = [await newClient(server.url, 'teller'), await newClient(server.url, 'listener')]
  const roomId = await createRoom(sender)
  await reader.call('POST', `/rooms/${encodeURIComponent(roomId)}/join`, {})
  let since = text((await reader.call('GET', '/sync')).json, 'next_batch')

  yield measure({
    name: "send → another user's waiting /sync",
    pid: server.pid,
    count: sizes.deliveries,
    run: async (n) => {
      const waiting = poll(reader, since)
      // The poll must be waiting, or we would measure an answer to a question that came later than the event.
      await new Promise((wake) => setTimeout(wake, 15))
      const begun = performance.now()
      await sendMessage(sender, roomId, `delivery ${n}`)
      for (let answer = await waiting; ; answer = await poll(reader, since)) {
        since = text(answer.json, 'next_batch')
        if (JSON.stringify(answer.json).includes(`"delivery ${n}"`)) return performance.now() - begun
      }
    },
  })
}

function poll(reader: Client, since: string) {
  return reader.call('GET', `/sync?timeout=30000&since=${encodeURIComponent(since)}`)
}
