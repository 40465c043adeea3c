/**
 * Random histories of rooms that were joined without their members: whatever happens before those are known, in the end the
 * room is what its own server says, place by place, and every event of it is accepted.
 */
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { membershipOf } from '#protocol/events/fields.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'
import { afterEach, beforeAll, expect, test, vi } from 'vitest'

import { type Dice, diceOf } from '../../partition/dice.ts'
import { registerUser, type User } from '../client.ts'
import { roomObject, rows } from '../room/rooms.ts'
import { at, say } from '../rooms/rooms.ts'
import { otherServer } from './other-server.ts'
import { PartialRoom } from './partial-room.ts'

let alice: User
beforeAll(async () => {
  alice = await registerUser('histories-alice')
})
afterEach(() => void vi.restoreAllMocks())

const names = ['ann', 'ben', 'cleo', 'dan', 'eve', 'fay']

function membership(far: PartialRoom, name: string): string | undefined {
  const member = far.state().find(({ type, state_key }) => type === 'm.room.member' && state_key === far.who(name))
  return member && membershipOf(member)
}

/** What somebody does who may. */
function act(far: PartialRoom, dice: Dice): Pdu {
  const name = dice.of(names)
  const text = { type: 'm.room.message', content: { msgtype: 'm.text', body: String(dice.below(1000)) } }
  switch (membership(far, name)) {
    case 'join':
      if (dice.chance(50)) return far.add({ ...text, sender: far.who(name) })
      if (dice.chance(30)) return far.member(name, 'leave')
      return dice.chance(50) ? far.member(name, 'leave', far.creator) : far.member(name, 'ban', far.creator)
    case 'ban':
      return dice.chance(40) ? far.member(name, 'leave', far.creator) : far.add(text)
    default:
      return dice.chance(70) ? far.member(name) : far.add({ type: 'm.room.topic', stateKey: '', content: text.content })
  }
}

const versions: readonly RoomVersion[] = ['6', '10', '11']

test.each([1, 2, 3, 4, 5, 6, 7, 8, 9])('history %i', async (seed) => {
  const dice = diceOf(seed)
  const far = new PartialRoom(await otherServer(`history${seed}.test:8448`), dice.of(versions))
  for (let n = 0; n < 20; n++) act(far, dice)
  await far.joinedBy(alice)
  const roomId = parseRoomId(far.roomId)
  if (!roomId) throw new TypeError(far.roomId)
  const room = roomObject(roomId)
  const wasComplete = async () =>
    (await rows(room, 'SELECT 1 AS one FROM partial_span WHERE to_pos IS NULL')).length === 0
  for (let n = 0; n < 30; n++) {
    const pdus = Array.from({ length: 1 + dice.below(3) }, () => act(far, dice))
    await far.deliver(...pdus)
    if (dice.chance(15)) await say(alice, far.roomId, 'meanwhile')
    if (n === 22) {
      expect(await wasComplete()).toBe(false)
      far.open()
    }
  }
  await vi.waitFor(
    async () => expect(await alice.get(at(far.roomId, '/members'))).toMatchObject({ status: 200 }),
    30_000,
  )
  expect(await wasComplete()).toBe(true)
  await vi.waitFor(async () => {
    const state = await rows<{ id: string }>(
      room,
      'SELECT event_id AS id FROM current_state JOIN events ON nid = event_nid ORDER BY event_id',
    )
    const theirs = far.state().map(({ event_id }) => String(event_id))
    expect(state.map(({ id }) => id)).toEqual(theirs.toSorted())
  }, 30_000)
  // What was refused for want of knowledge is not refused any more.
  expect(await rows(room, 'SELECT type, reject_reason FROM events WHERE outcome IN (1, 2)')).toEqual([])
})
