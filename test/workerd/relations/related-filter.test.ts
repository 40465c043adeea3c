/** Filters for events to which others relate: `related_by_rel_types`, `related_by_senders` (MSC3440). */
import { beforeAll, describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { at, ok } from '../rooms/rooms.ts'
import { bodies, createRoom, join, say, sync } from '../sync/syncing.ts'
import { ignore, redact, relate } from './relating.ts'

let alice: User
let bob: User
let room: string
let last: string

beforeAll(async () => {
  ;[alice, bob] = [await registerUser('related-alice'), await registerUser('related-bob')]
  room = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, room)
  const [threaded, liked, both] = [
    await say(alice, room, 'threaded'),
    await say(alice, room, 'liked'),
    await say(alice, room, 'both'),
  ]
  await say(alice, room, 'neither')
  await relate(bob, room, threaded, 'm.thread')
  await relate(bob, room, liked, 'm.annotation', {}, 'm.reaction')
  await relate(alice, room, both, 'm.thread')
  last = await relate(bob, room, both, 'm.annotation', {}, 'm.reaction')
})

const cases: readonly (readonly [object, () => string[]])[] = [
  [{ related_by_rel_types: ['m.thread'] }, () => ['threaded', 'both']],
  [{ related_by_rel_types: ['m.annotation', 'm.none'] }, () => ['liked', 'both']],
  [{ related_by_rel_types: [] }, () => []],
  [{ related_by_rel_types: ['m.thread'], types: ['m.reaction'] }, () => []],
]
/** With a name in place of a user, whom the table cannot know yet. */
const bySenders: readonly (readonly [string, string[] | undefined, string[]])[] = [
  ['bob', undefined, ['threaded', 'liked', 'both']],
  ['alice', undefined, ['both']],
  ['bob', ['m.thread'], ['threaded']],
  ['alice', ['m.annotation'], []],
]
const senderOf = (name: string) => (name === 'bob' ? bob : alice).userId

async function shown(filter: object, user = alice) {
  const query = new URLSearchParams({ dir: 'f', limit: '100', filter: JSON.stringify(filter) })
  const page = await ok(user.get<{ chunk: Parameters<typeof bodies>[0] }>(at(room, `/messages?${query.toString()}`)))
  const paged = bodies({ events: JSON.parse(JSON.stringify(page.chunk)) })
  const synced = await sync(user, { filter: { room: { timeline: { limit: 50, ...filter } } } })
  expect(bodies(synced.rooms?.join?.[room]?.timeline)).toEqual(paged)
  return paged
}

describe('in /messages and /sync', () => {
  test.each(cases)('%j', async (filter, expected) => {
    expect(await shown(filter)).toEqual(expected())
  })

  test.each(bySenders)('by %s, %j', async (name, types, expected) => {
    const filter = { related_by_senders: [senderOf(name)], ...(types ? { related_by_rel_types: types } : {}) }
    expect(await shown(filter)).toEqual(expected)
  })

  test('what was redacted, and what ignored users say, counts no more', async () => {
    const carol = await registerUser('related-carol')
    await join(carol, room)
    await ignore(carol, bob)
    expect(await shown({ related_by_rel_types: ['m.thread'] }, carol)).toEqual(['both'])
    await redact(bob, room, last)
    expect(await shown({ related_by_rel_types: ['m.annotation'] })).toEqual(['liked'])
  })
})

test('senders that are no users are refused', async () => {
  const filter = JSON.stringify({ related_by_senders: ['bob'] })
  const query = new URLSearchParams({ dir: 'b', filter })
  expect(await alice.get(at(room, `/messages?${query.toString()}`))).toMatchObject({ status: 400 })
})
