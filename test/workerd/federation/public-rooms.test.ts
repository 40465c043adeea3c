/** Room directories of other servers, and ours for them. Spec: server-server-api/#published-room-directory. */
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'

import { settingsOf } from '../../../worker/settings.ts'
import { ask as askServer } from '../accounts/servers.ts'
import { anonymous, registerUser, type User } from '../client.ts'
import { createRoom, ok, refused } from '../rooms/rooms.ts'
import { authorization } from '../../../worker/federation-client/signed-fetch.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { nameOf, otherServer, type OtherServer, serversAnswer } from './other-server.ts'

interface List {
  readonly chunk: { readonly room_id: string; readonly name?: string; readonly room_type?: string }[]
  readonly next_batch?: string
}

const far = 'directory.test:8448'
let other: OtherServer
let alice: User

beforeAll(async () => {
  other = await otherServer('reader.test')
  alice = await registerUser('fed-publisher')
})
afterEach(() => {
  vi.restoreAllMocks()
})

/** A request of the other server to one of ours whose owner shows the directory. */
function ask(method: 'GET' | 'POST', path: string, body?: JsonObject) {
  const whole = `/_matrix/federation/v1${path}`
  const request = { destination: nameOf(env.SERVER_NAME), method, path: whole, ...(body ? { body } : {}) }
  const Authorization = authorization(request, { ...other.identity, crypto: nodeCrypto })
  return askServer<List>({ PUBLIC_ROOMS_OVER_FEDERATION: 'on' }, method, whole, body, { Authorization })
}

describe('our directory', () => {
  test('is closed to other servers unless the owner opens it', async () => {
    expect(settingsOf(env).publishesRooms).toBe(false)
    expect(await other.ask('GET', '/publicRooms')).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await other.ask('POST', '/publicRooms', {})).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect((await anonymous.get('/_matrix/federation/v1/publicRooms')).status).toBe(401)
  })

  test('is read page by page, with a filter, by type', async () => {
    const names = ['fed-one', 'fed-two', 'fed-three']
    for (const name of names) await createRoom(alice, { visibility: 'public', name })
    await createRoom(alice, { visibility: 'public', name: 'fed-space', creation_content: { type: 'm.space' } })
    await createRoom(alice, { name: 'fed-hidden' })
    const seen: (string | undefined)[] = []
    for (let query = '?limit=2', pages = 0; pages < 10; pages++) {
      const { status, body } = await ask('GET', `/publicRooms${query}`)
      expect(status).toBe(200)
      expect(body.chunk.length).toBeLessThanOrEqual(2)
      seen.push(...body.chunk.map(({ name }) => name))
      if (body.next_batch === undefined) break
      query = `?limit=2&since=${encodeURIComponent(body.next_batch)}`
    }
    expect(new Set(seen.filter((name) => name?.startsWith('fed-')))).toEqual(new Set([...names, 'fed-space']))
    const search = { filter: { generic_search_term: 'FED-T', room_types: [null] }, limit: 10 }
    const { chunk } = (await ask('POST', '/publicRooms', search)).body
    expect(new Set(chunk.map(({ name }) => name))).toEqual(new Set(['fed-three', 'fed-two']))
    const spaces = await ask('POST', '/publicRooms', { filter: { room_types: ['m.space'] } })
    expect(spaces.body.chunk.map(({ name }) => name)).toEqual(['fed-space'])
    expect((await ask('GET', '/publicRooms?third_party_instance_id=irc')).body.chunk).toEqual([])
    expect(await ask('GET', '/publicRooms?since=nonsense')).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await ask('GET', '/publicRooms?limit=-1')).toMatchObject(refused(400, 'M_INVALID_PARAM'))
  })
})

describe("another server's directory", () => {
  const room = { room_id: '!far:directory.test', num_joined_members: 7, world_readable: true, guest_can_join: false }

  test('is read for our users, and only what such a list may hold is passed on', async () => {
    const asked: (string | null)[] = []
    serversAnswer({
      [far]: ({ query }) => {
        asked.push(query.get('limit'), query.get('since'))
        const odd = { ...room, name: 'Far', topic: 7, evil: '<b>', join_rule: 'knock', allowed_room_ids: ['!x:y'] }
        return {
          chunk: [odd, { room_id: 'nonsense', num_joined_members: 1 }, { ...room, num_joined_members: -1 }, null],
          next_batch: 'their-token',
          total_room_count_estimate: 3,
          secret: 1,
        }
      },
    })
    const list = await ok(alice.get<List>(`/publicRooms?server=${far}&limit=5&since=before`))
    expect(list).toEqual({
      chunk: [{ ...room, name: 'Far', join_rule: 'knock' }],
      next_batch: 'their-token',
      total_room_count_estimate: 3,
    })
    // The same question again is not asked again.
    await ok(alice.get<List>(`/publicRooms?server=${far}&limit=5&since=before`))
    expect(asked).toEqual(['5', 'before'])
  })

  test('is searched with a filter', async () => {
    const bodies: unknown[] = []
    serversAnswer({
      [far]: ({ method, body }) => {
        bodies.push(method, body)
        return { chunk: [room] }
      },
    })
    const filter = { generic_search_term: 'cats', room_types: ['m.space', null] }
    const wishes = { limit: 3, filter: { ...filter, more: 1 }, include_all_networks: true }
    const { chunk } = await ok(alice.post<List>(`/publicRooms?server=${far}`, wishes))
    expect(chunk).toMatchObject([{ room_id: room.room_id }])
    expect(bodies).toEqual(['POST', { limit: 3, filter, include_all_networks: true }])
  })

  test('is not read for strangers, and failures are told as such', async () => {
    const asked = serversAnswer({
      'shut.test:8448': () => Response.json({ errcode: 'M_FORBIDDEN', error: 'no' }, { status: 403 }),
      'odd.test:8448': () => Response.json(['list']),
    })
    expect(await anonymous.get(`/publicRooms?server=${far}`)).toMatchObject(refused(401, 'M_MISSING_TOKEN'))
    expect(asked).toEqual([])
    expect(await alice.get('/publicRooms?server=shut.test:8448')).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(await alice.get('/publicRooms?server=odd.test:8448')).toMatchObject(refused(502, 'M_UNKNOWN'))
    expect(await alice.get('/publicRooms?server=dead.test:8448')).toMatchObject(refused(502, 'M_UNKNOWN'))
    expect(await alice.get('/publicRooms?server=%20')).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    // Ours by name is ours.
    await ok(anonymous.get(`/publicRooms?server=${env.SERVER_NAME}`))
  })
})
