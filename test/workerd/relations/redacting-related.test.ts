/** What relates to an event is redacted along with it, where that is asked. MSC3912 (unstable). */
import { beforeAll, expect, test, vi } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { at, createRoom, join, ok, refused, say } from '../rooms/rooms.ts'
import { eventOf, relate } from './relating.ts'

let alice: User
let bob: User
beforeAll(async () => {
  alice = await registerUser('related-alice')
  bob = await registerUser('related-bob')
})

const redactWith = (
  user: User,
  roomId: string,
  eventId: string,
  relations: unknown,
  name = 'org.matrix.msc3912.with_relations',
) =>
  user.put(at(roomId, `/redact/${encodeURIComponent(eventId)}/${crypto.randomUUID()}`), {
    reason: 'gone',
    [name]: relations,
  })
const isRedacted = async (roomId: string, eventId: string) =>
  (await eventOf(alice, roomId, eventId)).unsigned?.['redacted_because'] !== undefined

test.each(['org.matrix.msc3912.with_relations', 'with_rel_types'])('by %s', async (name) => {
  const roomId = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, roomId)
  const root = await say(bob, roomId, 'root')
  const mine = await relate(bob, roomId, root, 'm.thread')
  const theirs = await relate(alice, roomId, root, 'm.thread')
  const reference = await relate(bob, roomId, root, 'm.reference')
  await ok(redactWith(bob, roomId, root, ['m.thread'], name))
  await vi.waitFor(async () => expect(await isRedacted(roomId, mine)).toBe(true))
  const { unsigned } = await eventOf(alice, roomId, mine)
  expect(unsigned?.['redacted_because']).toMatchObject({ sender: bob.userId, content: { reason: 'gone' } })
  expect(unsigned?.['redacted_because']).not.toHaveProperty(`content.${name}`)
  // Bob may not redact what Alice said.
  expect(await isRedacted(roomId, theirs)).toBe(false)
  expect(await isRedacted(roomId, reference)).toBe(false)
})

test('all of them', async () => {
  const roomId = await createRoom(alice)
  const root = await say(alice, roomId, 'root')
  const related = [await relate(alice, roomId, root, 'm.thread'), await relate(alice, roomId, root, 'org.example.x')]
  await ok(redactWith(alice, roomId, root, ['*']))
  for (const id of related) await vi.waitFor(async () => expect(await isRedacted(roomId, id)).toBe(true))
})

test.each([['m.thread'], [{}], [7], [[7]], [[null]], [Array.from({ length: 51 }, () => 'm.thread')]])(
  '%j is refused',
  async (wrong) => {
    const roomId = await createRoom(alice)
    const root = await say(alice, roomId, 'root')
    expect(await redactWith(alice, roomId, root, wrong)).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect(await isRedacted(roomId, root)).toBe(false)
  },
)
