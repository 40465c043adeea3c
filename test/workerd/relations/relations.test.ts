/** Events that relate to others, over HTTP: listed, paged, hidden, redacted. Spec: #relationships-api. */
import { beforeAll, describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { at, createRoom, join, ok, refused, say, setState } from '../rooms/rooms.ts'
import { ids, ignore, redact, relate, related, relatedPath } from './relating.ts'

let alice: User
let bob: User

beforeAll(async () => {
  alice = await registerUser('relating-alice')
  bob = await registerUser('relating-bob')
})

async function publicRoom(): Promise<{ roomId: string; root: string }> {
  const roomId = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, roomId)
  return { roomId, root: await say(alice, roomId, 'root') }
}

describe('the children of an event', () => {
  test('are listed newest first, all or by kind of relation and type of event', async () => {
    const { roomId, root } = await publicRoom()
    const reply = await relate(alice, roomId, root, 'm.thread')
    const dummy = await relate(bob, roomId, root, 'm.thread', {}, 'm.dummy')
    const reaction = await relate(bob, roomId, root, 'm.annotation', {}, 'm.reaction')
    await say(alice, roomId, 'unrelated')
    expect(ids(await related(alice, roomId, root))).toEqual([reaction, dummy, reply])
    expect(ids(await related(alice, roomId, root, '?dir=f'))).toEqual([reply, dummy, reaction])
    expect(ids(await related(bob, roomId, root, '/m.thread'))).toEqual([dummy, reply])
    expect(ids(await related(bob, roomId, root, '/m.thread/m.dummy'))).toEqual([dummy])
    // No pattern, but a type.
    expect(ids(await related(bob, roomId, root, '/m.thread/m.*'))).toEqual([])
    expect(ids(await related(alice, roomId, reply))).toEqual([])
    const unstable = relatedPath(roomId, root, '/m.annotation').replace('/v1/', '/unstable/')
    expect(ids(await ok(alice.get(unstable)))).toEqual([reaction])
  })

  test('are paged through both ways without losing or repeating any', async () => {
    const { roomId, root } = await publicRoom()
    const sent: string[] = []
    for (let i = 0; i < 8; i++) {
      sent.push(await relate(alice, roomId, root, 'm.thread'))
      await say(bob, roomId, 'between')
    }
    for (const dir of ['b', 'f']) {
      const seen: string[] = []
      let from = ''
      for (;;) {
        const page = await related(alice, roomId, root, `?dir=${dir}&limit=3${from}`)
        expect(page.prev_batch).toBe(from === '' ? undefined : decodeURIComponent(from.slice('&from='.length)))
        seen.push(...ids(page))
        if (page.next_batch === undefined) break
        from = `&from=${encodeURIComponent(page.next_batch)}`
      }
      expect(seen).toEqual(dir === 'f' ? sent : sent.toReversed())
    }
  })

  test('can be taken from where a sync ended, and up to there', async () => {
    const { roomId, root } = await publicRoom()
    const before = await relate(alice, roomId, root, 'm.thread')
    const { next_batch } = await ok(alice.get<{ next_batch: string }>('/sync?timeout=0'))
    const after = await relate(alice, roomId, root, 'm.thread')
    const token = encodeURIComponent(next_batch)
    expect(ids(await related(alice, roomId, root, `?dir=f&from=${token}`))).toEqual([after])
    expect(ids(await related(alice, roomId, root, `?from=${token}`))).toEqual([before])
    expect(ids(await related(alice, roomId, root, `?to=${token}`))).toEqual([after])
  })

  test('are followed for three levels where that is asked for', async () => {
    const { roomId, root } = await publicRoom()
    const child = await relate(alice, roomId, root, 'm.thread')
    const grandchild = await relate(bob, roomId, child, 'm.annotation', {}, 'm.reaction')
    const third = await relate(bob, roomId, grandchild, 'm.reference')
    await relate(bob, roomId, third, 'm.reference')
    const all = await related(alice, roomId, root, '?recurse=true')
    expect(ids(all)).toEqual([third, grandchild, child])
    expect(all.recursion_depth).toBe(3)
    expect(ids(await related(alice, roomId, root, '/m.reference?recurse=true'))).toEqual([third])
    expect(ids(await related(alice, roomId, root, '?recurse=true&dir=f&limit=2'))).toEqual([child, grandchild])
    const direct = await related(alice, roomId, root)
    expect(ids(direct)).toEqual([child])
    expect(direct).not.toHaveProperty('recursion_depth')
  })

  test('are gone once they are redacted; those of a redacted event stay', async () => {
    const { roomId, root } = await publicRoom()
    const child = await relate(alice, roomId, root, 'm.thread')
    const other = await relate(bob, roomId, root, 'm.thread')
    await redact(alice, roomId, child)
    expect(ids(await related(bob, roomId, root))).toEqual([other])
    await redact(alice, roomId, root)
    expect(ids(await related(bob, roomId, root))).toEqual([other])
  })

  test('are those with a whole relation: a string for the event and one for the kind', async () => {
    const { roomId, root } = await publicRoom()
    for (const relation of [
      { event_id: root },
      { event_id: root, rel_type: 7 },
      { event_id: [root], rel_type: 'm.thread' },
      { 'm.in_reply_to': { event_id: root } },
      'nonsense',
    ]) {
      await ok(alice.put(at(roomId, `/send/m.room.message/${crypto.randomUUID()}`), { 'm.relates_to': relation }))
    }
    expect(ids(await related(alice, roomId, root))).toEqual([])
  })
})

describe('who may see them', () => {
  test('nobody outside, who is told no more than that there is no such event', async () => {
    const roomId = await createRoom(alice)
    const root = await say(alice, roomId, 'secret')
    await relate(alice, roomId, root, 'm.thread')
    expect(await bob.get(relatedPath(roomId, root))).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await bob.get(relatedPath('!nowhere:test.local', root))).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await alice.get(relatedPath(roomId, '$nothing'))).toMatchObject(refused(404, 'M_NOT_FOUND'))
  })

  test('one who left sees those up to then, and pages end there', async () => {
    const { roomId, root } = await publicRoom()
    const seen = await relate(alice, roomId, root, 'm.thread')
    await ok(bob.post(at(roomId, '/leave')))
    const later = await relate(alice, roomId, root, 'm.thread')
    expect(ids(await related(bob, roomId, root))).toEqual([seen])
    expect(ids(await related(bob, roomId, root, '?dir=f'))).toEqual([seen])
    expect(ids(await related(alice, roomId, root))).toEqual([later, seen])
  })

  test('members see none from before they joined where that is hidden', async () => {
    const roomId = await createRoom(alice, { preset: 'public_chat' })
    const root = await say(alice, roomId, 'open to all')
    await ok(setState(alice, roomId, 'm.room.history_visibility', { history_visibility: 'joined' }))
    await relate(alice, roomId, root, 'm.thread')
    await join(bob, roomId)
    const seen = await relate(alice, roomId, root, 'm.thread')
    expect(ids(await related(bob, roomId, root))).toEqual([seen])
  })

  test('nobody sees those of users they ignore', async () => {
    const { roomId, root } = await publicRoom()
    const carol = await registerUser('relating-carol')
    await join(carol, roomId)
    await relate(bob, roomId, root, 'm.thread')
    const own = await relate(alice, roomId, root, 'm.thread')
    await ignore(carol, bob)
    expect(ids(await related(carol, roomId, root))).toEqual([own])
  })
})

test.each(['dir=x', 'limit=-1', 'limit=ten', 'recurse=yes', 'from=nonsense', 'to=t1', 'from=p99999999999999999999'])(
  'refuses %s',
  async (query) => {
    const { roomId, root } = await publicRoom()
    expect(await alice.get(relatedPath(roomId, root, `?${query}`))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  },
)
