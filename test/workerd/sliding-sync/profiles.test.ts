/** Other people's profiles over sliding sync (MSC4262). */
import { beforeAll, describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { aMoment, createRoom, join, leave, long, say } from '../sync/syncing.ts'
import { newest, slide, type SlidBody, slider } from './sliding.ts'

type Update = { readonly updated?: Readonly<Record<string, unknown>>; readonly removed?: readonly string[] } | null
type Updates = Readonly<Record<string, Update>>

const name = 'org.matrix.msc4262.profiles'
const status = 'org.matrix.msc4426.status'
const busy = { text: 'Swimming', emoji: '🏊' }
const lazy = [['m.room.member', '$LAZY']]

const fieldPath = ({ userId }: User, field: string) => `/profile/${encodeURIComponent(userId)}/${field}`
async function set(user: User, field: string, value: unknown): Promise<void> {
  const answer = await user.put(fieldPath(user, field), { [field]: value })
  expect(answer.status, answer.text).toBe(200)
}
function profilesIn({ extensions }: SlidBody): Updates {
  const found: { users: Updates } | undefined = Reflect.get(extensions, name)
  return found?.users ?? {}
}
const asking = (more: object = {}, list: object = {}) => ({
  ...newest(10, list),
  extensions: { [name]: { enabled: true, ...more } },
})

/** Polls until profiles come. */
async function news(client: ReturnType<typeof slider>, body?: object): Promise<Updates> {
  for (;;) {
    const told = profilesIn(await client.next(long, body))
    if (Object.keys(told).length > 0) return told
  }
}

let people = 0
let alice: User
let bob: User
let room: string

async function meet(): Promise<void> {
  people += 1
  alice = await registerUser(`slid-alice-${people}`)
  bob = await registerUser(`slid-bob-${people}`)
  room = await createRoom(alice, { preset: 'public_chat' })
  await join(bob, room)
}
beforeAll(meet)

describe('the extension', () => {
  test('gives profiles of those in rooms that come into sight, and one’s own, then what changes', async () => {
    await meet()
    await set(alice, status, busy)
    await set(bob, status, { text: 'here', emoji: '' })
    const bobs = slider(bob, asking({ fields: [status] }))
    expect(profilesIn(await bobs.next())).toEqual({
      [alice.userId]: { updated: { [status]: busy } },
      [bob.userId]: { updated: { [status]: { text: 'here', emoji: '' } } },
    })
    const waiting = news(bobs)
    await aMoment()
    await set(alice, 'm.tz', 'Europe/Berlin')
    await set(alice, status, { text: 'back', emoji: '' })
    expect(await waiting).toEqual({ [alice.userId]: { updated: { [status]: { text: 'back', emoji: '' } } } })
    await alice.delete(fieldPath(alice, status))
    expect(await news(bobs)).toEqual({ [alice.userId]: { removed: [status] } })
    expect(profilesIn(await bobs.next())).toEqual({})
  })

  test('gives all fields to who names none, null as a value too', async () => {
    await meet()
    const bobs = slider(bob, asking())
    expect(profilesIn(await bobs.next())[alice.userId]).toEqual({ updated: { displayname: expect.any(String) } })
    await set(alice, 'org.example.nothing', null)
    expect(await news(bobs)).toEqual({ [alice.userId]: { updated: { 'org.example.nothing': null } } })
  })

  test('gives a change again until the client shows to have it', async () => {
    await meet()
    const bobs = slider(bob, asking({ fields: [status] }))
    await bobs.next()
    await set(alice, status, busy)
    const expected = { [alice.userId]: { updated: { [status]: busy } } }
    while (Object.keys(profilesIn(await bobs.again(long))).length === 0) await bobs.next()
    expect(profilesIn(await bobs.again())).toEqual(expected)
    expect(profilesIn(await bobs.next())).toEqual(expected)
    expect(profilesIn(await bobs.next())).toEqual({})
  })

  test('gives what a client asks for later whole, also after a lost answer', async () => {
    await meet()
    await set(alice, status, busy)
    await set(alice, 'm.tz', 'Asia/Tokyo')
    const bobs = slider(bob, newest(10))
    await bobs.next()
    const wide = asking({ fields: [status] })
    const expected = { [alice.userId]: { updated: { [status]: busy } } }
    expect(profilesIn(await bobs.again(0, wide))).toEqual(expected)
    expect(profilesIn(await bobs.next(0, wide))).toEqual(expected)
    expect(profilesIn(await bobs.next(0, wide))).toEqual({})
    const wider = asking({ fields: [status, 'm.tz'] })
    expect(profilesIn(await bobs.next(0, wider))).toEqual({ [alice.userId]: { updated: { 'm.tz': 'Asia/Tokyo' } } })
    expect(profilesIn(await bobs.next(0, wider))).toEqual({})
  })

  test('gives lazily loaded members’ profiles along with them', async () => {
    await meet()
    const quiet = await registerUser(`slid-quiet-${people}`)
    await join(quiet, room)
    for (const user of [alice, quiet]) await set(user, status, busy)
    for (let n = 0; n < 6; n++) await say(alice, room, `${n}`)
    const bobs = slider(bob, asking({ fields: [status] }, { required_state: lazy, timeline_limit: 2 }))
    const first = profilesIn(await bobs.next())
    expect(first[alice.userId]).toEqual({ updated: { [status]: busy } })
    await say(quiet, room, 'me too')
    const heard = { ...first, ...profilesIn(await bobs.next(long)) }
    expect(heard[quiet.userId]).toEqual({ updated: { [status]: busy } })
    await say(quiet, room, 'again')
    expect(profilesIn(await bobs.next(long))).toEqual({})
  })

  test('tells of who comes, and of who shares no room any more', async () => {
    await meet()
    const carol = await registerUser(`slid-carol-${people}`)
    await set(carol, status, busy)
    const bobs = slider(bob, asking({ fields: [status] }))
    await bobs.next()
    await join(carol, room)
    expect(await news(bobs)).toEqual({ [carol.userId]: { updated: { [status]: busy } } })
    await leave(carol, room)
    expect(await news(bobs)).toEqual({ [carol.userId]: null })
  })

  test('tells of changes by people in rooms out of sight, too', async () => {
    await meet()
    const bobs = slider(bob, { ...asking({ fields: [status] }), lists: {} })
    expect(profilesIn(await bobs.next())).toEqual({})
    await set(alice, status, busy)
    expect(await news(bobs)).toEqual({ [alice.userId]: { updated: { [status]: busy } } })
  })

  test('is not there where it is not asked for', async () => {
    await meet()
    await set(alice, status, busy)
    const answer = await slide(bob, { ...newest(10), extensions: { [name]: { enabled: false } } })
    expect(answer.extensions).not.toHaveProperty([name])
    const tooMany = Array.from({ length: 101 }, (_, n) => `m.f${n}`)
    const { status: refused } = await bob.post(
      '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync',
      asking({ fields: tooMany }),
    )
    expect(refused).toBe(400)
  })
})
