/** Spaces and summaries of rooms that this server is not in. Spec: client-server-api/#spaces, server-server-api/#spaces. */
import type { JsonObject } from '#protocol/json/json.ts'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'

import { anonymous, registerUser, type User } from '../client.ts'
import { at, createRoom, ok, refused, setState } from '../rooms/rooms.ts'
import { FarRoom } from './far-room.ts'
import { type Asked, otherServer, type OtherServer, type Reply, serversAnswer, signedBy } from './other-server.ts'

interface Hierarchy {
  readonly rooms: { readonly room_id: string; readonly name?: string; readonly children_state: JsonObject[] }[]
  readonly next_batch?: string
}

let alice: User
let bob: User
beforeAll(async () => {
  alice = await registerUser('far-alice')
  bob = await registerUser('far-bob')
})
afterEach(() => {
  vi.restoreAllMocks()
})

const path = (roomId: string, query = '') => `/_matrix/client/v1${at(roomId, `/hierarchy${query}`)}`
const tree = async (reader: User, roomId: string, query = '') => ok(reader.get<Hierarchy>(path(roomId, query)))
const names = ({ rooms }: Hierarchy) => rooms.map(({ name }) => name)
const summaryOf = (reader: Pick<User, 'get'>, roomId: string, query = '') =>
  reader.get(`/_matrix/client/v1/room_summary/${encodeURIComponent(roomId)}${query}`)

let servers = 0
/** Each story has servers of its own: what they said is remembered for a while. */
const newServer = () => `spaces${++servers}.test:8448`

const summary = (roomId: string, more: JsonObject = {}): JsonObject => ({
  room_id: roomId,
  name: roomId.slice(1).split(':')[0],
  num_joined_members: 2,
  world_readable: false,
  guest_can_join: false,
  join_rule: 'public',
  ...more,
})
const child = (roomId: string, via: string, more: JsonObject = {}): JsonObject => ({
  type: 'm.space.child',
  state_key: roomId,
  sender: '@far:away',
  content: { via: [via], ...more },
  origin_server_ts: 1,
})
const space = (roomId: string, children: JsonObject[] = [], more: JsonObject = {}): JsonObject => ({
  ...summary(roomId, { room_type: 'm.space', ...more }),
  children_state: children,
})
/** Answers about hierarchies. */
const tells =
  (rooms: Readonly<Record<string, JsonObject>>): Reply =>
  ({ path: asked }: Asked) =>
    rooms[asked.replace('/_matrix/federation/v1/hierarchy/', '')]
const whole = (room: JsonObject, children: JsonObject[] = [], inaccessible: string[] = []): JsonObject => ({
  room,
  children,
  inaccessible_children: inaccessible,
})

async function spaceHere(...links: [roomId: string, via: string][]): Promise<string> {
  const root = await createRoom(alice, { preset: 'public_chat', name: 'root', creation_content: { type: 'm.space' } })
  for (const [index, [roomId, via]] of links.entries()) {
    await ok(setState(alice, root, 'm.space.child', { via: [via], order: `${index}` }, roomId))
  }
  return root
}

describe('a space with rooms of other servers', () => {
  test('is shown with what those servers tell, space in space', async () => {
    const [one, two] = [newServer(), newServer()]
    const [inner, leaf, deep] = [`!inner:${one}`, `!leaf:${one}`, `!deep:${two}`]
    const root = await spaceHere([inner, one])
    const asked = serversAnswer({
      [one]: tells({
        [inner]: whole(space(inner, [child(leaf, one), child(deep, two), child(root, one)]), [
          summary(leaf),
          summary(deep, { room_type: 'm.space', name: 'hearsay' }),
          summary(`!smuggled:${one}`),
        ]),
      }),
      [two]: tells({ [deep]: whole(space(deep, [child(inner, one)])) }),
    })
    const found = await tree(bob, root)
    expect(names(found)).toEqual(['root', 'inner', 'leaf', 'deep'])
    expect(found.rooms[1]?.children_state).toEqual([child(leaf, one), child(deep, two), child(root, one)])
    expect(found.rooms[2]).toEqual({ ...summary(leaf), children_state: [] })
    // The leaf needed no question; the answers are kept.
    expect(asked.length).toBe(2)
    expect(names(await tree(alice, root))).toEqual(['root', 'inner', 'leaf', 'deep'])
    expect(asked.length).toBe(2)
  })

  test('is paged through', async () => {
    const one = newServer()
    const inner = `!inner:${one}`
    const leaves = ['a', 'b', 'c', 'd'].map((name) => `!${name}:${one}`)
    const links = leaves.map((id) => child(id, one))
    serversAnswer({
      [one]: tells({
        [inner]: whole(
          space(inner, links),
          leaves.map((id) => summary(id)),
        ),
      }),
    })
    const root = await spaceHere([inner, one])
    const seen: unknown[] = []
    for (let query = '?limit=2', pages = 0; pages < 9; pages++) {
      const page = await tree(bob, root, query)
      seen.push(...names(page))
      if (page.next_batch === undefined) break
      query = `?limit=2&from=${page.next_batch}`
    }
    expect(seen).toEqual(['root', 'inner', 'a', 'b', 'c', 'd'])
  })

  test('shows each reader what they may see, whatever the other server tells', async () => {
    const one = newServer()
    const members = await createRoom(alice, { preset: 'private_chat', name: 'members' })
    const rooms: [string, JsonObject][] = [
      ['!open', {}],
      ['!knock', { join_rule: 'knock' }],
      ['!both', { join_rule: 'knock_restricted' }],
      ['!readable', { join_rule: 'invite', world_readable: true }],
      ['!closed', { join_rule: 'invite' }],
      ['!guarded', { join_rule: 'restricted', allowed_room_ids: [members] }],
      ['!lost', { join_rule: 'restricted', allowed_room_ids: ['!nowhere:away'] }],
    ]
    const inner = `!inner:${one}`
    const links = rooms.map(([id]) => child(`${id}:${one}`, one))
    const told = rooms.map(([id, more]) => summary(`${id}:${one}`, more))
    serversAnswer({ [one]: tells({ [inner]: whole(space(inner, links), told) }) })
    const root = await spaceHere([inner, one])
    const forAll = ['root', 'inner', 'open', 'knock', 'both', 'readable']
    expect(names(await tree(bob, root))).toEqual(forAll)
    expect(names(await tree(alice, root))).toEqual([...forAll, 'guarded'])
  })

  test('says of our own rooms what we know, not what others say', async () => {
    const one = newServer()
    const [inner, ours] = [`!inner:${one}`, await createRoom(alice, { preset: 'private_chat', name: 'ours' })]
    serversAnswer({
      [one]: tells({ [inner]: whole(space(inner, [child(ours, one)]), [summary(ours, { name: 'lies' })]) }),
    })
    const root = await spaceHere([inner, one])
    expect(names(await tree(bob, root))).toEqual(['root', 'inner'])
    expect(names(await tree(alice, root))).toEqual(['root', 'inner', 'ours'])
  })

  test('is not held up by a server that is dead, odd or hostile; none is asked again and again', async () => {
    const [dead, odd, good] = [newServer(), newServer(), newServer()]
    const root = await spaceHere(
      ...['a', 'b', 'c'].map((name): [string, string] => [`!${name}:${dead}`, dead]),
      [`!x:${odd}`, odd],
      [`!y:${odd}`, odd],
      [`!good:${good}`, good],
    )
    const asked = serversAnswer({
      [odd]: ({ path: each }) =>
        each.includes('!x')
          ? whole(space(`!another:${odd}`))
          : whole({
              ...space(`!y:${odd}`),
              children_state: [7, null, child('nonsense', 'x'), { type: 'm.space.child' }],
            }),
      [good]: tells({ [`!good:${good}`]: whole(summary(`!good:${good}`)) }),
    })
    expect(names(await tree(bob, root))).toEqual(['root', 'y', 'good'])
    const toDead = () => asked.filter((each) => each.includes(dead)).length
    expect(toDead()).toBeLessThanOrEqual(3)
    const before = toDead()
    await tree(alice, root)
    expect(toDead()).toBe(before)
  })

  test('leaves out what its server says nobody may enter, without asking again', async () => {
    const [one, two] = [newServer(), newServer()]
    const [inner, shut] = [`!inner:${one}`, `!shut:${two}`]
    const asked = serversAnswer({
      [one]: tells({ [inner]: whole(space(inner, [child(shut, two)]), [], [shut]) }),
      [two]: tells({ [shut]: whole(summary(shut)) }),
    })
    expect(names(await tree(bob, await spaceHere([inner, one])))).toEqual(['root', 'inner'])
    expect(asked.length).toBe(1)
  })
})

describe('a room of another server', () => {
  test('is summarised over the servers named, and shown as the root of a tree', async () => {
    const one = newServer()
    const far = `!space:${one}`
    serversAnswer({ [one]: tells({ [far]: whole(space(far)) }) })
    const { children_state: _, ...facts } = space(far)
    expect(await ok(summaryOf(bob, far, `?via=${one}`))).toEqual({ ...facts, membership: 'leave' })
    expect(names(await tree(bob, far, `?via=${one}`))).toEqual(['space'])
    expect(await summaryOf(bob, `!other:${one}`)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await bob.get(path(`!other:${one}`))).toMatchObject(refused(403, 'M_FORBIDDEN'))
  })

  test('is not looked for by people nobody knows', async () => {
    const one = newServer()
    const asked = serversAnswer({ [one]: tells({ [`!room:${one}`]: whole(summary(`!room:${one}`)) }) })
    expect(await summaryOf(anonymous, `!room:${one}`, `?via=${one}`)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(asked).toEqual([])
  })

  test('is shown to those it invited, and to nobody else', async () => {
    const other: OtherServer = await otherServer(newServer())
    const room = new FarRoom(other)
    const content = { membership: 'invite' }
    const template = room.build({ type: 'm.room.member', stateKey: bob.userId, content }).json
    const invite = signedBy(other, room.version, template)
    const body = { room_version: room.version, event: invite.json, invite_room_state: [] }
    const place = `${encodeURIComponent(room.roomId)}/${encodeURIComponent(invite.event_id)}`
    serversAnswer({
      [other.name]: tells({ [room.roomId]: whole(summary(room.roomId, { join_rule: 'invite' })) }),
    })
    await ok(other.ask('PUT', `/_matrix/federation/v2/invite/${place}`, body))
    expect(await ok(summaryOf(bob, room.roomId, `?via=${other.name}`))).toMatchObject({ membership: 'invite' })
    expect(await summaryOf(alice, room.roomId, `?via=${other.name}`)).toMatchObject(refused(404, 'M_NOT_FOUND'))
  })
})
