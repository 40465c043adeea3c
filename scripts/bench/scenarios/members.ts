/** The members of a large room: all of them, and what somebody else's name costs in it. */
import { listIn, newClient, sendMessage } from '../client.ts'
import { fabricateRoom } from '../foreign/fabricated-room.ts'
import { measureUse, type Row } from '../measure.ts'
import type { Bench } from '../setting.ts'
import { goAbroad, joined } from './federation.ts'

export async function* members({ server, sizes }: Bench): AsyncGenerator<Row> {
  const abroad = await goAbroad()
  try {
    for (const count of sizes.members) {
      const reader = await newClient(server.url, `lists${count}`)
      console.error(`  joining a room of ${count}`)
      const room = fabricateRoom([abroad.home], count)
      await joined(abroad, reader, room)
      const path = `/rooms/${encodeURIComponent(room.roomId)}`
      let note = ''
      const row = await measureUse(server, {
        name: `/members of ${count}`,
        count: sizes.syncs,
        run: async () => {
          const { json, bytes } = await reader.call('GET', `${path}/members`)
          note = `${listIn(json, 'chunk').length} members, ${(bytes / 1024).toFixed(0)} KiB`
        },
      })
      yield { ...row, note }
      yield await measureUse(server, {
        name: `send into a room of ${count} members`,
        count: sizes.syncs,
        run: async (n) => void (await sendMessage(reader, room.roomId, `message ${n}`)),
      })
      yield await measureUse(server, {
        name: `change of one's name in a room of ${count} members`,
        count: sizes.syncs,
        run: async (n) => {
          const state = `${path}/state/m.room.member/${encodeURIComponent(reader.userId)}`
          await reader.call('PUT', state, { membership: 'join', displayname: `name ${n}` })
        },
      })
    }
  } finally {
    abroad.servers.end()
  }
}
