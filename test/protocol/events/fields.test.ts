import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  authorisingUserOf,
  historyVisibilityOf,
  isStateEvent,
  isThirdPartyInvite,
  joinRuleOf,
  membershipOf,
  roomVersionOf,
  thirdPartyInviteSigned,
} from '#protocol/events/fields.ts'
import { splitStateMapKey, stateMapKey } from '#protocol/events/state-map.ts'
import type { JsonObject } from '#protocol/json/json.ts'

const event = (type: string, content: JsonObject) => ({ type, content })

describe('fields of events', () => {
  it('are read from the event type that has them', () => {
    expect(membershipOf(event('m.room.member', { membership: 'join' }))).toBe('join')
    expect(membershipOf(event('m.room.message', { membership: 'join' }))).toBeUndefined()
    expect(joinRuleOf(event('m.room.join_rules', { join_rule: 'public' }))).toBe('public')
    expect(joinRuleOf(event('m.room.message', { join_rule: 'public' }))).toBeUndefined()
    expect(historyVisibilityOf(event('m.room.history_visibility', { history_visibility: 'shared' }))).toBe('shared')
    expect(historyVisibilityOf(event('x', { history_visibility: 'shared' }))).toBeUndefined()
  })

  it.each([undefined, null, 1, true, [], {}])('are undefined where they are %j', (odd) => {
    const content = odd === undefined ? {} : { membership: odd, join_rule: odd, history_visibility: odd }
    expect(membershipOf(event('m.room.member', content))).toBeUndefined()
    expect(joinRuleOf(event('m.room.join_rules', content))).toBeUndefined()
    expect(historyVisibilityOf(event('m.room.history_visibility', content))).toBeUndefined()
  })

  it('say which version a room has', () => {
    expect(roomVersionOf(event('m.room.create', { room_version: '12' }))).toBe('12')
    expect(roomVersionOf(event('m.room.create', {}))).toBe('1')
    for (const room_version of [12, null, {}]) {
      expect(roomVersionOf(event('m.room.create', { room_version }))).toBeUndefined()
    }
    expect(roomVersionOf(event('x', { room_version: '12' }))).toBeUndefined()
  })

  it('say who was invited by third-party identifier', () => {
    const signed = { mxid: '@a:b' }
    const invite = event('m.room.member', { membership: 'invite', third_party_invite: { signed } })
    expect(isThirdPartyInvite(invite)).toBe(true)
    expect(thirdPartyInviteSigned(invite)).toEqual(signed)
    expect(isThirdPartyInvite(event('m.room.member', { membership: 'join', third_party_invite: { signed } }))).toBe(
      false,
    )
    expect(isThirdPartyInvite(event('m.room.member', { membership: 'invite' }))).toBe(false)
    const odd = event('m.room.member', { membership: 'invite', third_party_invite: 'x' })
    expect(isThirdPartyInvite(odd)).toBe(true)
    expect(thirdPartyInviteSigned(odd)).toBeUndefined()
  })

  it('say who let a user into a restricted room', () => {
    const join = (user: string | number) => event('m.room.member', { join_authorised_via_users_server: user })
    expect(authorisingUserOf(join('@a:b'))).toBe('@a:b')
    expect(authorisingUserOf(join('a'))).toBeUndefined()
    expect(authorisingUserOf(join(1))).toBeUndefined()
  })

  it('tell state events from others', () => {
    expect(isStateEvent({ state_key: '' })).toBe(true)
    expect(isStateEvent({ state_key: undefined })).toBe(false)
  })
})

describe('keys of a state map', () => {
  it('hold both halves, whatever those are', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (type, stateKey) => {
        expect(splitStateMapKey(stateMapKey(type, stateKey))).toEqual([type, stateKey])
      }),
    )
  })

  it('differ where a half differs', () => {
    expect(stateMapKey('a', 'bc')).not.toBe(stateMapKey('ab', 'c'))
    expect(stateMapKey('1:a', '')).not.toBe(stateMapKey('1', ':a'))
  })
})
