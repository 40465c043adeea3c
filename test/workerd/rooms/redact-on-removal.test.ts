/** Kicks and bans that redact what the removed user sent (MSC4293), as clients ask for them and see them. */
import { redactEventsKey } from '#protocol/redact-events.ts'
import { beforeEach, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { createRoom, join, say, sync, type SyncEvent } from '../sync/syncing.ts'

let alice: User
let bob: User
let room: string
let people = 0

beforeEach(async () => {
  people += 1
  ;[alice, bob] = [await registerUser(`remover-${people}`), await registerUser(`removed-${people}`)]
  room = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, room)
})

const remove = (how: 'kick' | 'ban' | 'unban', body: object) =>
  alice.post(`/rooms/${encodeURIComponent(room)}/${how}`, { user_id: bob.userId, ...body })
const eventOf = async (id: string) =>
  (await alice.get<SyncEvent>(`/rooms/${encodeURIComponent(room)}/event/${encodeURIComponent(id)}`)).body
const member = async () => {
  const path = `/rooms/${encodeURIComponent(room)}/state/m.room.member/${encodeURIComponent(bob.userId)}`
  return (await alice.get(path)).body
}

test.each(['kick', 'ban'] as const)(
  'a %s says so in the member event, and what is left of the events says why',
  async (how) => {
    const id = await say(bob, room, 'rude words')
    const { next_batch: since } = await sync(alice)
    expect(await remove(how, { reason: 'spam', [redactEventsKey]: true })).toMatchObject({ status: 200, body: {} })
    const membership = how === 'ban' ? 'ban' : 'leave'
    const content = { membership, reason: 'spam', [redactEventsKey]: true }
    expect(await member()).toEqual(content)
    const because = { type: 'm.room.member', sender: alice.userId, state_key: bob.userId, content }
    expect(await eventOf(id)).toMatchObject({ content: {}, unsigned: { redacted_because: because } })
    // Who is in the room gets the ban and nothing else: their clients know what to do.
    const { rooms } = await sync(alice, { since })
    expect(rooms?.join?.[room]?.timeline?.events).toMatchObject([{ type: 'm.room.member', content }])
    // New clients get it redacted, and no search finds it.
    const whole = await sync(alice)
    expect(JSON.stringify(whole.rooms?.join?.[room]?.timeline)).not.toContain('rude')
    const criteria = { search_categories: { room_events: { search_term: 'rude' } } }
    expect((await alice.post('/search', criteria)).body).toMatchObject({
      search_categories: { room_events: { count: 0 } },
    })
  },
)

test('without it, or with a refusal, nothing is redacted', async () => {
  const id = await say(bob, room, 'words')
  expect((await remove('ban', { [redactEventsKey]: 'yes' })).status).toBe(400)
  const asBob = `/rooms/${encodeURIComponent(room)}/ban`
  expect((await bob.post(asBob, { user_id: alice.userId, [redactEventsKey]: true })).status).toBe(403)
  await remove('ban', { [redactEventsKey]: false })
  expect(await member()).toEqual({ membership: 'ban', [redactEventsKey]: false })
  await remove('unban', { [redactEventsKey]: true })
  expect(await member()).toEqual({ membership: 'leave' })
  expect(await eventOf(id)).toMatchObject({ content: { body: 'words' } })
})
