import { describe, expect, it } from 'vitest'
import { historyVisibilityIn, mayRead, mayServerRead, readHistoryVisibility } from '#protocol/history-visibility.ts'
import type { HistoryVisibility } from '#protocol/history-visibility.ts'
import { timeline } from '../dsl/room-timeline.ts'
import { alice } from '../dsl/users.ts'

type Membership = 'join' | 'invite' | 'leave' | 'ban' | 'knock' | undefined
const visibilities = ['world_readable', 'shared', 'invited', 'joined'] as const
const memberships: Membership[] = ['join', 'invite', 'leave', 'ban', 'knock', undefined]

/** An event that changes neither the visibility nor the reader's membership. */
function seesPlain(visibility: HistoryVisibility, membership: Membership, joinedSince: boolean): boolean {
  return mayRead({
    visibilityBefore: visibility,
    visibilityAfter: visibility,
    membershipBefore: membership,
    membershipAfter: membership,
    joinedSince,
  })
}

describe('a user sees a message', () => {
  it.each(memberships)('always where all the world reads, as %s', (membership) => {
    expect(seesPlain('world_readable', membership, false)).toBe(true)
  })

  it.each(visibilities)('that was sent while they were joined, with visibility %s', (visibility) => {
    expect(seesPlain(visibility, 'join', false)).toBe(true)
  })

  it.each(memberships)('of shared history once they have joined after it, as %s', (membership) => {
    expect(seesPlain('shared', membership, true)).toBe(true)
    expect(seesPlain('shared', membership, false)).toBe(membership === 'join')
  })

  it('from their invite on where history is for the invited', () => {
    expect(seesPlain('invited', 'invite', false)).toBe(true)
    expect(seesPlain('invited', 'invite', true)).toBe(true)
  })

  it.each(['leave', 'ban', 'knock', undefined] as const)(
    'of restricted history not for having joined later, as %s',
    (membership) => {
      expect(seesPlain('invited', membership, true)).toBe(false)
      expect(seesPlain('joined', membership, true)).toBe(false)
    },
  )

  it('of history for the joined not while only invited', () => {
    expect(seesPlain('joined', 'invite', true)).toBe(false)
  })
})

describe('a user sees their own membership change', () => {
  const sees = (visibility: HistoryVisibility, before: Membership, after: Membership) =>
    mayRead({
      visibilityBefore: visibility,
      visibilityAfter: visibility,
      membershipBefore: before,
      membershipAfter: after,
      joinedSince: false,
    })

  it.each(visibilities)('to and from join, with visibility %s', (visibility) => {
    expect(sees(visibility, undefined, 'join')).toBe(true)
    for (const after of ['leave', 'ban', 'join'] as const) expect(sees(visibility, 'join', after)).toBe(true)
  })

  it('to and from invite where history is for the invited', () => {
    expect(sees('invited', undefined, 'invite')).toBe(true)
    expect(sees('invited', 'invite', 'leave')).toBe(true)
    expect(sees('joined', undefined, 'invite')).toBe(false)
    expect(sees('joined', 'invite', 'leave')).toBe(false)
    expect(sees('shared', 'invite', 'leave')).toBe(false)
  })

  it('not when banned as a stranger', () => {
    for (const visibility of ['shared', 'invited', 'joined'] as const) {
      expect(sees(visibility, undefined, 'ban')).toBe(false)
      expect(sees(visibility, 'leave', 'ban')).toBe(false)
    }
  })
})

describe('a change of the visibility', () => {
  const sees = (before: HistoryVisibility, after: HistoryVisibility, membership: Membership, joinedSince = false) =>
    mayRead({
      visibilityBefore: before,
      visibilityAfter: after,
      membershipBefore: membership,
      membershipAfter: membership,
      joinedSince,
    })

  it('is seen by whomever the visibility before or after lets see it', () => {
    expect(sees('world_readable', 'joined', undefined)).toBe(true)
    expect(sees('joined', 'world_readable', undefined)).toBe(true)
    expect(sees('joined', 'invited', 'invite')).toBe(true)
    expect(sees('invited', 'joined', 'invite')).toBe(true)
    expect(sees('shared', 'joined', undefined, true)).toBe(true)
    expect(sees('joined', 'shared', undefined, true)).toBe(true)
  })

  it('is hidden where neither does', () => {
    expect(sees('joined', 'invited', undefined, true)).toBe(false)
    expect(sees('shared', 'joined', undefined, false)).toBe(false)
    expect(sees('joined', 'joined', 'invite')).toBe(false)
  })
})

describe('a server is given an event', () => {
  const sees = (
    visibility: HistoryVisibility,
    before: readonly string[],
    after: readonly string[] = before,
    joinedSince = false,
  ) =>
    mayServerRead({
      visibilityBefore: visibility,
      visibilityAfter: visibility,
      membershipsBefore: before,
      membershipsAfter: after,
      joinedSince,
    })

  it('if any one of its users may see it', () => {
    expect(sees('joined', ['leave', 'ban', 'join'])).toBe(true)
    expect(sees('joined', ['leave', 'invite'])).toBe(false)
    expect(sees('invited', ['leave', 'invite'])).toBe(true)
    expect(sees('invited', ['leave', 'knock', 'ban'])).toBe(false)
  })

  it('without any user there only if the history is open to it', () => {
    expect(sees('world_readable', [])).toBe(true)
    expect(sees('shared', [], [], true)).toBe(true)
    expect(sees('shared', [], [], false)).toBe(false)
    expect(sees('invited', [], [], true)).toBe(false)
    expect(sees('joined', [], [], true)).toBe(false)
  })

  it('if it brought the first of its users in or took the last one out', () => {
    expect(sees('joined', [], ['join'])).toBe(true)
    expect(sees('joined', ['join'], ['leave'])).toBe(true)
  })

  it('that changes the visibility, by either', () => {
    const change = { membershipsBefore: [], membershipsAfter: [], joinedSince: false }
    expect(mayServerRead({ visibilityBefore: 'joined', visibilityAfter: 'world_readable', ...change })).toBe(true)
    expect(mayServerRead({ visibilityBefore: 'world_readable', visibilityAfter: 'joined', ...change })).toBe(true)
    expect(mayServerRead({ visibilityBefore: 'shared', visibilityAfter: 'joined', ...change })).toBe(false)
  })
})

describe('the visibility of a room', () => {
  it('is shared where nothing is set, or nothing that is understood', () => {
    const room = timeline('11').publicChat({ creator: alice })
    expect(historyVisibilityIn(room.stateLookup)).toBe('shared')
    for (const history_visibility of ['everybody', '', 1, null, ['joined'], { joined: true }]) {
      room.send('m.room.history_visibility', '', { history_visibility }, alice)
      expect(historyVisibilityIn(room.stateLookup)).toBe('shared')
      expect(readHistoryVisibility(history_visibility)).toBe('shared')
    }
    room.send('m.room.history_visibility', '', {}, alice)
    expect(historyVisibilityIn(room.stateLookup)).toBe('shared')
  })

  it.each(visibilities)('is %s where that is set', (history_visibility) => {
    const room = timeline('11').publicChat({ creator: alice })
    room.send('m.room.history_visibility', '', { history_visibility }, alice)
    expect(historyVisibilityIn(room.stateLookup)).toBe(history_visibility)
  })
})
