/** Redactions: who may redact what, and what is left of it. */
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { describe, expect, it } from 'vitest'
import { alice, bob, join, makeRoom, publicRoom, rows, say, stateContent, type TestRoom } from './rooms.ts'

function eventId(id: string) {
  const parsed = parseEventId(id)
  if (!parsed) throw new Error(`no event ID: ${id}`)
  return parsed
}

async function stored(room: TestRoom, id: string) {
  const query = 'SELECT nid, redacted_by, json FROM events WHERE event_id = ?'
  const [row] = await rows<{ nid: number; redacted_by: number | null; json: string }>(room, query, id)
  if (!row) throw new Error(`not stored: ${id}`)
  return { ...row, json: JSON.parse(row.json) }
}

describe.each(roomVersions)('room version %s', (version) => {
  it('empties a message and keeps what holds the room together', async () => {
    const room = await publicRoom(version)
    const target = await say(room, alice, 'secret')
    const before = await stored(room, target)
    const redacted = await room.rpc.redact({ sender: alice, eventId: eventId(target), content: { reason: 'oops' } })
    if (!redacted.ok) throw new Error(redacted.message)
    const after = await stored(room, target)
    const redaction = await stored(room, redacted.event_id)
    expect(after.redacted_by).toBe(redaction.nid)
    expect(after.json).toEqual({ ...before.json, content: {} })
    const inContent = version === '11' || version === '12'
    expect(redaction.json).toMatchObject(inContent ? { content: { redacts: target } } : { redacts: target })
    expect(redaction.json.content.reason).toBe('oops')
    expect('redacts' in redaction.json).toBe(!inContent)
  })

  it('lets members redact their own events, and those with power everybody’s', async () => {
    const room = await publicRoom(version)
    await join(room, bob)
    const [hers, his, another] = [await say(room, alice, 'a'), await say(room, bob, 'b'), await say(room, bob, 'c')]
    expect(await room.rpc.redact({ sender: bob, eventId: eventId(hers) })).toMatchObject({
      ok: false,
      reason: 'event_not_allowed',
    })
    expect((await stored(room, hers)).json.content).toMatchObject({ body: 'a' })
    expect(await room.rpc.redact({ sender: bob, eventId: eventId(his) })).toMatchObject({ ok: true })
    expect((await stored(room, his)).json.content).toEqual({})
    expect(await room.rpc.redact({ sender: alice, eventId: eventId(another) })).toMatchObject({ ok: true })
    expect((await stored(room, another)).json.content).toEqual({})
  })

  it('takes the name out of a membership, but not the membership', async () => {
    const room = await publicRoom(version)
    const joined = await room.rpc.setMembership({
      sender: bob,
      target: bob,
      membership: 'join',
      profile: { displayname: 'rude' },
    })
    if (!joined.ok) throw new Error(joined.message)
    expect(await room.rpc.redact({ sender: alice, eventId: joined.event_id })).toMatchObject({ ok: true })
    expect(await stateContent(room, 'm.room.member', bob)).toEqual({ membership: 'join' })
    await say(room, bob, 'still here')
  })
})

it('is carried out once per transaction, and per event', async () => {
  const room = await makeRoom()
  const [one, two] = [eventId(await say(room, alice, '1')), eventId(await say(room, alice, '2'))]
  const from = { sender: alice, deviceId: 'PHONE', txnId: 'x' }
  const first = await room.rpc.redact({ ...from, eventId: one })
  expect(await room.rpc.redact({ ...from, eventId: one })).toEqual(first)
  const second = await room.rpc.redact({ ...from, eventId: two })
  expect(second).toMatchObject({ ok: true })
  expect(second).not.toEqual(first)
})

it('leaves the first redaction in place when there is a second', async () => {
  const room = await makeRoom()
  const target = eventId(await say(room, alice, '1'))
  await room.rpc.redact({ sender: alice, eventId: target })
  const before = await stored(room, target)
  expect(await room.rpc.redact({ sender: alice, eventId: target })).toMatchObject({ ok: true })
  expect(await stored(room, target)).toEqual(before)
})

describe('is refused', () => {
  it('to who is not in the room', async () => {
    const room = await publicRoom()
    const target = eventId(await say(room, alice, '1'))
    expect(await room.rpc.redact({ sender: bob, eventId: target })).toEqual({ ok: false, reason: 'not_in_room' })
    await join(room, bob)
    const his = eventId(await say(room, bob, '2'))
    await room.rpc.setMembership({ sender: alice, target: bob, membership: 'ban' })
    expect(await room.rpc.redact({ sender: bob, eventId: his })).toEqual({ ok: false, reason: 'not_in_room' })
  })

  it('for an event that is not there, to who may redact only their own', async () => {
    const room = await publicRoom()
    await join(room, bob)
    const nowhere = eventId(`$${'x'.repeat(43)}`)
    expect(await room.rpc.redact({ sender: bob, eventId: nowhere })).toEqual({ ok: false, reason: 'unknown_event' })
    expect(await room.rpc.redact({ sender: alice, eventId: nowhere })).toMatchObject({ ok: true })
  })

  it('for the create event and access control lists', async () => {
    const room = await makeRoom()
    const content = { allow: ['*'] }
    const acl = await room.rpc.sendEvent({ sender: alice, type: 'm.room.server_acl', stateKey: '', content })
    if (!acl.ok) throw new Error(acl.message)
    const [create] = await rows<{ event_id: string }>(room, 'SELECT event_id FROM events WHERE nid = 1')
    for (const id of [acl.event_id, eventId(create?.event_id ?? '')]) {
      const answer = await room.rpc.redact({ sender: alice, eventId: id })
      expect(answer).toMatchObject({ ok: false, reason: 'event_not_allowed' })
    }
  })
})

it('is forgotten by nobody: an evicted object reads the redacted form', async () => {
  const room = await makeRoom()
  const content = { name: 'rude' }
  const named = await room.rpc.sendEvent({ sender: alice, type: 'm.room.name', stateKey: '', content })
  if (!named.ok) throw new Error(named.message)
  await room.rpc.redact({ sender: alice, eventId: named.event_id })
  // What is in memory is redacted as well: the same name is a change now.
  const again = await room.rpc.sendEvent({ sender: alice, type: 'm.room.name', stateKey: '', content })
  expect(again).not.toEqual(named)
  await room.evict()
  expect((await stored(room, named.event_id)).json.content).toEqual({})
  expect(await stateContent(room, 'm.room.name')).toEqual(content)
})
