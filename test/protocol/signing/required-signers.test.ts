import { describe, expect, it } from 'vitest'
import { parsePdu } from '#protocol/events/event-format.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'
import { requiredSigners } from '#protocol/signing/event-signatures.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { rulesFor } from './synapse-cases.ts'

function signersOf(version: RoomVersion, type: string, content: JsonObject, eventServer = 'sender.example'): string[] {
  const rules = rulesFor(version)
  const result = parsePdu(
    rules,
    {
      type,
      room_id: version === '12' ? `!${'h'.repeat(43)}` : '!r:a',
      sender: '@alice:sender.example',
      state_key: '@bob:target.example',
      content,
      depth: 1,
      origin_server_ts: 1,
      hashes: { sha256: '' },
      signatures: {},
      prev_events: [],
      auth_events: [],
      ...(Number(version) <= 2 ? { event_id: `$e:${eventServer}` } : {}),
    },
    nodeCrypto,
  )
  if (!result.ok) throw new Error(result.message)
  return requiredSigners(rules, result.pdu)
}

describe.each(roomVersions)('an event of room version %s must be signed', (version) => {
  const isOld = Number(version) <= 2

  it('by the server of its sender', () => {
    expect(signersOf(version, 'm.room.topic', {})).toEqual(['sender.example'])
    expect(signersOf(version, 'm.room.member', { membership: 'invite' })).toEqual(['sender.example'])
  })

  it('by the server in its event ID, if there is one', () => {
    expect(signersOf(version, 'm.room.topic', {}, 'other.example:8448')).toEqual(
      isOld ? ['sender.example', 'other.example:8448'] : ['sender.example'],
    )
  })

  it('not by the server of an inviter who knew a third-party identifier only', () => {
    const invite = { membership: 'invite', third_party_invite: { signed: {} } }
    expect(signersOf(version, 'm.room.member', invite, 'other.example')).toEqual(isOld ? ['other.example'] : [])
    // Nobody escapes by carrying the field elsewhere.
    expect(signersOf(version, 'm.room.member', { ...invite, membership: 'join' })).toEqual(['sender.example'])
    expect(signersOf(version, 'm.room.topic', invite)).toEqual(['sender.example'])
  })

  it('by the server that let a user into a restricted room, from v8 on', () => {
    const via = (user: string | number) => ({ membership: 'join', join_authorised_via_users_server: user })
    const both = Number(version) >= 8 ? ['sender.example', 'resident.example'] : ['sender.example']
    expect(signersOf(version, 'm.room.member', via('@carol:resident.example'))).toEqual(both)
    expect(signersOf(version, 'm.room.member', { ...via('@carol:resident.example'), membership: 'leave' })).toEqual(
      both,
    )
    expect(signersOf(version, 'm.room.member', via('@carol:sender.example'))).toEqual(['sender.example'])
    expect(signersOf(version, 'm.room.member', via('nobody'))).toEqual(['sender.example'])
    expect(signersOf(version, 'm.room.member', via(1))).toEqual(['sender.example'])
    expect(signersOf(version, 'm.room.message', via('@carol:resident.example'))).toEqual(['sender.example'])
  })
})
