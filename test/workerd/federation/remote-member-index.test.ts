/** The list of which rooms users of other servers are in is written when that changes, and not when something else does. */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { env } from 'cloudflare:workers'
import { expect, test } from 'vitest'

import { RemoteMemberIndex } from '../../../durable-objects/room/federation/remote-member-index.ts'
import { setMembership } from '../../../durable-objects/room/membership.ts'
import { serverIdentity } from '../../../worker/server-identity.ts'
import { begin, roomWithMallory } from '../room-read/random-room.ts'
import { alice, bob, mallory, withRoom } from '../room/rooms.ts'

test('a changed name of the only one here writes nothing; that the last one goes does', async () => {
  const identity = await serverIdentity(env)
  await withRoom(await roomWithMallory(), async (room) => {
    const told: [string, ...(readonly UserId[])[]][] = []
    const index = new RemoteMemberIndex(room, {
      replace: async (_, users) => void told.push(['replace', users]),
      change: async (_, joined, gone) => void told.push(['change', joined, gone]),
    })
    const after = async (work: () => { readonly ok: boolean }) => {
      expect(work()).toMatchObject({ ok: true })
      await index.changed()
      return told.splice(0)
    }
    const set =
      (target: UserId, membership: 'join' | 'leave', displayname = 'nobody') =>
      () =>
        setMembership(room, identity, { sender: target, target, membership, profile: { displayname } }, 1)
    begin(room)
    expect(await after(() => ({ ok: true }))).toEqual([['change', [mallory], []]])
    expect(await after(set(alice, 'join', 'another'))).toEqual([])
    expect(await after(set(bob, 'join'))).toEqual([])
    expect(await after(set(alice, 'leave'))).toEqual([])
    expect(await after(set(bob, 'leave'))).toEqual([['replace', []]])
  })
})
