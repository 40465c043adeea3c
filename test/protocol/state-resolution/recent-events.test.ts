import { describe, expect, it } from 'vitest'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import { rememberRecent } from '#protocol/state-resolution/recent-events.ts'
import { timeline } from '../../dsl/room-timeline.ts'
import { alice } from '../../dsl/users.ts'

describe('a lookup that remembers', () => {
  const room = timeline('12').publicChat({ creator: alice })
  for (let n = 0; n < 20; n++) room.message(alice, `${n}`)
  const ids = room.events.map(({ pdu }) => pdu.event_id)

  function counting() {
    const asked: EventId[] = []
    const lookup = rememberRecent((id) => {
      asked.push(id)
      return room.lookup(id)
    }, 4)
    return { asked, lookup }
  }

  it('answers as the one it stands before', () => {
    const { lookup } = counting()
    for (const id of [...ids, ...ids.toReversed()]) expect(lookup(id)).toBe(room.lookup(id))
  })

  it('asks once for what is used again and again', () => {
    const { asked, lookup } = counting()
    const [create, ...others] = ids
    if (create === undefined) throw new Error('the room is empty')
    for (const id of others) {
      lookup(id)
      lookup(create)
    }
    expect(asked.filter((id) => id === create)).toHaveLength(1)
  })

  it('forgets what has not been used for long', () => {
    const { asked, lookup } = counting()
    for (const id of [...ids, ...ids]) lookup(id)
    expect(asked).toHaveLength(2 * ids.length)
  })

  it('asks again for what was not found', () => {
    const { asked, lookup } = counting()
    const unknown = timeline('11').create(alice).lastId
    expect([lookup(unknown), lookup(unknown)]).toEqual([undefined, undefined])
    expect(asked).toEqual([unknown, unknown])
  })
})
