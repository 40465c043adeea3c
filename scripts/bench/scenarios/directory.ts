/**
 * Looking for people: one whom the name tells, and one of very many whose names begin alike.
 *
 * A fifth of them has accounts here, the others are in a room of another server.
 */
import { type Client, createRoom, listIn, newClient, newGuest } from '../client.ts'
import { fabricateRoom } from '../foreign/fabricated-room.ts'
import { measureUse, type Row } from '../measure.ts'
import { many } from '../progress.ts'
import { type Bench, serverName } from '../setting.ts'
import { goAbroad, joined } from './federation.ts'

const localShare = 0.2

export async function* directory({ server, sizes }: Bench): AsyncGenerator<Row> {
  const abroad = await goAbroad()
  try {
    const seeker = await newClient(server.url, 'seeker')
    const guests: Client[] = []
    const open = { preset: 'public_chat', initial_state: [guestsWelcome] }
    const here = `/join/${encodeURIComponent(await createRoom(seeker, open))}`
    for (const count of sizes.people) {
      const wanted = Math.round(count * localShare)
      await many(`people of ${count}`, wanted - guests.length, 8, async () => {
        // Guests have no password, whose hashing would take most of the time.
        const guest = await newGuest(server.url)
        await guest.call('POST', here, {})
        guests.push(guest)
      })
      await joined(abroad, seeker, fabricateRoom([abroad.home], count - wanted))
      // The number has the most digits, so that nobody else's name begins with it.
      const member = `member${Math.floor((count - wanted) * 0.9)}`
      const guest = guests[0]?.userId.slice(1, -1 - serverName.length) ?? ''
      const terms = {
        'one of this server': guest,
        'one of another': member,
        'all of another': 'member',
        nobody: 'xyzzy',
      }
      for (const [name, term] of Object.entries(terms)) {
        let found = 0
        const row = await measureUse(server, {
          name: `directory of ${count}, ${name}`,
          count: sizes.syncs,
          run: async () => {
            const { json } = await seeker.call('POST', '/user_directory/search', { search_term: term })
            found = listIn(json, 'results').length
          },
        })
        yield { ...row, note: `${found} found` }
      }
    }
  } finally {
    abroad.servers.end()
  }
}

const guestsWelcome = { type: 'm.room.guest_access', state_key: '', content: { guest_access: 'can_join' } }
