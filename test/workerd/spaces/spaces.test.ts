/** Spaces and summaries: which rooms one is shown, in what order, and which one is not. Spec: #spaces, #room-summaries. */
import { parseRoomId, type RoomId } from '#protocol/identifiers/room-id.ts'
import { parseServerName } from '#protocol/identifiers/server-name.ts'
import { parseUserId, type UserId } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { env } from 'cloudflare:test'
import { beforeAll, describe, expect, test } from 'vitest'

import { hierarchyForServer, walkSpace } from '../../../worker/space-hierarchy.ts'
import { anonymous, registerUser, type User } from '../client.ts'
import { at, createRoom, invite, join, ok, refused, setState } from '../rooms/rooms.ts'

interface Hierarchy {
  readonly rooms: { room_id: string; name?: string; room_type?: string; children_state: JsonObject[] }[]
  readonly next_batch?: string
}

let alice: User
let bob: User
let bobId: UserId

beforeAll(async () => {
  alice = await registerUser('space-alice')
  bob = await registerUser('space-bob')
  bobId = parseUserId(bob.userId) ?? bobId
})

const id = (text: string): RoomId => {
  const roomId = parseRoomId(text)
  if (!roomId) throw new Error(`no room ID: ${text}`)
  return roomId
}
const path = (roomId: string, query = '') => `/_matrix/client/v1${at(roomId, `/hierarchy${query}`)}`
const hierarchy = (user: User, roomId: string, query = '') => ok(user.get<Hierarchy>(path(roomId, query)))
const names = ({ rooms }: Hierarchy) => rooms.map(({ name }) => name)
const summaryPath = (room: string, base = '/_matrix/client/v1/room_summary') => `${base}/${encodeURIComponent(room)}`

const publicRoom = (name: string, more: JsonObject = {}) => createRoom(alice, { preset: 'public_chat', name, ...more })
const privateRoom = (name: string, more: JsonObject = {}) =>
  createRoom(alice, { preset: 'private_chat', name, ...more })
const space = (name: string, more: JsonObject = {}) =>
  publicRoom(name, { creation_content: { type: 'm.space' }, ...more })
const link = (parent: string, child: string, more: JsonObject = {}) =>
  ok(setState(alice, parent, 'm.space.child', { via: ['test.local'], ...more }, child))
const restrictedTo = (...rooms: string[]): JsonObject => ({
  initial_state: [
    {
      type: 'm.room.join_rules',
      state_key: '',
      content: { join_rule: 'restricted', allow: rooms.map((room_id) => ({ type: 'm.room_membership', room_id })) },
    },
  ],
})

describe('the tree of a space', () => {
  test('is shown depth first, children by their order', async () => {
    const [root, inner, a, b, c] = [
      await space('root'),
      await space('inner'),
      await publicRoom('a'),
      await publicRoom('b'),
      await publicRoom('c'),
    ]
    await link(root, c)
    await link(root, inner, { order: 'b' })
    await link(root, a, { order: 'a', suggested: true })
    await link(inner, b)
    // No space: its children do not count.
    await link(a, b)
    // A circle, and links that were taken back or never led anywhere.
    await link(inner, root)
    await ok(setState(alice, root, 'm.space.child', {}, '!gone:test.local'))
    await link(root, '!unknown:test.local')
    const whole = await hierarchy(bob, root)
    expect(names(whole)).toEqual(['root', 'a', 'inner', 'b', 'c'])
    expect(whole).not.toHaveProperty('next_batch')
    expect(whole.rooms[0]).toMatchObject({
      room_id: root,
      room_type: 'm.space',
      join_rule: 'public',
      num_joined_members: 1,
    })
    expect(whole.rooms[0]?.children_state[0]).toEqual({
      type: 'm.space.child',
      state_key: a,
      sender: alice.userId,
      content: { via: ['test.local'], order: 'a', suggested: true },
      origin_server_ts: expect.any(Number),
    })
    expect(whole.rooms[1]?.children_state).toEqual([])
    expect(names(await hierarchy(bob, root, '?max_depth=1'))).toEqual(['root', 'a', 'inner', 'c'])
    expect(names(await hierarchy(bob, root, '?max_depth=0'))).toEqual(['root'])
    const suggested = await hierarchy(bob, root, '?suggested_only=true')
    expect(names(suggested)).toEqual(['root', 'a'])
    expect(suggested.rooms[0]?.children_state.map(({ state_key }) => state_key)).toEqual([a])
  })

  test('is paged through; the pages of one walk belong together', async () => {
    const root = await space('root')
    for (const name of ['a', 'b', 'c', 'd']) await link(root, await publicRoom(name), { order: name })
    const seen: (string | undefined)[] = []
    let query = '?limit=2&max_depth=3'
    for (let pages = 0; pages < 10; pages++) {
      const page = await hierarchy(bob, root, query)
      expect(page.rooms.length).toBeLessThanOrEqual(2)
      seen.push(...names(page))
      if (page.next_batch === undefined) break
      query = `?limit=2&max_depth=3&from=${encodeURIComponent(page.next_batch)}`
    }
    expect(seen).toEqual(['root', 'a', 'b', 'c', 'd'])
    const { next_batch = '' } = await hierarchy(bob, root, '?limit=2&max_depth=3')
    for (const wrong of [`from=${next_batch}`, `from=${next_batch}&max_depth=3&suggested_only=true`, 'from=nonsense']) {
      expect(await bob.get(path(root, `?${wrong}`))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    }
  })

  test('has each room once, whatever the pages, and a page does not ask again for those before it', async () => {
    const [root, first, second, deep] = [await space('root'), await space('1'), await space('2'), await space('deep')]
    const leaves: string[] = []
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) leaves.push(await publicRoom(name))
    const [a = '', b = '', c = '', d = '', e = '', f = '', g = ''] = leaves
    // Spaces in spaces, circles, and rooms that lie in several.
    const tree = {
      [root]: [a, first, b, second, c],
      [first]: [d, deep, c, root],
      [deep]: [e, first, a],
      [second]: [e, deep, f, d, g],
    }
    for (const [parent, children] of Object.entries(tree)) {
      for (const [n, child] of children.entries()) await link(parent, child, { order: `${n}` })
    }
    const whole = names(await hierarchy(bob, root))
    expect(whole).toEqual(['root', 'a', '1', 'd', 'deep', 'e', 'c', 'b', '2', 'f', 'g'])
    for (const limit of [1, 2, 3, 5, 10]) {
      const seen: (string | undefined)[] = []
      for (let from = '', pages = 0; pages < 12; pages++) {
        const page = await hierarchy(bob, root, `?limit=${limit}${from}`)
        seen.push(...names(page))
        if (page.next_batch === undefined) break
        from = `&from=${encodeURIComponent(page.next_batch)}`
      }
      expect(seen).toEqual(whole)
    }
    // A room that goes between two pages takes nothing with it.
    const { next_batch = '' } = await hierarchy(bob, root, '?limit=8')
    await ok(setState(alice, root, 'm.space.child', {}, second))
    const rest = await hierarchy(bob, root, `?from=${encodeURIComponent(next_batch)}`)
    expect(names(rest)).toEqual([])
    await link(root, second, { order: '3' })

    const calls: string[] = []
    const namespace = new Proxy(env.ROOM, {
      get: (target, name) => {
        const method: unknown = Reflect.get(target, name, target)
        if (typeof method !== 'function') return method
        return (...args: unknown[]) => {
          if (name === 'get') calls.push(String(args[0]))
          return Reflect.apply(method, target, args)
        }
      },
    })
    const walk = { root: id(root), via: [], reader: bobId, maxDepth: 20, suggestedOnly: false, limit: 9 }
    const page = await walkSpace({ ...env, ROOM: namespace }, { ...walk, from: undefined })
    expect(page?.rooms).toHaveLength(9)
    calls.length = 0
    const last = await walkSpace({ ...env, ROOM: namespace }, { ...walk, from: page?.next })
    expect(last?.rooms.map(({ name }) => name)).toEqual(['f', 'g'])
    // The root, the space on the way, the two that are shown, and at most the rooms ahead of them.
    expect(calls.length).toBeLessThanOrEqual(5)
  })

  test('leaves out rooms one may not know of', async () => {
    const [root, hidden, members] = [await space('root'), await privateRoom('hidden'), await privateRoom('members')]
    const guarded = await privateRoom('guarded', restrictedTo(members))
    const knockable = await privateRoom('knockable', {
      initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }],
    })
    for (const child of [hidden, members, guarded, knockable]) await link(root, child)
    expect(names(await hierarchy(bob, root))).toEqual(['root', 'knockable'])
    expect(names(await hierarchy(alice, root))).toEqual(['root', 'hidden', 'members', 'guarded', 'knockable'])
    await invite(alice, members, bob)
    expect(names(await hierarchy(bob, root))).toEqual(['root', 'members', 'knockable'])
    await join(bob, members)
    expect(names(await hierarchy(bob, root))).toEqual(['root', 'members', 'guarded', 'knockable'])
    expect(await bob.get(path(hidden))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await bob.get(path('!nowhere:test.local'))).toMatchObject(refused(403, 'M_FORBIDDEN'))
  })

  test('is refused to bad questions', async () => {
    const root = await space('root')
    for (const query of ['?limit=0', '?limit=x', '?max_depth=-1', '?suggested_only=1']) {
      expect(await alice.get(path(root, query))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    }
    expect(await anonymous.get(path(root))).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
  })

  test('is told to other servers as far as their users may come in', async () => {
    const [root, open, hidden] = [await space('root'), await publicRoom('open'), await privateRoom('hidden')]
    const guarded = await privateRoom('guarded', restrictedTo(hidden))
    for (const child of [open, hidden, guarded, '!unknown:test.local']) await link(root, child)
    const [origin, rootId, hiddenId] = [parseServerName('elsewhere.test'), parseRoomId(root), parseRoomId(hidden)]
    if (!origin || !rootId || !hiddenId) throw new Error('malformed')
    expect(await hierarchyForServer(env, origin, rootId, false)).toMatchObject({
      room: { room_id: root, children_state: [{}, {}, {}, {}] },
      children: [{ room_id: open }],
      inaccessible_children: [hidden, guarded],
    })
    expect(await hierarchyForServer(env, origin, hiddenId, false)).toBeUndefined()
    await ok(setState(alice, root, 'm.room.server_acl', { allow: ['*'], deny: ['elsewhere.test'] }))
    expect(await hierarchyForServer(env, origin, rootId, false)).toBeUndefined()
  })
})

describe('the summary of a room', () => {
  test('tells what it is, to anybody where anybody may come in', async () => {
    const alias = 'summarised'
    const roomId = await publicRoom('open', { room_alias_name: alias, topic: 'talk' })
    const summary = {
      room_id: roomId,
      name: 'open',
      topic: 'talk',
      join_rule: 'public',
      num_joined_members: 1,
      world_readable: false,
      guest_can_join: false,
      canonical_alias: `#${alias}:test.local`,
      room_version: expect.any(String),
    }
    expect(await ok(anonymous.get(summaryPath(roomId)))).toEqual(summary)
    expect(await ok(bob.get(summaryPath(`#${alias}:test.local`)))).toEqual({ ...summary, membership: 'leave' })
    const old = summaryPath(roomId, '/_matrix/client/unstable/im.nheko.summary/summary')
    expect(await ok(alice.get(old))).toMatchObject({ ...summary, membership: 'join' })
    const older = `/_matrix/client/unstable/im.nheko.summary${at(roomId, '/summary')}`
    expect(await ok(alice.get(older))).toMatchObject({ ...summary, membership: 'join' })
  })

  test('is given to those who may come in, and others learn nothing', async () => {
    const members = await privateRoom('members')
    const guarded = await privateRoom('guarded', restrictedTo(members))
    for (const asker of [anonymous, bob]) {
      for (const roomId of [members, guarded, '!nowhere:test.local']) {
        expect(await asker.get(summaryPath(roomId))).toMatchObject(refused(404, 'M_NOT_FOUND'))
      }
    }
    await invite(alice, members, bob)
    expect(await ok(bob.get(summaryPath(members)))).toMatchObject({ membership: 'invite', name: 'members' })
    await join(bob, members)
    expect(await ok(bob.get(summaryPath(guarded)))).toMatchObject({
      join_rule: 'restricted',
      allowed_room_ids: [members],
    })
    expect(await ok(bob.get(summaryPath(members)))).not.toHaveProperty('allowed_room_ids')
    expect(await bob.get(summaryPath('nonsense'))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  })
})
