/** A filter that leaves rooms out, and is then dropped with the same token: what happens from then on is told. */
import { beforeEach, describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { aMoment, bodies, createRoom, join, leave, long, say, sync, type SyncBody } from './syncing.ts'

let alice: User
let bob: User
let room: string
let people = 0

beforeEach(async () => {
  people += 1
  ;[alice, bob] = [await registerUser(`other-alice-${people}`), await registerUser(`other-bob-${people}`)]
  room = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, room)
})

const none = { room: { rooms: [] } }
const bodiesOf = ({ rooms }: SyncBody) => bodies(rooms?.join?.[room]?.timeline)

describe('a room that the filter left out', () => {
  test('in the first sync tells what comes after it', async () => {
    await say(alice, room, 'before')
    const { next_batch: since } = await sync(bob, { filter: none })
    const waiting = sync(bob, { since, timeout: long })
    await aMoment()
    await say(alice, room, 'after')
    expect(bodiesOf(await waiting)).toEqual(['after'])
  })

  test('in a later one does so too, however much was said meanwhile', async () => {
    let { next_batch: since } = await sync(bob)
    for (const body of ['one', 'two', 'three']) {
      await say(alice, room, body)
      since = (await sync(bob, { since, filter: none })).next_batch
    }
    await say(alice, room, 'four')
    await say(alice, room, 'five')
    const next = await sync(bob, { since, timeout: long })
    expect(bodiesOf(next)).toEqual(['four', 'five'])
    expect((await sync(bob, { since: next.next_batch })).rooms).toBeUndefined()
  })

  test('is the same as before for another device', async () => {
    const phone = await sync(bob)
    await say(alice, room, 'one')
    await sync(bob, { since: phone.next_batch, filter: none })
    await say(alice, room, 'two')
    expect(bodiesOf(await sync(bob, { since: phone.next_batch, timeout: long }))).toEqual(['one', 'two'])
  })

  test('tells of each who comes and goes, since their keys are needed', async () => {
    const carol = await registerUser(`other-carol-${people}`)
    const dave = await registerUser(`other-dave-${people}`)
    let { next_batch: since } = await sync(bob, { filter: none })
    for (const newcomer of [carol, dave]) {
      await join(newcomer, room)
      const answer: SyncBody & { device_lists?: { changed: string[] } } = await sync(bob, {
        since,
        filter: none,
        timeout: long,
      })
      expect(answer.device_lists?.changed).toContain(newcomer.userId)
      since = answer.next_batch
    }
    await leave(carol, room)
    const answer: SyncBody & { device_lists?: { left: string[] } } = await sync(bob, {
      since,
      filter: none,
      timeout: long,
    })
    expect(answer.device_lists?.left).toContain(carol.userId)
  })
})
