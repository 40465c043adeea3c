/** What all memberships share, and the ways out of a room: leave, kick, unban, ban. */
import { describe, expect, it } from 'vitest'
import type { Pdu } from '#protocol/events/pdu.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { timeline } from '../../dsl/room-timeline.ts'
import type { RoomTimeline } from '../../dsl/room-timeline.ts'
import { alice, bob, carol, dave, eve, user } from '../../dsl/users.ts'
import { allowed, numbers, rejectedBy, since, versions } from './numbers.ts'

const admin = user('@admin:a.example')

describe.each(roomVersions)('m.room.member in version %s', (version) => {
  const rule = numbers[version]
  /** Alice made it; an admin has 100, Bob 50, Carol 0. */
  const newRoom = (powerLevels: JsonObject = {}): RoomTimeline => {
    const creator = since(version, 12) ? {} : { [alice]: 100 }
    return timeline(version).publicChat({
      creator: alice,
      members: [admin, bob, carol],
      powerLevels: { users: { ...creator, [admin]: 100, [bob]: 50 }, ...powerLevels },
    })
  }
  const member = (room: RoomTimeline, stateKey: string | undefined, content: JsonObject, sender: UserId): Pdu =>
    room.draft('m.room.member', stateKey, content, sender)
  const change = (room: RoomTimeline, sender: UserId, target: UserId, membership: string) =>
    room.judge(member(room, target, { membership }, sender))

  describe(`${rule.member}.1: has a user and a membership`, () => {
    const room = newRoom()
    it('which may be any user', () => {
      for (const target of [carol, dave, user('@:d.example'), user('@Old Style\u00e9!:d.example:8448')]) {
        expect(room.judge(member(room, target, { membership: 'ban' }, alice))).toEqual(allowed)
      }
    })

    it.each([undefined, '', 'dave', '@dave', '@dave:', '@dave:d example', '!dave:d.example', `${alice}\u0000`])(
      'and not %j',
      (stateKey) => {
        for (const membership of ['join', 'invite', 'leave', 'ban', 'knock']) {
          expect(room.judge(member(room, stateKey, { membership }, alice))).toEqual(rejectedBy(`${rule.member}.1`))
        }
      },
    )

    it.each([[{}], [{ membership: null }], [{ membership: 1 }], [{ membership: ['join'] }], [{ membership: {} }]])(
      'and not %j for a membership',
      (content) => {
        expect(room.judge(member(room, alice, content, alice))).toEqual(rejectedBy(`${rule.member}.1`))
      },
    )
  })

  it.each(['', 'JOIN', 'joined', 'kick', 'toString', '__proto__'])(
    `${rule.unknownMembership}: has no membership %j`,
    (membership) => {
      const room = newRoom()
      expect(change(room, alice, alice, membership)).toEqual(rejectedBy(rule.unknownMembership))
    },
  )

  describe(`${rule.leave}.1: leaving`, () => {
    it('is for those who are in, or are invited', () => {
      const room = newRoom().invite(alice, dave)
      for (const who of [alice, bob, carol, dave]) expect(change(room, who, who, 'leave')).toEqual(allowed)
    })

    it('is not for strangers, those who left and those who are banned', () => {
      const room = newRoom().leave(carol).ban(alice, bob)
      for (const who of [eve, carol, bob])
        expect(change(room, who, who, 'leave')).toEqual(rejectedBy(`${rule.leave}.1`))
    })

    it('needs no power, and power does not help', () => {
      const room = newRoom({ kick: 1000, users_default: -10 }).leave(admin)
      expect(change(room, carol, carol, 'leave')).toEqual(allowed)
      expect(change(room, admin, admin, 'leave')).toEqual(rejectedBy(`${rule.leave}.1`))
    })
  })

  describe(`${rule.leave}.2: kicking`, () => {
    it('is for members', () => {
      const room = newRoom().leave(bob)
      expect(change(room, alice, carol, 'leave')).toEqual(allowed)
      expect(change(room, bob, carol, 'leave')).toEqual(rejectedBy(`${rule.leave}.2`))
      expect(change(room, eve, carol, 'leave')).toEqual(rejectedBy(`${rule.leave}.2`))
    })
  })

  describe(`${rule.leave}.3: unbanning`, () => {
    const banned = (powerLevels: JsonObject) => newRoom(powerLevels).ban(alice, dave)

    it('takes the ban level', () => {
      expect(change(banned({}), bob, dave, 'leave')).toEqual(allowed)
      expect(change(banned({ ban: 51 }), bob, dave, 'leave')).toEqual(rejectedBy(`${rule.leave}.3`))
      expect(change(banned({ ban: 1, kick: 0 }), carol, dave, 'leave')).toEqual(rejectedBy(`${rule.leave}.3`))
    })

    it('takes the kick level as well', () => {
      expect(change(banned({ ban: 0 }), carol, dave, 'leave')).toEqual(rejectedBy(`${rule.leave}.5`))
      expect(change(banned({ kick: 51 }), bob, dave, 'leave')).toEqual(rejectedBy(`${rule.leave}.5`))
    })
  })

  describe(`${rule.leave}.4: kicking takes`, () => {
    it('the kick level, which is 50 by default', () => {
      expect(change(newRoom(), bob, carol, 'leave')).toEqual(allowed)
      expect(change(newRoom({ kick: 51 }), bob, carol, 'leave')).toEqual(rejectedBy(`${rule.leave}.5`))
      expect(change(newRoom(), carol, dave, 'leave')).toEqual(rejectedBy(`${rule.leave}.5`))
    })

    it('more than the target has', () => {
      expect(change(newRoom(), admin, bob, 'leave')).toEqual(allowed)
      expect(change(newRoom({ kick: 0 }), carol, dave, 'leave')).toEqual(rejectedBy(`${rule.leave}.5`))
      expect(change(newRoom(), bob, admin, 'leave')).toEqual(rejectedBy(`${rule.leave}.5`))
      expect(change(newRoom({ kick: 0 }), bob, admin, 'leave')).toEqual(rejectedBy(`${rule.leave}.5`))
    })

    it('nothing of the target, who may be invited, gone or a stranger', () => {
      const room = newRoom().invite(alice, dave).leave(carol)
      for (const target of [dave, carol, eve]) expect(change(room, bob, target, 'leave')).toEqual(allowed)
    })
  })

  describe(`${rule.ban}: banning`, () => {
    it(`${rule.ban}.1: is for members`, () => {
      const room = newRoom().leave(bob)
      expect(change(room, alice, carol, 'ban')).toEqual(allowed)
      expect(change(room, bob, carol, 'ban')).toEqual(rejectedBy(`${rule.ban}.1`))
      expect(change(room, eve, carol, 'ban')).toEqual(rejectedBy(`${rule.ban}.1`))
    })

    it(`${rule.ban}.2: takes the ban level, which is 50 by default`, () => {
      expect(change(newRoom(), bob, carol, 'ban')).toEqual(allowed)
      expect(change(newRoom({ ban: 51 }), bob, carol, 'ban')).toEqual(rejectedBy(`${rule.ban}.3`))
      expect(change(newRoom(), carol, dave, 'ban')).toEqual(rejectedBy(`${rule.ban}.3`))
      // Kicking is another matter.
      expect(change(newRoom({ kick: 1000 }), bob, carol, 'ban')).toEqual(allowed)
    })

    it(`${rule.ban}.2: takes more than the target has`, () => {
      expect(change(newRoom(), admin, bob, 'ban')).toEqual(allowed)
      expect(change(newRoom(), bob, bob, 'ban')).toEqual(rejectedBy(`${rule.ban}.3`))
      expect(change(newRoom({ ban: 0 }), carol, dave, 'ban')).toEqual(rejectedBy(`${rule.ban}.3`))
      expect(change(newRoom(), bob, admin, 'ban')).toEqual(rejectedBy(`${rule.ban}.3`))
    })

    it('is for anybody: members, invited, strangers, the banned', () => {
      const room = newRoom().invite(alice, dave).ban(alice, eve)
      for (const target of [carol, dave, eve, user('@new:n.example')]) {
        expect(change(room, bob, target, 'ban')).toEqual(allowed)
      }
    })
  })
})

describe.each(versions(1, 11))('the creator of a room of version %s', (version) => {
  it('is a user with level 100, and can be banned', () => {
    const room = timeline(version).publicChat({
      creator: alice,
      members: [admin],
      powerLevels: { users: { [alice]: 100, [admin]: 100 } },
    })
    expect(room.ban(admin, alice).last.rejected).toBe(true)
    room.setPowerLevels(alice, { users: { [alice]: 99, [admin]: 100 } })
    expect(room.ban(admin, alice).last.verdict).toEqual(allowed)
  })
})

describe.each(versions(12, 12))('the creators of a room of version %s', (version) => {
  const room = timeline(version).publicChat({
    creator: alice,
    createContent: { additional_creators: [bob] },
    members: [bob, admin, carol],
    powerLevels: { users: { [admin]: Number.MAX_SAFE_INTEGER } },
  })
  const change = (sender: UserId, target: UserId, membership: string) =>
    room.judge(room.draft('m.room.member', target, { membership }, sender))

  it('outrank everybody', () => {
    for (const creator of [alice, bob]) {
      expect(change(creator, admin, 'ban')).toEqual(allowed)
      expect(change(creator, admin, 'leave')).toEqual(allowed)
      expect(change(admin, creator, 'ban')).toEqual(rejectedBy('5.6.3'))
      expect(change(admin, creator, 'leave')).toEqual(rejectedBy('5.5.5'))
    }
  })

  it('do not outrank each other', () => {
    expect(change(alice, bob, 'ban')).toEqual(rejectedBy('5.6.3'))
    expect(change(bob, alice, 'leave')).toEqual(rejectedBy('5.5.5'))
  })
})

describe.each(versions(7, 12))('a knock in version %s', (version) => {
  const rule = numbers[version]

  it(`${rule.leave}.1: can be taken back`, () => {
    const room = timeline(version)
      .publicChat({ creator: alice, moderator: bob })
      .setJoinRule(alice, 'knock')
      .knock(dave)
    expect(room.leave(dave).last.verdict).toEqual(allowed)
  })

  it(`${rule.leave}.4: can be turned down`, () => {
    const room = timeline(version)
      .publicChat({ creator: alice, moderator: bob })
      .setJoinRule(alice, 'knock')
      .knock(dave)
    expect(room.kick(bob, dave).last.verdict).toEqual(allowed)
  })

  it(`${rule.knock}.1: needs the join rule`, () => {
    for (const joinRule of ['public', 'invite', 'private', 'restricted', 'KNOCK', '']) {
      const room = timeline(version).publicChat({ creator: alice }).setJoinRule(alice, joinRule)
      expect(room.knock(dave).last.verdict).toEqual(rejectedBy(`${rule.knock}.1`))
    }
    expect(timeline(version).create(alice).join(alice).knock(dave).last.verdict).toEqual(rejectedBy(`${rule.knock}.1`))
    const room = timeline(version)
      .publicChat({ creator: alice })
      .send('m.room.join_rules', '', { join_rule: ['knock'] }, alice)
    expect(room.knock(dave).last.verdict).toEqual(rejectedBy(`${rule.knock}.1`))
  })

  it(`${rule.knock}.1: is also answered where knock and restricted are combined, since version 10`, () => {
    const room = timeline(version).publicChat({ creator: alice }).setJoinRule(alice, 'knock_restricted')
    expect(room.knock(dave).last.verdict).toEqual(since(version, 10) ? allowed : rejectedBy(`${rule.knock}.1`))
  })

  const knocking = () => timeline(version).publicChat({ creator: alice, moderator: bob }).setJoinRule(alice, 'knock')

  it(`${rule.knock}.2: is one's own`, () => {
    const room = knocking()
    expect(room.membership(bob, dave, 'knock').last.verdict).toEqual(rejectedBy(`${rule.knock}.2`))
    expect(room.membership(eve, dave, 'knock').last.verdict).toEqual(rejectedBy(`${rule.knock}.2`))
  })

  it(`${rule.knock}.3: is for strangers, those who left, and those who knocked before`, () => {
    const room = knocking().leave(bob).knock(dave)
    expect(room.last.verdict).toEqual(allowed)
    expect(room.knock(dave).last.verdict).toEqual(allowed)
    expect(room.knock(bob).last.verdict).toEqual(allowed)
  })

  it(`${rule.knock}.4: is not for members, the invited and the banned`, () => {
    const room = knocking().invite(alice, dave).ban(alice, eve)
    for (const who of [bob, dave, eve]) expect(room.knock(who).last.verdict).toEqual(rejectedBy(`${rule.knock}.4`))
  })
})

describe.each(versions(1, 6))('a knock in version %s', (version) => {
  it(`${numbers[version].unknownMembership}: is unknown`, () => {
    const room = timeline(version).publicChat({ creator: alice }).setJoinRule(alice, 'knock')
    expect(room.knock(dave).last.verdict).toEqual(rejectedBy(numbers[version].unknownMembership))
  })
})

describe.each(versions(8, 12))('join_authorised_via_users_server in version %s', (version) => {
  const rule = numbers[version].member
  const room = timeline(version).publicChat({ creator: alice, moderator: bob })
  const signedByBoth = room.draft(
    'm.room.member',
    dave,
    { membership: 'join', join_authorised_via_users_server: bob },
    dave,
  )

  it(`${rule}.2.1: has the signature of that user's server`, () => {
    expect(room.judge(signedByBoth)).toEqual(allowed)
    const onlyOwn = { ...signedByBoth.json, signatures: { 'd.example': { 'ed25519:1': 'x' } } }
    expect(room.judge({ ...signedByBoth, json: onlyOwn })).toEqual(rejectedBy(`${rule}.2.1`))
  })

  it(`${rule}.2.1: has it under a key that can be checked`, () => {
    for (const ofBob of [{}, { 'rsa:1': 'x' }, { ed25519: 'x' }]) {
      const json = { ...signedByBoth.json, signatures: { 'd.example': { 'ed25519:1': 'x' }, 'b.example': ofBob } }
      expect(room.judge({ ...signedByBoth, json })).toEqual(rejectedBy(`${rule}.2.1`))
    }
  })

  it.each([null, 1, '', 'bob', '@bob', [bob], { user: bob }])(`${rule}.2.1: is not %j, in any membership`, (value) => {
    for (const membership of ['join', 'invite', 'leave', 'ban', 'knock', 'unknown']) {
      const pdu = room.draft('m.room.member', bob, { membership, join_authorised_via_users_server: value }, bob)
      expect(room.judge(pdu)).toEqual(rejectedBy(`${rule}.2.1`))
    }
  })
})

describe.each(versions(1, 7))('join_authorised_via_users_server in version %s', (version) => {
  it('means nothing', () => {
    const room = timeline(version).publicChat({ creator: alice })
    for (const value of [null, 1, 'bob', bob]) {
      const content = { membership: 'join', join_authorised_via_users_server: value }
      expect(room.judge(room.draft('m.room.member', dave, content, dave))).toEqual(allowed)
    }
  })
})
