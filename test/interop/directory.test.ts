/** What one server asks another: profiles, aliases, public rooms, media. */
import { beforeAll, describe, expect, test, vi } from 'vitest'

import { at, createRoom, join, listAt, listIn, patience, type Person, person, sees, stateOf, text } from './people.ts'

const sides = [
  { one: 'Hearth', other: 'Synapse' },
  { one: 'Synapse', other: 'Hearth' },
] as const

/** One pixel. */
const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)

describe.each(sides)('$one asks $other', ({ one, other }) => {
  let alice: Person
  let bob: Person

  beforeAll(async () => {
    ;[alice, bob] = [await person(one, 'alice'), await person(other, 'bob')]
  })

  test('for a profile; and sees it change in a room', async () => {
    const path = `/profile/${encodeURIComponent(bob.userId)}`
    await bob.call('PUT', `${path}/displayname`, { displayname: 'Bob of the hill' })
    expect((await alice.call('GET', `${path}/displayname`)).json).toEqual({ displayname: 'Bob of the hill' })
    expect((await alice.call('GET', path)).json).toMatchObject({ displayname: 'Bob of the hill' })
    const nobody = encodeURIComponent(`@nobody:${bob.server.name}`)
    await expect(alice.call('GET', `/profile/${nobody}`)).rejects.toThrow(': 404 ')

    const roomId = await createRoom(alice, { preset: 'public_chat' })
    await join(bob, roomId, alice)
    await sees(alice, roomId, bob, 'join')
    await bob.call('PUT', `${path}/displayname`, { displayname: 'Bob of the valley' })
    await vi.waitFor(async () => {
      expect(await stateOf(alice, roomId, 'm.room.member', bob.userId)).toMatchObject({
        displayname: 'Bob of the valley',
      })
    }, patience)
  })

  test('for an alias and for public rooms', async () => {
    const alias = `library-${bob.localpart}`
    const roomId = await createRoom(bob, {
      preset: 'public_chat',
      visibility: 'public',
      room_alias_name: alias,
      name: `The library of ${bob.localpart}`,
    })
    const { json } = await alice.call('GET', `/directory/room/${encodeURIComponent(`#${alias}:${bob.server.name}`)}`)
    expect(json).toEqual({ room_id: roomId, servers: expect.arrayContaining([bob.server.name]) })
    const nothing = encodeURIComponent(`#nothing:${bob.server.name}`)
    await expect(alice.call('GET', `/directory/room/${nothing}`)).rejects.toThrow(': 404 ')
    const filter = { generic_search_term: bob.localpart }
    const published = async (who: Person, query = '') => {
      const answer = await who.call('POST', `/publicRooms${query}`, { limit: 10, filter })
      return listIn(answer.json, 'chunk').map((room) => at(room, 'room_id'))
    }
    // A server may take a moment to list a room; what it answered is remembered by others.
    await vi.waitFor(async () => expect(await published(bob)).toEqual([roomId]), patience)
    expect(await published(alice, `?server=${encodeURIComponent(bob.server.name)}`)).toEqual([roomId])
  })

  test('for a file and its thumbnail', async () => {
    const upload = await fetch(`${bob.server.base}/_matrix/media/v3/upload?filename=pixel.png`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${bob.accessToken}`, 'Content-Type': 'image/png' },
      body: png,
    })
    const uri = text(await upload.json(), 'content_uri')
    const media = async (path: string) => {
      const url = `${alice.server.base}/_matrix/client/v1/media/${path}`
      const answer = await fetch(url, { headers: { Authorization: `Bearer ${alice.accessToken}` } })
      expect(answer.status).toBe(200)
      expect(answer.headers.get('Content-Type')).toBe('image/png')
      return Buffer.from(await answer.arrayBuffer())
    }
    expect(await media(`download/${uri.slice('mxc://'.length)}`)).toEqual(png)
    const thumbnail = await media(`thumbnail/${uri.slice('mxc://'.length)}?width=32&height=32&method=scale`)
    expect(thumbnail.subarray(1, 4).toString()).toBe('PNG')
  })

  test('for the rooms of a space', async () => {
    const child = await createRoom(bob, { preset: 'public_chat', name: 'The child' })
    const via = [bob.server.name]
    const space = await createRoom(bob, {
      preset: 'public_chat',
      creation_content: { type: 'm.space' },
      initial_state: [{ type: 'm.space.child', state_key: child, content: { via } }],
    })
    await join(alice, space, bob)
    const path = `/rooms/${encodeURIComponent(space)}/hierarchy`
    const answer = await fetch(`${alice.server.base}/_matrix/client/v1${path}`, {
      headers: { Authorization: `Bearer ${alice.accessToken}` },
    })
    const rooms = listAt(await answer.json(), 'rooms').map((room) => at(room, 'room_id'))
    expect(rooms).toEqual([space, child])
  })
})
