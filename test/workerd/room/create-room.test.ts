/** A room is born whole or not at all, in every room version. */
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { describe, expect, it } from 'vitest'
import { alice, bob, createRequest, freshRoomId, makeRoom, roomObject, rows, stateContent, timeline } from './rooms.ts'

const presets = ['private_chat', 'trusted_private_chat', 'public_chat'] as const

describe.each(roomVersions)('room version %s', (version) => {
  it.each(presets)('makes a room of the preset %s', async (preset) => {
    const room = await makeRoom(version, { preset, name: 'Tea', topic: 'with milk', invite: [bob] })
    expect(await timeline(room)).toEqual([
      'm.room.create',
      'm.room.member',
      'm.room.power_levels',
      'm.room.join_rules',
      'm.room.history_visibility',
      // A public room forbids guests by saying nothing of them.
      ...(preset === 'public_chat' ? [] : ['m.room.guest_access']),
      'm.room.name',
      'm.room.topic',
    ])
    expect(await stateContent(room, 'm.room.member', alice)).toEqual({ membership: 'join', displayname: 'Alice' })
    expect(await stateContent(room, 'm.room.join_rules')).toEqual({
      join_rule: preset === 'public_chat' ? 'public' : 'invite',
    })
    const [header] = await rows<{ room_id: string; room_version: string; pos: number }>(room, 'SELECT * FROM room')
    expect(header).toMatchObject({ room_id: room.roomId, room_version: version, pos: preset === 'public_chat' ? 7 : 8 })
  })

  it('makes events that follow each other and cite what allows them', async () => {
    const room = await makeRoom(version)
    const events = await rows<{ nid: number; depth: number; auth: string; json: string; event_id: string }>(
      room,
      'SELECT nid, depth, auth, json, event_id FROM events ORDER BY nid',
    )
    expect(events.map(({ depth }) => depth)).toEqual([1, 2, 3, 4, 5, 6])
    // create; join; power levels: later events are allowed by all three, but version 12 does not cite the create event.
    const auth = events.map(({ auth }): number[] => JSON.parse(auth))
    expect(auth.slice(0, 4)).toEqual(version === '12' ? [[], [], [2], [3, 2]] : [[], [1], [1, 2], [1, 3, 2]])
    for (const [index, { json }] of events.entries()) {
      const { prev_events: prev }: { prev_events: (string | [string, { sha256: string }])[] } = JSON.parse(json)
      const ids = prev.map((entry) => (typeof entry === 'string' ? entry : entry[0]))
      expect(ids).toEqual(index === 0 ? [] : [events[index - 1]?.event_id])
      if (version === '1' || version === '2') for (const entry of prev) expect(entry[1]).toHaveProperty('sha256')
    }
  })

  it('refuses a second room with the same ID', async () => {
    const request = await createRequest(version)
    const { rpc } = roomObject(request.roomId)
    expect(await rpc.create(request)).toEqual({ ok: true })
    expect(await rpc.create(request)).toMatchObject({ ok: false, reason: 'room_exists' })
  })

  it('leaves nothing behind when one event is refused', async () => {
    const request = await createRequest(version)
    const events = [...request.events, { type: 'm.room.member', state_key: alice, content: { membership: 'absent' } }]
    const room = roomObject(request.roomId)
    expect(await room.rpc.create({ ...request, events })).toMatchObject({ ok: false, reason: 'event_not_allowed' })
    expect(await rows(room, "SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'")).toEqual([])
    // The object is as good as new.
    expect(await room.rpc.create(request)).toEqual({ ok: true })
    expect(await timeline(room)).toHaveLength(6)
  })
})

it('refuses a create event that is not of this room', async () => {
  const request = await createRequest('11')
  for (const wrong of [
    { ...request, roomId: freshRoomId() },
    { ...request, creator: bob },
    { ...request, create: { ...request.create, type: 'm.room.topic' } },
    { ...request, create: { ...request.create, content: { room_version: 0.5 } } },
  ]) {
    const room = roomObject(wrong.roomId)
    expect(await room.rpc.create(wrong)).toMatchObject({ ok: false, reason: 'bad_json' })
    expect(await rows(room, 'SELECT name FROM sqlite_master')).toEqual([])
  }
})

it('leaves no table in the object of a room that nobody knows', async () => {
  const room = roomObject(freshRoomId())
  const change = { sender: alice, target: alice, membership: 'join' } as const
  for (const answer of [
    await room.rpc.sendEvent({ sender: alice, type: 'm.room.message', content: {} }),
    await room.rpc.setMembership(change),
    await room.rpc.joinRequirements({ user: alice }),
    await room.rpc.forget({ user: alice }),
  ]) {
    expect(answer).toEqual({ ok: false, reason: 'unknown_room' })
  }
  expect(await rows(room, 'SELECT name FROM sqlite_master')).toEqual([])
})
