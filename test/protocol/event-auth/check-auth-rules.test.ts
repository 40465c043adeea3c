/** The rules that hold for every type of event, in the spec's order. */
import { describe, expect, it } from 'vitest'
import { checkAuthRules } from '#protocol/event-auth/check-auth-rules.ts'
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import { crypto, timeline } from '../../dsl/room-timeline.ts'
import { alice, anna, bob, carol, dave, eve } from '../../dsl/users.ts'
import { allowed, numbers, rejectedBy, since, versions } from './numbers.ts'

describe.each(roomVersions)('in a room of version %s', (version) => {
  const rule = numbers[version]
  const newRoom = () => timeline(version).publicChat({ creator: alice, moderator: bob, members: [carol] })
  const room = newRoom()

  it('nothing is allowed without a create event', () => {
    const message = room.draft('m.room.message', undefined, {}, alice)
    const stateless = checkAuthRules(room.rules, message, () => undefined, crypto)
    expect(stateless).toEqual(rejectedBy(since(version, 12) ? '2' : '2.4'))
  })

  describe(`${rule.federate}: m.federate`, () => {
    const roomWith = (createContent: JsonObject) => timeline(version).publicChat({ creator: alice, createContent })

    it.each<[JsonObject]>([[{}], [{ 'm.federate': true }]])('%j lets everybody join', (createContent) => {
      const open = roomWith(createContent)
      expect(open.judge(open.draft('m.room.member', bob, { membership: 'join' }, bob))).toEqual(allowed)
    })

    it.each([false, 'false', 'true', 0, 1, null, {}])('%j keeps other servers out', (value) => {
      const closed = roomWith({ 'm.federate': value })
      const join = closed.draft('m.room.member', bob, { membership: 'join' }, bob)
      expect(closed.judge(join)).toEqual(rejectedBy(rule.federate))
      // Whoever is on the creator's server is at home.
      expect(closed.judge(closed.draft('m.room.member', anna, { membership: 'join' }, anna))).toEqual(allowed)
      expect(closed.judge(closed.draft('m.room.topic', '', {}, alice))).toEqual(allowed)
    })

    it('is about senders only: a stranger may be invited in vain', () => {
      const closed = roomWith({ 'm.federate': false }).invite(alice, bob)
      expect(closed.last.verdict).toEqual(allowed)
      expect(closed.join(bob).last.verdict).toEqual(rejectedBy(rule.federate))
    })
  })

  describe(`${rule.joined}: who sends`, () => {
    it('is joined', () => {
      for (const sender of [alice, bob, carol]) {
        expect(room.judge(room.draft('m.room.message', undefined, {}, sender))).toEqual(allowed)
      }
    })

    it('never was here', () => {
      expect(room.judge(room.draft('m.room.message', undefined, {}, eve))).toEqual(rejectedBy(rule.joined))
      expect(room.judge(room.draft('m.room.topic', '', {}, anna))).toEqual(rejectedBy(rule.joined))
    })

    it('was invited, has left, was banned', () => {
      const told = newRoom().invite(alice, dave).leave(carol).ban(alice, bob)
      for (const sender of [dave, carol, bob]) {
        expect(told.judge(told.draft('m.room.message', undefined, {}, sender))).toEqual(rejectedBy(rule.joined))
      }
    })

    it('is not in the room for having power', () => {
      const told = newRoom().leave(alice)
      expect(told.judge(told.draft('m.room.topic', '', {}, alice))).toEqual(rejectedBy(rule.joined))
    })
  })

  describe(`${rule.requiredLevel}: the required power level`, () => {
    const levels = {
      users_default: 1,
      events: { 'm.room.message': 50, 'm.room.topic': 1, 'org.example.free': -1, 'm.room.redaction': 100 },
      events_default: 10,
      state_default: 50,
    }
    const told = timeline(version).publicChat({ creator: alice, moderator: bob, members: [carol], powerLevels: levels })
    const judge = (type: string, stateKey: string | undefined, sender: typeof alice) =>
      told.judge(told.draft(type, stateKey, {}, sender))

    it('is that of the event type', () => {
      expect(judge('m.room.message', undefined, bob)).toEqual(allowed)
      expect(judge('m.room.message', undefined, carol)).toEqual(rejectedBy(rule.requiredLevel))
      expect(judge('m.room.topic', '', carol)).toEqual(allowed)
      expect(judge('org.example.free', undefined, carol)).toEqual(allowed)
      // The type counts, not whether it is state.
      expect(judge('m.room.message', '', carol)).toEqual(rejectedBy(rule.requiredLevel))
      expect(judge('m.room.topic', undefined, carol)).toEqual(allowed)
    })

    it('is events_default for other messages', () => {
      expect(judge('org.example.other', undefined, bob)).toEqual(allowed)
      expect(judge('org.example.other', undefined, carol)).toEqual(rejectedBy(rule.requiredLevel))
    })

    it('is state_default for other state', () => {
      expect(judge('org.example.other', '', bob)).toEqual(allowed)
      expect(judge('org.example.other', '', carol)).toEqual(rejectedBy(rule.requiredLevel))
      expect(judge('m.room.name', '', carol)).toEqual(rejectedBy(rule.requiredLevel))
    })

    it('is not inherited from what all objects have', () => {
      expect(judge('toString', undefined, bob)).toEqual(allowed)
      expect(judge('__proto__', undefined, carol)).toEqual(rejectedBy(rule.requiredLevel))
    })

    it('is the same without a power levels event: 0 for messages, 50 for state, 100 for the creator', () => {
      const bare = timeline(version).create(alice).join(alice).setJoinRule(alice, 'public').join(bob)
      expect(bare.last.verdict).toEqual(allowed)
      expect(bare.judge(bare.draft('m.room.message', undefined, {}, bob))).toEqual(allowed)
      expect(bare.judge(bare.draft('m.room.topic', '', {}, bob))).toEqual(rejectedBy(rule.requiredLevel))
      expect(bare.judge(bare.draft('m.room.topic', '', {}, alice))).toEqual(allowed)
    })
  })

  describe(`${rule.stateKey}: a state key`, () => {
    const told = timeline(version).publicChat({
      creator: alice,
      members: [carol],
      powerLevels: { events: { 'org.example.mine': 0 } },
    })
    const judge = (stateKey: string | undefined, sender: typeof alice) =>
      told.judge(told.draft('org.example.mine', stateKey, {}, sender))

    it('may be the sender, or anything that is no user', () => {
      for (const stateKey of [carol, '', 'carol', ` ${alice}`, '#room:a.example', undefined]) {
        expect(judge(stateKey, carol)).toEqual(allowed)
      }
    })

    it.each([alice, '@', '@anything', '@carol:C.example', `${carol} `, `${carol}_suffix`])(
      'may not be %j',
      (stateKey) => {
        expect(judge(stateKey, carol)).toEqual(rejectedBy(rule.stateKey))
      },
    )

    it('may not be another user even for the creator', () => {
      expect(judge(alice, alice)).toEqual(allowed)
      expect(judge(carol, alice)).toEqual(rejectedBy(rule.stateKey))
    })
  })

  it('all other events are allowed, whatever their content', () => {
    const oddities = {
      membership: 1,
      users: 'x',
      join_rule: null,
      redacts: [],
      nested: [[{}]],
      ['__proto__']: 1,
      creator: 5,
    }
    for (const type of [
      'm.room.message',
      'm.room.encrypted',
      'org.example.x',
      'm.room.redactions',
      'M.ROOM.MEMBER',
      '',
    ]) {
      expect(room.judge(room.draft(type, undefined, oddities, carol))).toEqual(allowed)
      expect(room.judge(room.draft(type, '', oddities, bob))).toEqual(allowed)
    }
  })

  it('the content of other state may be anything as well', () => {
    for (const type of [
      'm.room.join_rules',
      'm.room.history_visibility',
      'm.room.server_acl',
      'm.room.canonical_alias',
    ]) {
      expect(room.judge(room.draft(type, '', { join_rule: 7, allow: 'x', history_visibility: {} }, bob))).toEqual(
        allowed,
      )
    }
  })
})

describe.each(versions(1, 5))('m.room.aliases in version %s', (version) => {
  const room = timeline(version).publicChat({ creator: alice })

  it('4.1: is a state event', () => {
    expect(room.judge(room.draft('m.room.aliases', undefined, {}, alice))).toEqual(rejectedBy('4.1'))
  })

  it("4.2: has the sender's server for a state key", () => {
    expect(room.judge(room.draft('m.room.aliases', 'a.example', { aliases: [] }, alice))).toEqual(allowed)
    for (const stateKey of ['b.example', '', 'A.example', 'a.example:8448', alice]) {
      expect(room.judge(room.draft('m.room.aliases', stateKey, {}, alice))).toEqual(rejectedBy('4.2'))
    }
  })

  it('4.3: comes from anybody, even who is not in the room', () => {
    expect(room.judge(room.draft('m.room.aliases', 'e.example', {}, eve))).toEqual(allowed)
    expect(room.judge(room.draft('m.room.aliases', 'e.example', { aliases: 'anything' }, eve))).toEqual(allowed)
  })

  it('3: but not into a room that is not federated', () => {
    const closed = timeline(version).publicChat({ creator: alice, createContent: { 'm.federate': false } })
    expect(closed.judge(closed.draft('m.room.aliases', 'e.example', {}, eve))).toEqual(rejectedBy('3'))
  })
})

describe.each(versions(6, 12))('m.room.aliases in version %s', (version) => {
  const rule = numbers[version]
  const room = timeline(version).publicChat({ creator: alice, moderator: bob, members: [carol] })

  it('is a state event like any other', () => {
    expect(room.judge(room.draft('m.room.aliases', 'elsewhere.example', {}, bob))).toEqual(allowed)
    expect(room.judge(room.draft('m.room.aliases', undefined, {}, carol))).toEqual(allowed)
    expect(room.judge(room.draft('m.room.aliases', 'c.example', {}, carol))).toEqual(rejectedBy(rule.requiredLevel))
    expect(room.judge(room.draft('m.room.aliases', 'e.example', {}, eve))).toEqual(rejectedBy(rule.joined))
  })
})

describe.each(roomVersions)('m.room.third_party_invite in version %s', (version) => {
  const rule = numbers[version]
  const judge = (invite: number | undefined, sender: typeof alice, stateKey: string | undefined = 'token') => {
    const powerLevels = invite === undefined ? {} : { invite }
    const room = timeline(version).publicChat({ creator: alice, moderator: bob, members: [carol], powerLevels })
    return room.judge(room.draft('m.room.third_party_invite', stateKey, {}, sender))
  }

  it(`${rule.thirdPartyInvite}.1: takes the invite level, which is 0 by default, and no other`, () => {
    expect(judge(undefined, carol)).toEqual(allowed)
    expect(judge(50, bob)).toEqual(allowed)
    expect(judge(50, carol)).toEqual(rejectedBy(`${rule.thirdPartyInvite}.1`))
    expect(judge(51, bob)).toEqual(rejectedBy(`${rule.thirdPartyInvite}.1`))
    expect(judge(1, carol)).toEqual(rejectedBy(`${rule.thirdPartyInvite}.1`))
  })

  it('may have any state key', () => {
    expect(judge(undefined, carol, alice)).toEqual(allowed)
    expect(judge(undefined, carol, '')).toEqual(allowed)
  })

  it(`${rule.joined}: comes from members`, () => {
    expect(judge(undefined, eve)).toEqual(rejectedBy(rule.joined))
  })
})

describe.each(versions(1, 2))('m.room.redaction in version %s', (version) => {
  const room = timeline(version).publicChat({ creator: alice, moderator: bob, members: [carol, dave] })
  const redaction = (sender: typeof alice, redacts: string | undefined, signedBy?: string) => {
    const redacted = parseEventId(redacts)
    return room.judge(
      room.draft('m.room.redaction', undefined, {}, sender, {
        ...(redacted === undefined ? {} : { redacts: redacted }),
        ...(signedBy === undefined ? {} : { signedBy }),
      }),
    )
  }

  it('11.1: takes the redact level', () => {
    expect(redaction(bob, '$event:c.example')).toEqual(allowed)
    expect(redaction(alice, '$event:c.example')).toEqual(allowed)
    expect(redaction(alice, undefined)).toEqual(allowed)
  })

  it('11.2: or an event of the same server', () => {
    expect(redaction(carol, '$event:c.example')).toEqual(allowed)
    expect(redaction(dave, '$event:d.example')).toEqual(allowed)
    // The event ID counts, not the sender.
    expect(redaction(carol, '$event:x.example', 'x.example')).toEqual(allowed)
  })

  it.each(['$event:d.example', '$event:C.example', '$event:c.example:8448', '$event', '$:', '$event:', undefined])(
    '11.3: and is not for others to send, as for %s',
    (redacts) => {
      expect(redaction(carol, redacts)).toEqual(rejectedBy('11.3'))
    },
  )

  it('8: takes the level of its type before', () => {
    const strict = timeline(version).publicChat({
      creator: alice,
      members: [carol],
      powerLevels: { events: { 'm.room.redaction': 10 } },
    })
    const own = strict.message(carol, 'oops').lastId
    const pdu = strict.draft('m.room.redaction', undefined, {}, carol, { redacts: own })
    expect(strict.judge(pdu)).toEqual(rejectedBy('8'))
  })
})

describe.each(versions(3, 12))('m.room.redaction in version %s', (version) => {
  it('is allowed like any message; whether it is carried out is asked elsewhere', () => {
    const room = timeline(version)
      .publicChat({ creator: alice, members: [carol] })
      .message(alice, 'hello')
    const pdu = room.draft('m.room.redaction', undefined, {}, carol, { redacts: room.lastId })
    expect(room.judge(pdu)).toEqual(allowed)
    expect(room.judge(room.draft('m.room.redaction', undefined, {}, carol))).toEqual(allowed)
  })
})
