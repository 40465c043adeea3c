import { describe, expect, it } from 'vitest'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { timeline } from '../../dsl/room-timeline.ts'
import type { RoomTimeline } from '../../dsl/room-timeline.ts'
import { alice, anna, bob, carol, dave, eve } from '../../dsl/users.ts'
import { allowed, numbers, rejectedBy, since, versions } from './numbers.ts'

function judgeJoin(room: RoomTimeline, user: UserId, content: JsonObject = {}) {
  return room.judge(room.draft('m.room.member', user, { ...content, membership: 'join' }, user))
}

describe.each(roomVersions)('joining a room of version %s', (version) => {
  const { join } = numbers[version]
  const otherwise = since(version, 8) ? `${join}.7` : `${join}.6`
  const room = (joinRule: string) =>
    timeline(version).publicChat({ creator: alice, moderator: bob }).setJoinRule(alice, joinRule)

  describe(`${join}.1: the first`, () => {
    const empty = () => timeline(version).create(alice)

    it('to join is the creator', () => {
      expect(judgeJoin(empty(), alice)).toEqual(allowed)
    })

    it('is nobody else', () => {
      expect(judgeJoin(empty(), anna)).toEqual(rejectedBy(otherwise))
      expect(judgeJoin(empty(), bob)).toEqual(rejectedBy(otherwise))
    })

    it('is so only directly after the create event', () => {
      const left = empty().join(alice).leave(alice)
      expect(judgeJoin(left, alice)).toEqual(rejectedBy(otherwise))
      const create = left.current('m.room.create').event_id
      const beside = left.draft('m.room.member', alice, { membership: 'join' }, alice, {
        prevEvents: [create, left.lastId],
      })
      expect(left.judge(beside)).toEqual(rejectedBy(otherwise))
      const instead = left.draft('m.room.member', alice, { membership: 'join' }, alice, { prevEvents: [left.lastId] })
      expect(left.judge(instead)).toEqual(rejectedBy(otherwise))
    })
  })

  it(`${join}.2: is one's own`, () => {
    const open = room('public')
    expect(judgeJoin(open, dave)).toEqual(allowed)
    expect(open.membership(alice, dave, 'join').last.verdict).toEqual(rejectedBy(`${join}.2`))
    expect(open.invite(alice, dave).membership(alice, dave, 'join').last.verdict).toEqual(rejectedBy(`${join}.2`))
  })

  it(`${join}.3: is not for the banned`, () => {
    for (const joinRule of ['public', 'invite', 'knock', 'restricted']) {
      expect(judgeJoin(room(joinRule).ban(alice, dave), dave)).toEqual(rejectedBy(`${join}.3`))
    }
    expect(judgeJoin(room('public').ban(alice, dave).unban(alice, dave), dave)).toEqual(allowed)
  })

  it.each(['invite', 'knock'])(`${join}.4: takes an invite where the join rule is %s`, (joinRule) => {
    const closed = room(joinRule).invite(alice, carol)
    const known = joinRule === 'invite' || since(version, 7)
    expect(judgeJoin(closed, carol)).toEqual(known ? allowed : rejectedBy(otherwise))
    // Who is in may change their name.
    expect(judgeJoin(closed, bob)).toEqual(known ? allowed : rejectedBy(otherwise))
    expect(judgeJoin(closed, eve)).toEqual(rejectedBy(otherwise))
    expect(judgeJoin(closed.leave(bob), bob)).toEqual(rejectedBy(otherwise))
    expect(judgeJoin(closed.knock(dave), dave)).toEqual(rejectedBy(otherwise))
  })

  it(`${since(version, 8) ? `${join}.6` : `${join}.5`}: takes nothing where the join rule is public`, () => {
    const open = room('public').invite(alice, carol).leave(bob)
    for (const who of [alice, bob, carol, eve]) expect(judgeJoin(open, who)).toEqual(allowed)
  })

  it.each(['private', 'PUBLIC', '', 'toString', 'org.example.rule'])(
    `${otherwise}: is for nobody where the join rule is %j, not even for those inside`,
    (joinRule) => {
      const odd = room(joinRule).invite(alice, carol)
      for (const who of [bob, carol, eve]) expect(judgeJoin(odd, who)).toEqual(rejectedBy(otherwise))
    },
  )

  it.each([[{}], [{ join_rule: null }], [{ join_rule: 1 }], [{ join_rule: ['public'] }], [{ join_rule: {} }]])(
    `${otherwise}: is for nobody where the join rules say %j`,
    (content) => {
      const odd = room('public').send('m.room.join_rules', '', content, alice).invite(alice, carol)
      for (const who of [bob, carol, eve]) expect(judgeJoin(odd, who)).toEqual(rejectedBy(otherwise))
    },
  )

  it('takes an invite where nobody has set a join rule', () => {
    const bare = timeline(version).create(alice).join(alice).invite(alice, carol)
    expect(judgeJoin(bare, carol)).toEqual(allowed)
    expect(judgeJoin(bare, eve)).toEqual(rejectedBy(otherwise))
  })
})

describe.each(versions(1, 10))('the creator in version %s', (version) => {
  it('is whom the content names, not who sent the create event', () => {
    const room = timeline(version).create(alice, { creator: bob })
    expect(judgeJoin(room, bob)).toEqual(allowed)
    expect(judgeJoin(room, alice)).toMatchObject({ ok: false })
  })

  it.each([1, null, [alice]])('may be nobody, as with %j', (creator) => {
    const room = timeline(version).create(alice, { creator })
    expect(judgeJoin(room, alice)).toMatchObject({ ok: false })
  })
})

describe.each(versions(11, 12))('the creator in version %s', (version) => {
  it('is who sent the create event, whomever the content names', () => {
    const room = timeline(version).create(alice, { creator: bob })
    expect(judgeJoin(room, alice)).toEqual(allowed)
    expect(judgeJoin(room, bob)).toMatchObject({ ok: false })
  })
})

describe.each(versions(12, 12))('an additional creator in version %s', (version) => {
  it('is invited like everybody', () => {
    const room = timeline(version).create(alice, { additional_creators: [bob] })
    expect(judgeJoin(room, bob)).toEqual(rejectedBy('5.3.7'))
    expect(judgeJoin(room.join(alice).invite(alice, bob), bob)).toEqual(allowed)
  })
})

const combined = (version: number) => (version >= 10 ? ['restricted', 'knock_restricted'] : ['restricted'])
const restrictedCases = versions(8, 12).flatMap((version) =>
  combined(Number(version)).map((joinRule) => ({ version, joinRule })),
)

describe.each(restrictedCases)(
  'joining by leave of a member in version $version, $joinRule',
  ({ version, joinRule }) => {
    const { join } = numbers[version]
    const room = (powerLevels: JsonObject = {}) =>
      timeline(version)
        .publicChat({ creator: alice, moderator: bob, members: [carol], powerLevels })
        .setJoinRule(alice, joinRule)
    const by = (authoriser: UserId) => ({ join_authorised_via_users_server: authoriser })

    it(`${join}.5.1: is not needed by the invited and by members`, () => {
      const closed = room({ invite: 100 }).invite(alice, dave)
      expect(judgeJoin(closed, dave)).toEqual(allowed)
      expect(judgeJoin(closed, bob)).toEqual(allowed)
      // Nor does it matter then whom they name.
      expect(judgeJoin(closed, dave, by(carol))).toEqual(allowed)
    })

    it(`${join}.5.2: is needed by all others`, () => {
      expect(judgeJoin(room(), dave)).toEqual(rejectedBy(`${join}.5.2`))
      expect(judgeJoin(room().leave(bob), bob)).toEqual(rejectedBy(`${join}.5.2`))
      if (joinRule === 'knock_restricted')
        expect(judgeJoin(room().knock(dave), dave)).toEqual(rejectedBy(`${join}.5.2`))
    })

    it(`${join}.5.2: is given by who may invite`, () => {
      expect(judgeJoin(room(), dave, by(carol))).toEqual(allowed)
      expect(judgeJoin(room({ invite: 50 }), dave, by(bob))).toEqual(allowed)
      expect(judgeJoin(room({ invite: 50 }), dave, by(carol))).toEqual(rejectedBy(`${join}.5.2`))
      expect(judgeJoin(room({ invite: 1000 }), dave, by(alice))).toEqual(
        since(version, 12) ? allowed : rejectedBy(`${join}.5.2`),
      )
    })

    it(`${join}.5.2: is given by who is in the room`, () => {
      expect(judgeJoin(room(), dave, by(eve))).toEqual(rejectedBy(`${join}.5.2`))
      expect(judgeJoin(room().invite(alice, eve), dave, by(eve))).toEqual(rejectedBy(`${join}.5.2`))
      expect(judgeJoin(room().leave(bob), dave, by(bob))).toEqual(rejectedBy(`${join}.5.2`))
      expect(judgeJoin(room().ban(alice, bob), dave, by(bob))).toEqual(rejectedBy(`${join}.5.2`))
      expect(judgeJoin(room(), dave, by(dave))).toEqual(rejectedBy(`${join}.5.2`))
    })

    it(`${join}.3: does not help the banned`, () => {
      expect(judgeJoin(room().ban(alice, dave), dave, by(alice))).toEqual(rejectedBy(`${join}.3`))
    })
  },
)

describe.each(versions(1, 9))('a join rule of later times in version %s', (version) => {
  const { join } = numbers[version]
  it.each(since(version, 8) ? ['knock_restricted'] : ['restricted', 'knock_restricted'])(
    '%s is unknown',
    (joinRule) => {
      const room = timeline(version).publicChat({ creator: alice, moderator: bob }).setJoinRule(alice, joinRule)
      room.invite(alice, carol)
      const rule = since(version, 8) ? `${join}.7` : `${join}.6`
      for (const who of [bob, carol, dave]) expect(judgeJoin(room, who)).toEqual(rejectedBy(rule))
      expect(judgeJoin(room, dave, { join_authorised_via_users_server: alice })).toEqual(rejectedBy(rule))
    },
  )
})
