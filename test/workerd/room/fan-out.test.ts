/**
 * A busy room with many people here costs a call to each of them, and not one for each of them and message.
 * docs/costs.md has what 5,000 members and 1,000 messages came to by this test.
 */
import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { afterAll, expect, test, vi } from 'vitest'

import { UserSyncDO } from '../../../durable-objects/user-sync/user-sync-do.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { alice, join, publicRoom, say, user, userObject } from './rooms.ts'

const [memberCount, messageCount] = [60, 100]

const told = vi.spyOn(UserSyncDO.prototype, 'roomChanged')
afterAll(() => told.mockRestore())

test('everybody is called once, and again only after they have read', { timeout: 120_000 }, async () => {
  const room = await publicRoom()
  const members = Array.from({ length: memberCount }, (_, n) => user(`@member${n}:test.local`))
  for (const member of members) await join(room, member)
  const settle = async () => {
    await runInDurableObject(room.stub, (_, { storage }) => void storage.sql.exec('UPDATE alarms SET at = 1'))
    await runDurableObjectAlarm(room.stub)
  }
  await settle()

  /** They read, then so many messages come. Returns how often somebody was called. */
  const after = async (readers: readonly UserId[], text: string): Promise<number> => {
    for (const reader of readers) expect(await room.rpc.newsFor({ user: reader })).not.toBeNull()
    told.mockClear()
    for (let n = 0; n < messageCount; n++) await say(room, alice, `${text} ${n}`)
    await settle()
    return told.mock.calls.length
  }
  const [all, ten, nobody] = [
    await after([alice, ...members], 'everybody hears the first'),
    await after(members.slice(0, 10), 'ten have read'),
    await after([], 'nobody has read'),
  ]
  console.log(`${memberCount} members, ${messageCount} messages: ${all}, ${ten}, ${nobody} calls`)
  expect([all, ten, nobody]).toEqual([memberCount + 1, 10, 0])

  // Nothing is lost by it: all of them find the room changed.
  for (const member of members) expect(await userObject(member).joinedRooms()).toEqual([room.roomId])
})
