/** What becomes of a room when its two sides did not hear of each other for a while. */
import { describe, expect, it } from 'vitest'
import { roomVersions } from '#protocol/room-versions/rules.ts'
import type { RoomVersion } from '#protocol/room-versions/rules.ts'
import { resolve, resolveEveryWay } from '../../dsl/resolve-every-way.ts'
import { timeline } from '../../dsl/room-timeline.ts'
import type { RoomTimeline } from '../../dsl/room-timeline.ts'
import { alice, bob, carol, dave, eve } from '../../dsl/users.ts'

/** Alice made the room, Bob and Carol moderate it, Dave is a member. */
function publicRoom(version: RoomVersion): RoomTimeline {
  const room = timeline(version).publicChat({ creator: alice, moderator: bob, members: [carol, dave] })
  return room.setPowerLevels(alice, levels(version, { [bob]: 50, [carol]: 50 }))
}

/** Power levels as they are written: in version 12 creators are never listed. */
function levels(version: RoomVersion, users: Readonly<Record<string, number>>) {
  return { users: version === '12' ? users : { [alice]: 100, ...users } }
}

function accepted(room: RoomTimeline): void {
  expect(room.events.filter((event) => event.rejected).map((event) => event.verdict)).toEqual([])
}

describe.each(roomVersions)('in room version %s', (version) => {
  it('what both sides agree on stays', () => {
    const [left, right] = publicRoom(version).setTopic(alice, 'common ground').fork()
    left.message(bob, 'hello?')
    right.message(carol, 'anybody?')
    const after = resolveEveryWay(left, right)
    expect(after.state).toEqual(left.state)
    expect(after.topic).toBe('common ground')
  })

  it('what one side alone did happens', () => {
    const [left, right] = publicRoom(version).fork()
    left.setTopic(bob, 'from the left').join(eve)
    right.message(carol, 'nothing new here')
    const after = resolveEveryWay(left, right)
    expect(after.topic).toBe('from the left')
    expect(after.membership(eve)).toBe('join')
  })

  it('a ban beats what the banned did meanwhile', () => {
    const [left, right] = publicRoom(version).setTopic(alice, 'be kind').fork()
    left.ban(alice, bob)
    right.setTopic(bob, 'mine now')
    accepted(right)
    const after = resolveEveryWay(left, right)
    expect(after.membership(bob)).toBe('ban')
    expect(after.current('m.room.topic')?.sender).toBe(alice)
  })

  it('a ban beats a new name of the banned', () => {
    const [left, right] = publicRoom(version).fork()
    left.ban(alice, bob)
    right.join(bob, { displayname: 'Bob the Unbannable' })
    expect(resolveEveryWay(left, right).membership(bob)).toBe('ban')
  })

  it('a demoted moderator loses what they did meanwhile', () => {
    const [left, right] = publicRoom(version).setTopic(alice, 'be kind').fork()
    left.setPowerLevels(alice, levels(version, { [carol]: 50 }))
    right.setTopic(bob, 'mine now').setPowerLevels(bob, levels(version, { [bob]: 50, [carol]: 50, [dave]: 50 }))
    accepted(right)
    const after = resolveEveryWay(left, right)
    expect(after.topic).toBe('be kind')
    expect(after.current('m.room.power_levels')?.sender).toBe(alice)
  })

  it('a rejected event never comes into the state, whoever saw it', () => {
    const [left, right] = publicRoom(version).fork()
    left.setTopic(dave, 'by nobody in particular').ban(dave, alice)
    expect(left.events.filter((event) => event.rejected)).toHaveLength(2)
    right.message(alice, 'hello')
    const after = resolveEveryWay(left, right)
    expect(after.topic).toBeUndefined()
    expect(after.membership(alice)).toBe('join')
  })

  it('many sides make one room again', () => {
    const branches = publicRoom(version).forkInto(5)
    const [first = timeline(version), ...others] = branches
    branches.forEach((branch, index) => branch.setTopic(index % 2 === 0 ? bob : carol, `topic ${index}`))
    first.ban(alice, bob)
    const after = resolveEveryWay(first, ...others)
    expect(after.membership(bob)).toBe('ban')
    expect(after.current('m.room.topic')?.sender).toBe(carol)
  })

  it('sides that met may part again', () => {
    const [left, right] = publicRoom(version).fork()
    left.setTopic(bob, 'left')
    right.ban(alice, bob)
    const [again, once] = left.merge(right, resolve).message(alice, 'here we are').fork()
    again.setTopic(carol, 'the second time')
    once.setJoinRule(alice, 'invite')
    const after = resolveEveryWay(again, once)
    expect(after.membership(bob)).toBe('ban')
    expect(after.topic).toBe('the second time')
    expect(after.joinRule).toBe('invite')
  })
})

const sinceVersion2 = roomVersions.filter((version) => version !== '1')

describe.each(sinceVersion2)('in room version %s (since 2)', (version) => {
  it('of two topics the later one stays', () => {
    const [left, right] = publicRoom(version).fork()
    right.setTopic(carol, 'earlier').message(carol, 'and a longer').message(carol, 'side of the fork')
    left.setTopic(bob, 'later')
    expect(resolveEveryWay(left, right).topic).toBe('later')
  })

  it('a topic set under newer power levels beats one that lies about its time', () => {
    const [left, right] = publicRoom(version).fork()
    left.send('m.room.topic', '', { topic: 'from the future' }, bob, { at: 4_000_000_000_000 })
    right.setPowerLevels(alice, levels(version, { [bob]: 50, [carol]: 60 })).setTopic(carol, 'from today')
    expect(resolveEveryWay(left, right).topic).toBe('from today')
  })

  it('of two equal events at the same time the greater event ID stays', () => {
    const [left, right] = publicRoom(version).fork()
    left.send('m.room.topic', '', { topic: 'left' }, bob, { at: 1 })
    right.send('m.room.topic', '', { topic: 'right' }, carol, { at: 1 })
    const [greatest] = [left.lastId, right.lastId].sort().reverse()
    expect(resolveEveryWay(left, right).current('m.room.topic')?.event_id).toBe(greatest)
  })

  it('whoever joined after the room was closed is not in it', () => {
    const [left, right] = publicRoom(version).fork()
    left.setJoinRule(alice, 'invite')
    right.join(eve)
    accepted(right)
    const after = resolveEveryWay(left, right)
    expect(after.joinRule).toBe('invite')
    expect(after.membership(eve)).toBeUndefined()
  })

  it('kicked from a public room, whoever sends a membership meanwhile is back', () => {
    const [left, right] = publicRoom(version).fork()
    left.kick(alice, dave)
    right.join(dave, { displayname: 'still Dave' })
    expect(resolveEveryWay(left, right).membership(dave)).toBe('join')
  })

  it('kicked from a private room, they stay outside', () => {
    const room = timeline(version).privateChat({ creator: alice, moderator: bob, members: [dave] })
    const [left, right] = room.fork()
    left.kick(alice, dave)
    right.join(dave, { displayname: 'still Dave' })
    accepted(right)
    expect(resolveEveryWay(left, right).membership(dave)).toBe('leave')
  })

  it('a race for power goes to whoever has more of it, not to the earlier', () => {
    const [left, right] = publicRoom(version).fork()
    right.setPowerLevels(bob, levels(version, { [bob]: 50, [carol]: 50, [dave]: 50 }))
    left.setPowerLevels(alice, levels(version, { [bob]: 0, [carol]: 50 }))
    const after = resolveEveryWay(left, right)
    expect(after.current('m.room.power_levels')?.sender).toBe(alice)
  })

  it('of two changes that both were entitled to the later one builds on the earlier', () => {
    const [left, right] = publicRoom(version).fork()
    left.setPowerLevels(bob, { ...levels(version, { [bob]: 50, [carol]: 50 }), kick: 20 })
    right.setPowerLevels(carol, { ...levels(version, { [bob]: 50, [carol]: 50 }), kick: 30 })
    accepted(right)
    expect(resolveEveryWay(left, right).current('m.room.power_levels')?.content).toMatchObject({ kick: 30 })
  })

  it('power that was handed on by a demoted moderator is lost', () => {
    const [left, right] = publicRoom(version).fork()
    left.setPowerLevels(alice, levels(version, { [carol]: 50 }))
    right.setPowerLevels(bob, levels(version, { [bob]: 50, [carol]: 50, [dave]: 50 })).ban(dave, eve)
    accepted(right)
    const after = resolveEveryWay(left, right)
    expect(after.current('m.room.power_levels')?.sender).toBe(alice)
    expect(after.membership(eve)).toBeUndefined()
  })

  it('a ban of a moderator undoes the bans that follow from their rule', () => {
    const [left, right] = publicRoom(version).fork()
    left.ban(alice, bob)
    right.ban(bob, dave)
    const after = resolveEveryWay(left, right)
    expect(after.membership(bob)).toBe('ban')
    expect(after.membership(dave)).toBe('join')
  })
})

describe('in room version 1', () => {
  it('of two topics the one deeper in the room stays, whatever its time', () => {
    const [left, right] = publicRoom('1').fork()
    left.message(bob, 'one').message(bob, 'two').setTopic(bob, 'deeper')
    right.setTopic(carol, 'later')
    expect(resolveEveryWay(left, right).topic).toBe('deeper')
  })

  it('whoever joined after the room was closed is in it all the same', () => {
    const [left, right] = publicRoom('1').fork()
    left.setJoinRule(alice, 'invite')
    right.join(eve)
    expect(resolveEveryWay(left, right).membership(eve)).toBe('join')
  })

  it('a conflict that nobody may win goes to the least depth', () => {
    const [left, right] = publicRoom('1').fork()
    left.setTopic(bob, 'by Bob').setPowerLevels(alice, levels('1', {}))
    right.message(carol, 'a').message(carol, 'b').setTopic(carol, 'by Carol')
    right.setPowerLevels(alice, levels('1', { [dave]: 50 }))
    const after = resolveEveryWay(left, right)
    expect(after.topic).toBe('by Bob')
  })

  it('a member who left on one side and was renamed on the other is where the deeper event says', () => {
    const [left, right] = publicRoom('1').fork()
    left.leave(dave)
    right.message(carol, 'time passes').join(dave, { displayname: 'Dave again' })
    expect(resolveEveryWay(left, right).membership(dave)).toBe('join')
  })
})

describe('in room version 12', () => {
  const creators = { creator: alice, createContent: { additional_creators: [bob] }, members: [bob, carol, dave] }

  it('nobody with a level outranks a creator, however early they were', () => {
    const room = timeline('12').publicChat({ ...creators, powerLevels: { users: { [carol]: 100 } } })
    const [left, right] = room.fork()
    right.setPowerLevels(carol, { users: { [carol]: 100, [dave]: 100 } }).setJoinRule(carol, 'invite')
    left.setPowerLevels(bob, { users: { [carol]: 0 } })
    accepted(right)
    const after = resolveEveryWay(left, right)
    expect(after.current('m.room.power_levels')?.sender).toBe(bob)
    expect(after.joinRule).toBe('public')
  })

  it('creators are equals: the later of two keeps the last word', () => {
    const [left, right] = timeline('12').publicChat(creators).fork()
    left.setPowerLevels(alice, { users: { [carol]: 50 } })
    right.setPowerLevels(bob, { users: { [dave]: 50 } })
    expect(resolveEveryWay(left, right).current('m.room.power_levels')?.sender).toBe(bob)
  })

  it('a creator cannot be banned on either side', () => {
    const [left, right] = timeline('12')
      .publicChat({ ...creators, powerLevels: { users: { [carol]: 9_000 } } })
      .fork()
    left.ban(carol, bob)
    expect(left.last.rejected).toBe(true)
    right.setTopic(bob, 'still here')
    const after = resolveEveryWay(left, right)
    expect(after.membership(bob)).toBe('join')
    expect(after.topic).toBe('still here')
  })
})
