import { describe, expect, it } from 'vitest'
import { checkAuthRules } from '#protocol/event-auth/check-auth-rules.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { isObject, own } from '#protocol/json/json.ts'
import type { JsonObject, JsonValue } from '#protocol/json/json.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { encodeBase64Unpadded, encodeBase64UrlUnpadded } from '#protocol/signing/base64.ts'
import { signJson } from '#protocol/signing/sign-json.ts'
import { crypto, keyOf, timeline } from '../../dsl/room-timeline.ts'
import { alice, bob, carol, dave, eve } from '../../dsl/users.ts'
import { allowed, numbers, rejectedBy, since, versions } from './numbers.ts'

describe.each(roomVersions)('inviting in version %s', (version) => {
  const { invite } = numbers[version]
  const newRoom = (powerLevels: JsonObject = {}) =>
    timeline(version).publicChat({ creator: alice, moderator: bob, members: [carol], powerLevels })

  it(`${invite}.2: is for members`, () => {
    const room = newRoom().leave(bob)
    expect(room.invite(carol, dave).last.verdict).toEqual(allowed)
    expect(room.invite(bob, eve).last.verdict).toEqual(rejectedBy(`${invite}.2`))
    expect(room.invite(eve, eve).last.verdict).toEqual(rejectedBy(`${invite}.2`))
    // To be invited is not to be in.
    expect(room.invite(dave, eve).last.verdict).toEqual(rejectedBy(`${invite}.2`))
  })

  it(`${invite}.3: is for those who are neither in nor banned`, () => {
    const room = newRoom().ban(alice, eve).leave(carol)
    expect(room.invite(alice, carol).last.verdict).toEqual(allowed)
    expect(room.invite(alice, carol).last.verdict).toEqual(allowed)
    expect(room.invite(alice, dave).last.verdict).toEqual(allowed)
    expect(room.invite(alice, bob).last.verdict).toEqual(rejectedBy(`${invite}.3`))
    expect(room.invite(alice, alice).last.verdict).toEqual(rejectedBy(`${invite}.3`))
    expect(room.invite(alice, eve).last.verdict).toEqual(rejectedBy(`${invite}.3`))
  })

  it(`${invite}.4: takes the invite level, which is 0 by default`, () => {
    expect(newRoom().invite(carol, dave).last.verdict).toEqual(allowed)
    expect(newRoom({ invite: 50 }).invite(bob, dave).last.verdict).toEqual(allowed)
    expect(newRoom({ invite: 50 }).invite(carol, dave).last.verdict).toEqual(rejectedBy(`${invite}.5`))
    expect(newRoom({ users_default: -1 }).invite(carol, dave).last.verdict).toEqual(rejectedBy(`${invite}.5`))
    // The level of m.room.member in events has no say.
    expect(newRoom({ events: { 'm.room.member': 100 } }).invite(carol, dave).last.verdict).toEqual(allowed)
  })
})

describe.each(versions(7, 12))('an invite in version %s', (version) => {
  it('answers a knock', () => {
    const room = timeline(version)
      .publicChat({ creator: alice, moderator: bob })
      .setJoinRule(alice, 'knock')
      .knock(dave)
    expect(room.invite(bob, dave).last.verdict).toEqual(allowed)
  })
})

/** An identity server that vouches for users. */
const identityServer = keyOf('identity.example')
const ephemeralKey = keyOf('an ephemeral key')
const strangersKey = keyOf('a stranger')
const publicKey = encodeBase64Unpadded(identityServer.publicKey)

function vouchedFor(user: UserId, token = 'token', key = identityServer): JsonObject {
  return signJson({ mxid: user, token }, 'identity.example', key, crypto)
}

function without(object: JsonObject, key: string): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => name !== key))
}

describe.each(roomVersions)('an invite by third-party identifier in version %s', (version) => {
  const rule = `${numbers[version].invite}.1`
  /** Carol has invited whoever proves to be that person. */
  const newRoom = (content: JsonObject = { public_key: publicKey }) =>
    timeline(version)
      .publicChat({ creator: alice, moderator: bob, members: [carol] })
      .send('m.room.third_party_invite', 'token', { display_name: 'd...', ...content }, carol)
  const judge = (third_party_invite: JsonValue, room = newRoom(), target = dave, sender = carol) =>
    room.judge(room.draft('m.room.member', target, { membership: 'invite', third_party_invite }, sender))

  it('is bound to a user by the identity server', () => {
    expect(judge({ signed: vouchedFor(dave) })).toEqual(allowed)
  })

  it(`${rule}.1: is not for the banned`, () => {
    expect(judge({ signed: vouchedFor(dave) }, newRoom().ban(alice, dave))).toEqual(rejectedBy(`${rule}.1`))
  })

  it('does not ask whether the inviter is still there, nor for power', () => {
    expect(judge({ signed: vouchedFor(dave) }, newRoom().leave(carol))).toEqual(allowed)
    const strict = newRoom().setPowerLevels(alice, {
      users: since(version, 12) ? {} : { [alice]: 100 },
      invite: 100,
    })
    expect(strict.last.verdict).toEqual(allowed)
    expect(judge({ signed: vouchedFor(dave) }, strict)).toEqual(allowed)
  })

  it.each([null, 1, 'x', [], {}, { signed: null }, { signed: 'x' }, { signed: [] }, { display_name: 'd' }])(
    `${rule}.2: is signed, not %j`,
    (invite) => {
      expect(judge(invite)).toEqual(rejectedBy(`${rule}.2`))
    },
  )

  it.each(['mxid', 'token'])(`${rule}.3: names its %s`, (key) => {
    expect(judge({ signed: without(vouchedFor(dave), key) })).toEqual(rejectedBy(`${rule}.3`))
    for (const value of [null, 1, [dave], {}]) {
      expect(judge({ signed: { ...vouchedFor(dave), [key]: value } })).toEqual(rejectedBy(`${rule}.3`))
    }
  })

  it(`${rule}.4: is for the user it names`, () => {
    expect(judge({ signed: vouchedFor(eve) })).toEqual(rejectedBy(`${rule}.4`))
    expect(judge({ signed: vouchedFor(dave) }, newRoom(), eve)).toEqual(rejectedBy(`${rule}.4`))
  })

  it(`${rule}.5: has an invite in the state with its token`, () => {
    expect(judge({ signed: vouchedFor(dave, 'other') })).toEqual(rejectedBy(`${rule}.5`))
    expect(judge({ signed: vouchedFor(dave, '') })).toEqual(rejectedBy(`${rule}.5`))
  })

  it(`${rule}.6: comes from who sent that invite`, () => {
    expect(judge({ signed: vouchedFor(dave) }, newRoom(), dave, alice)).toEqual(rejectedBy(`${rule}.6`))
    expect(judge({ signed: vouchedFor(dave) }, newRoom(), dave, dave)).toEqual(rejectedBy(`${rule}.6`))
  })

  describe(`${rule}.7: is signed with a key of the invite`, () => {
    it.each([
      { public_key: publicKey },
      { public_key: encodeBase64UrlUnpadded(identityServer.publicKey) },
      { public_key: `${publicKey}=` },
      { public_keys: [{ public_key: publicKey }] },
      { public_key: 'not a key', public_keys: [null, 'x', {}, { public_key: 7 }, { public_key: publicKey }] },
      {
        public_key: encodeBase64Unpadded(strangersKey.publicKey),
        public_keys: [{ public_key: publicKey, key_validity_url: 'https://identity.example/valid' }],
      },
    ])('which stands in %j', (content) => {
      expect(judge({ signed: vouchedFor(dave) }, newRoom(content))).toEqual(allowed)
    })

    it('by any of its signatures', () => {
      const twice = signJson(vouchedFor(dave, 'token', strangersKey), 'other.example', identityServer, crypto)
      expect(judge({ signed: twice })).toEqual(allowed)
      const ephemeral = newRoom({
        public_key: publicKey,
        public_keys: [{ public_key: encodeBase64Unpadded(ephemeralKey.publicKey) }],
      })
      expect(judge({ signed: vouchedFor(dave, 'token', ephemeralKey) }, ephemeral)).toEqual(allowed)
    })

    it('whatever else the signed object holds', () => {
      const signed = signJson({ mxid: dave, token: 'token', sender: carol }, 'identity.example', identityServer, crypto)
      expect(judge({ display_name: 'd', signed })).toEqual(allowed)
    })
  })

  describe(`${rule}.8: is nothing else`, () => {
    const signed = vouchedFor(dave)
    const signatures = (value: JsonValue) => judge({ signed: { ...signed, signatures: value } })

    it('not signed with another key', () => {
      expect(judge({ signed: vouchedFor(dave, 'token', strangersKey) })).toEqual(rejectedBy(`${rule}.8`))
    })

    it('not changed after it was signed', () => {
      expect(judge({ signed: { ...signed, extra: 1 } })).toEqual(rejectedBy(`${rule}.8`))
      const forEve = { ...vouchedFor(eve), mxid: dave }
      expect(judge({ signed: forEve })).toEqual(rejectedBy(`${rule}.8`))
    })

    it.each([null, 1, 'x', [], {}, { 'identity.example': null }, { 'identity.example': { 'ed25519:1': 1 } }])(
      'not signed by %j',
      (value) => {
        expect(signatures(value)).toEqual(rejectedBy(`${rule}.8`))
      },
    )

    it('not signed by nobody', () => {
      expect(judge({ signed: without(signed, 'signatures') })).toEqual(rejectedBy(`${rule}.8`))
    })

    it('not signed with an algorithm that is not known', () => {
      const all = own(signed, 'signatures')
      const ofServer = isObject(all) ? own(all, 'identity.example') : undefined
      const signature = isObject(ofServer) ? own(ofServer, 'ed25519:1') : undefined
      expect(signatures({ 'identity.example': { 'ed25519:1': signature } })).toEqual(allowed)
      expect(signatures({ 'identity.example': { 'rsa:1': signature } })).toEqual(rejectedBy(`${rule}.8`))
    })

    it.each([
      {},
      { public_key: null },
      { public_key: publicKey.slice(1) },
      { public_key: '' },
      { public_keys: publicKey },
      { public_keys: { public_key: publicKey } },
      { public_keys: [publicKey] },
      { key: publicKey },
    ])('not where the invite has no key but %j', (content) => {
      expect(judge({ signed }, newRoom(content))).toEqual(rejectedBy(`${rule}.8`))
    })

    it('not tried with every key for every signature, when there are hundreds of both', () => {
      let tries = 0
      const counting = { ...crypto, verify: () => ((tries += 1), false) }
      const keys = Array.from({ length: 200 }, (_, index) => ({
        public_key: encodeBase64Unpadded(keyOf(`${index}`).publicKey),
      }))
      const many = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`ed25519:${index}`, 'A'.repeat(86)]))
      const room = newRoom({ public_keys: keys })
      const third_party_invite = { signed: { ...signed, signatures: { 'identity.example': many } } }
      const pdu = room.draft('m.room.member', dave, { membership: 'invite', third_party_invite }, carol)
      expect(checkAuthRules(room.rules, pdu, room.stateLookup, counting)).toEqual(rejectedBy(`${rule}.8`))
      expect(tries).toBeLessThanOrEqual(64)
    })
  })
})
