/** Which of our events another server is sent: those of the time when it was in the room, and those about its users. */
import { parseServerName } from '#protocol/identifiers/server-name.ts'
import { expect, test } from 'vitest'
import { pdusFor } from '../../../durable-objects/room/federation/news-for-servers.ts'
import type { Room } from '../../../durable-objects/room/room.ts'
import { receive } from './remote-events.ts'
import { alice, mallory, publicRoom, say, type TestRoom, withRoom } from './rooms.ts'

const elsewhere = parseServerName('localhost:1')

/** Bodies of messages, and types of other events, that Mallory's server is sent after a position. */
async function sent(made: TestRoom, { after = 0, limit = 50 } = {}): Promise<unknown[]> {
  if (!elsewhere) throw new Error('no server name')
  return withRoom(made, (room) =>
    pdusFor(room, { destination: elsewhere, after, limit }).pdus.map(({ type, content }) =>
      type === 'm.room.message' ? Reflect.get(Object(content), 'body') : type,
    ),
  )
}

const membership = (made: TestRoom, of: 'join' | 'leave') =>
  withRoom(made, (room: Room) => {
    const prev = room.reader.events(room.reader.header().extremities)
    receive(room, { type: 'm.room.member', stateKey: mallory, content: { membership: of }, prev })
  })

test('a server gets what was said while it was in the room, however far back is asked', async () => {
  const made = await publicRoom()
  await say(made, alice, 'before')
  expect(await sent(made)).toEqual([])
  await made.evict()
  await membership(made, 'join')
  await made.evict()
  await say(made, alice, 'during')
  await say(made, alice, 'still')
  expect(await sent(made)).toEqual(['during', 'still'])
  expect(await sent(made, { limit: 1 })).toEqual(['during'])
  await made.evict()
  await membership(made, 'leave')
  await made.evict()
  await say(made, alice, 'after')
  expect(await sent(made)).toEqual(['during', 'still'])
})

test('a server gets what is about its users, though it is not in the room', async () => {
  const made = await publicRoom()
  await say(made, alice, 'private')
  const invited = await made.rpc.setMembership({ sender: alice, target: mallory, membership: 'ban' })
  expect(invited.ok).toBe(true)
  await say(made, alice, 'also private')
  expect(await sent(made)).toEqual(['m.room.member'])
})

test('of very much a server gets the newest, which leads it to the rest', async () => {
  const made = await publicRoom()
  await membership(made, 'join')
  await made.evict()
  for (let index = 0; index < 60; index++) await say(made, alice, `message ${index}`)
  expect(await sent(made)).toEqual(Array.from({ length: 50 }, (_, index) => `message ${index + 10}`))
})
