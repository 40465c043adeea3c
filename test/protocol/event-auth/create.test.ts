import { describe, expect, it } from 'vitest'
import { checkAuthEventsOf } from '#protocol/event-auth/auth-events.ts'
import { checkAuthRules } from '#protocol/event-auth/check-auth-rules.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'
import { crypto, timeline } from '../../dsl/room-timeline.ts'
import { alice, bob } from '../../dsl/users.ts'
import { allowed, rejectedBy, versions } from './numbers.ts'

/** A create event by Alice with exactly this content. */
function createEvent(version: RoomVersion, content: JsonObject): Pdu {
  return timeline(version).draft('m.room.create', '', content, alice)
}

function complete(version: RoomVersion): JsonObject {
  return Number(version) <= 10 ? { creator: alice, room_version: version } : { room_version: version }
}

describe.each(roomVersions)('m.room.create in room version %s', (version) => {
  const room = timeline(version)
  const judge = (pdu: Pdu) => room.judge(pdu)

  it('1: makes a room', () => {
    expect(judge(createEvent(version, complete(version)))).toEqual(allowed)
  })

  it('1: asks nothing of the state nor of auth events', () => {
    const create = createEvent(version, complete(version))
    expect(checkAuthRules(room.rules, create, () => create, crypto)).toEqual(allowed)
    expect(checkAuthEventsOf(room.rules, create, () => undefined)).toEqual(allowed)
  })

  it('1.1: has no prev_events', () => {
    const create = createEvent(version, complete(version))
    const second = timeline(version)
      .create(alice)
      .draft('m.room.create', '', complete(version), alice, { prevEvents: [create.event_id] })
    expect(judge(second)).toEqual(rejectedBy('1.1'))
  })

  it.each(roomVersions)('1.3: may name room version %s', (named) => {
    expect(judge(createEvent(version, { ...complete(version), room_version: named }))).toEqual(allowed)
  })

  it('1.3: may name no room version', () => {
    expect(judge(createEvent(version, { creator: alice }))).toEqual(allowed)
  })

  it.each(['13', '0', '', 'org.example.unknown', 1, 12, null, true, ['1'], {}, '__proto__', 'toString'])(
    '1.3: may not name room version %j',
    (named) => {
      expect(judge(createEvent(version, { ...complete(version), room_version: named }))).toEqual(rejectedBy('1.3'))
    },
  )
})

describe.each(versions(1, 11))('the room ID of version %s', (version) => {
  const withRoomId = (roomId: string): Pdu => {
    const room_id = parseRoomId(roomId)
    if (room_id === undefined) throw new Error('not a room ID')
    return { ...createEvent(version, complete(version)), room_id }
  }

  it("1.2: is of the sender's server", () => {
    expect(timeline(version).judge(withRoomId('!other:a.example'))).toEqual(allowed)
  })

  it.each(['!room:b.example', '!room:a.example:8448', '!room:A.example', `!${'a'.repeat(43)}`])(
    '1.2: is not %s',
    (roomId) => {
      expect(timeline(version).judge(withRoomId(roomId))).toEqual(rejectedBy('1.2'))
    },
  )
})

describe.each(versions(12, 12))('the room ID of version %s', (version) => {
  it('1.2: is the event ID of the create event', () => {
    const create = createEvent(version, complete(version))
    expect(create.room_id).toBe(`!${create.event_id.slice(1)}`)
    expect(timeline(version).judge(create)).toEqual(allowed)
  })

  it('1.2: is not in the create event', () => {
    const create = createEvent(version, complete(version))
    const withRoomId = { ...create, json: { ...create.json, room_id: create.room_id } }
    expect(timeline(version).judge(withRoomId)).toEqual(rejectedBy('1.2'))
  })

  it('1.2: makes every create event another room', () => {
    const room = timeline(version).create(alice)
    const again = room.draft('m.room.create', '', { ...complete(version), again: true }, alice)
    expect(again.room_id).not.toBe(room.roomId)
  })
})

describe.each(versions(1, 10))('the creator in version %s', (version) => {
  it.each([alice, bob, 'nobody', 1, null])('1.4: may be %j', (creator) => {
    expect(timeline(version).judge(createEvent(version, { creator }))).toEqual(allowed)
  })

  it('1.4: has to be there', () => {
    expect(timeline(version).judge(createEvent(version, { room_version: version }))).toEqual(rejectedBy('1.4'))
  })
})

describe.each(versions(11, 12))('the creator in version %s', (version) => {
  it('need not be named', () => {
    expect(timeline(version).judge(createEvent(version, {}))).toEqual(allowed)
  })
})

const malformedCreators = [
  null,
  bob,
  { 0: bob },
  [bob, 1],
  [null],
  ['bob'],
  ['@bob'],
  ['@bob:'],
  ['@bob:b example'],
  [`@${'b'.repeat(255)}:b.example`],
  ['!room:b.example'],
  [[bob]],
]

describe.each(versions(12, 12))('additional_creators in version %s', (version) => {
  it.each([[[]], [[bob]], [[bob, alice, bob]], [['@Historical User!:b.example:8448']]])('1.4: may be %j', (list) => {
    const content = { ...complete(version), additional_creators: list }
    expect(timeline(version).judge(createEvent(version, content))).toEqual(allowed)
  })

  it.each(malformedCreators.map((value) => [value]))('1.4: may not be %j', (value) => {
    const content = { ...complete(version), additional_creators: value }
    expect(timeline(version).judge(createEvent(version, content))).toEqual(rejectedBy('1.4'))
  })
})

describe.each(versions(1, 11))('additional_creators in version %s', (version) => {
  it.each(malformedCreators.map((value) => [value]))('mean nothing, not even as %j', (value) => {
    const content = { ...complete(version), additional_creators: value }
    expect(timeline(version).judge(createEvent(version, content))).toEqual(allowed)
  })
})
