/**
 * A server whose users build on one event again and again, each time with another state after it: the ends of the room are
 * bounded, and what others said stays in sight. Security case 9.
 */
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { env } from 'cloudflare:workers'
import { expect, it } from 'vitest'

import { maxExtremities } from '../../../durable-objects/room/extremities.ts'
import { receivePdu } from '../../../durable-objects/room/federation/receive-pdu.ts'
import type { Room } from '../../../durable-objects/room/room.ts'
import { sendEvent } from '../../../durable-objects/room/send-event.ts'
import type { StoredEvent } from '../../../durable-objects/room/stored-event.ts'
import { serverIdentity } from '../../../worker/server-identity.ts'
import { build, receive, type Remote } from '../room/remote-events.ts'
import { alice, makeRoom, mallory, user, withRoom } from '../room/rooms.ts'

const endsOf = (room: Room) => room.reader.events(room.reader.header().extremities)
const joined = (who: UserId, more = {}) => ({
  type: 'm.room.member',
  stateKey: who,
  sender: who,
  content: { membership: 'join', ...more },
})
const arrive = (room: Room, event: Remote) => {
  const pdu = build(room, event)
  const received = room.transactor.turn(() => ({ ok: true, received: receivePdu(room, pdu) })).received
  const stored = room.reader.eventById(pdu.event_id)
  if (!stored || received.kind !== 'stored') throw new Error(received.kind)
  return { stored, outcome: received.outcome }
}
const sentBy = (room: Room, prefix: string): StoredEvent[] =>
  endsOf(room).filter(({ sender }) => sender.startsWith(prefix))

it('ends that one server makes without end put out none that others made, and our next event builds on those', async () => {
  const identity = await serverIdentity(env)
  const room = await makeRoom('11', { preset: 'public_chat' })
  await withRoom(room, (opened) => {
    const honest = user('@honest:good.test')
    receive(opened, { ...joined(mallory), prev: endsOf(opened) })
    const fork = receive(opened, { ...joined(honest), prev: endsOf(opened) })
    // Two ends: one of ours, one of the honest server.
    const request = { sender: alice, type: 'm.room.topic', stateKey: '', content: { topic: 'ours' } } as const
    const ours = sendEvent(opened, identity, request, Date.now())
    expect(ours).toMatchObject({ ok: true })
    const theirs = receive(opened, { ...joined(honest, { displayname: 'Honest' }), prev: [fork] })
    expect(endsOf(opened)).toHaveLength(2)
    for (let n = 0; n < maxExtremities + 40; n++) {
      const { outcome } = arrive(opened, { ...joined(mallory, { displayname: `n${n}` }), prev: [fork] })
      expect(outcome).toBe('accepted')
      expect(endsOf(opened).length).toBeLessThanOrEqual(maxExtremities)
    }
    expect(endsOf(opened)).toHaveLength(maxExtremities)
    expect(sentBy(opened, '@honest').map(({ event_id }) => event_id)).toEqual([theirs.event_id])
    expect(sentBy(opened, '@alice')).toHaveLength(1)
    expect(opened.reader.current('m.room.topic', '')?.pdu.content).toEqual({ topic: 'ours' })
    const said = sendEvent(
      opened,
      identity,
      { sender: alice, type: 'm.room.message', content: { body: 'hm' } },
      Date.now(),
    )
    if (!said.ok) throw new Error(said.message)
    const prevs = opened.reader.eventById(said.event_id)?.pdu.prev_events ?? []
    expect(prevs).toHaveLength(20)
    expect(prevs).toContain(theirs.event_id)
    expect(endsOf(opened)).toHaveLength(maxExtremities - 19)
    expect(opened.reader.current('m.room.topic', '')?.pdu.content).toEqual({ topic: 'ours' })
  })
})
