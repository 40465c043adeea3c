/** State keys that belong to a user, and may have something behind the user ID. Spec: MSC3757. */
import { unstableRoomVersions } from '#protocol/room-versions/rules.ts'
import { describe, expect, it } from 'vitest'

import { timeline } from '../../dsl/room-timeline.ts'
import { alice, bob, carol } from '../../dsl/users.ts'
import { allowed } from './numbers.ts'

describe.each(unstableRoomVersions)('a state key in room version %s', (version) => {
  const room = timeline(version).publicChat({
    creator: alice,
    members: [bob, carol],
    powerLevels: { events: { 'org.example.mine': 0 }, users: { [alice]: 100, [bob]: 50 } },
  })
  const judge = (stateKey: string, sender: typeof alice) =>
    room.judge(room.draft('org.example.mine', stateKey, {}, sender))

  it('may be the sender, with anything behind an underscore', () => {
    for (const key of [carol, `${carol}_`, `${carol}_suffix:!@#$123`, '', 'anything'])
      expect(judge(key, carol)).toEqual(allowed)
  })

  it('may be somebody who stands below the sender, in the room or not', () => {
    for (const key of [bob, `${bob}_x`, carol, '@nobody:d.example', '@nobody:d.example_x']) {
      expect(judge(key, alice)).toEqual(allowed)
    }
    expect(judge(`${carol}_x`, bob)).toEqual(allowed)
  })

  it('may not be somebody of the same level, or who stands above the sender', () => {
    for (const key of [alice, `${alice}_x`, bob, '@nobody:d.example'])
      expect(judge(key, carol)).toMatchObject({ ok: false })
    expect(judge(`${alice}_x`, bob)).toMatchObject({ ok: false })
  })

  it('may not begin with @ and not with a user ID', () => {
    for (const key of ['@', '@oops', '@oops_x', `${carol}suffix `, `@x_${carol} `, `${carol}@_x`]) {
      for (const sender of [alice, carol]) expect(judge(key, sender), key).toMatchObject({ ok: false })
    }
  })
})
