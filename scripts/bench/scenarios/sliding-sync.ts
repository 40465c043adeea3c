/** The first screen of an account in many rooms: by /sync, which gives everything, and by sliding sync, which gives 20 rooms. */
import { type Client, createRoom, fieldOf, newClient, sendMessage, text, wholePath } from '../client.ts'
import { measureUse, type Row } from '../measure.ts'
import { many } from '../progress.ts'
import type { Bench, Target } from '../setting.ts'

/** Rooms made at once. */
const atOnce = 16

/** What Element X asks for, or nearly. */
const requiredState = [
  ['m.room.name', ''],
  ['m.room.encryption', ''],
  ['m.room.member', '$LAZY'],
  ['m.room.member', '$ME'],
  ['m.room.topic', ''],
  ['m.room.avatar', ''],
  ['m.room.canonical_alias', ''],
  ['m.room.power_levels', ''],
  ['m.room.join_rules', ''],
  ['m.room.create', ''],
  ['m.room.history_visibility', ''],
]
const enabled = { enabled: true }
const screen = {
  conn_id: 'room-list',
  lists: { all: { ranges: [[0, 19]], required_state: requiredState, timeline_limit: 1 } },
  extensions: { account_data: enabled, receipts: enabled, typing: enabled, to_device: enabled, e2ee: enabled },
}

export async function* slidingSync({ server, sizes }: Bench): AsyncGenerator<Row> {
  for (const count of sizes.accounts) {
    const owner = await newClient(server.url, `slider${count}`)
    await makeRooms(owner, count)
    const few = Math.max(3, Math.round((sizes.syncs * 200) / count / 2))
    yield await bytesOf(server, few, `initial /sync, ${count} rooms`, () => owner.call('GET', '/sync?timeout=0'))
    let pos = ''
    yield await bytesOf(server, sizes.syncs, `sliding first screen, ${count} rooms`, async () => {
      const answer = await slide(server.url, owner)
      pos = text(answer.json, 'pos')
      return answer
    })
    yield await bytesOf(server, sizes.messages, `sliding idle poll, ${count} rooms`, () =>
      slide(server.url, owner, pos),
    )
  }
}

async function makeRooms(owner: Client, count: number): Promise<void> {
  await many(`rooms of an account with ${count}`, count, atOnce, async (n) => {
    const room = await createRoom(owner, { preset: 'private_chat', name: `Room ${n}` })
    await sendMessage(owner, room, 'hello')
  })
}

function slide(base: string, client: Client, pos?: string) {
  const query = pos === undefined ? '' : `?pos=${encodeURIComponent(pos)}`
  return wholePath(base, client, 'POST', `/_matrix/client/unstable/org.matrix.simplified_msc3575/sync${query}`, screen)
}

/** A row whose note is the size of the last answer, and how many rooms it holds. */
async function bytesOf(
  server: Target,
  count: number,
  name: string,
  ask: () => Promise<{ readonly bytes: number; readonly json: unknown }>,
): Promise<Row> {
  let note = ''
  const row = await measureUse(server, {
    name,
    count,
    run: async () => {
      const { bytes, json } = await ask()
      const rooms = fieldOf(json, 'rooms')
      const shown = fieldOf(rooms, 'join') ?? rooms
      note = `${(bytes / 1024).toFixed(1)} KiB, ${Object.keys(typeof shown === 'object' && shown ? shown : {}).length} rooms`
    },
  })
  return { ...row, note }
}
