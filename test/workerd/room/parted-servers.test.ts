/** The merges among which the one is looked for that put a server out: found once, and added to as the room goes on. */
import { expect, it } from 'vitest'

import { newestMerges } from '../../../durable-objects/room/federation/parted-servers.ts'
import { receive } from './remote-events.ts'
import { makeRoom, mallory, withRoom } from './rooms.ts'

it('the merges of a room are those that it has, as it goes on', async () => {
  const room = await makeRoom('11', { preset: 'public_chat' })
  await withRoom(room, (opened) => {
    const [end] = opened.reader.events(opened.reader.header().extremities)
    if (!end) throw new Error('no end')
    const message = { type: 'm.room.message', sender: mallory }
    let last = receive(opened, {
      type: 'm.room.member',
      stateKey: mallory,
      content: { membership: 'join' },
      prev: [end],
    })
    const merges: number[] = []
    expect(newestMerges(opened)).toEqual([])
    for (let n = 0; n < 3; n++) {
      const forks = [receive(opened, { ...message, prev: [last] }), receive(opened, { ...message, prev: [last] })]
      expect(newestMerges(opened)).toEqual(merges)
      last = receive(opened, { ...message, prev: forks })
      merges.unshift(last.nid)
      expect(newestMerges(opened)).toEqual(merges)
    }
    last = receive(opened, { ...message, prev: [last] })
    expect(newestMerges(opened)).toEqual(merges)
  })
})
