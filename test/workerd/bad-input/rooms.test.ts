/**
 * Every operation about a room, asked by somebody who has no business there: the room is unknown, somebody else's, one they
 * left, one they are banned from. What was said after they were in it they are told by none.
 */
import type { JsonObject } from '#protocol/json/json.ts'
import { beforeAll, describe, expect, test } from 'vitest'

import type { Operation } from '../../../worker/operation.ts'
import { type Answer, registerUser, type User } from '../client.ts'
import { at, createRoom, join, ok, say } from '../rooms/rooms.ts'
import { ask, clientOperations, differing, nameOf, paramsOf, verdict } from './table.ts'

const about = clientOperations.filter(
  (op) =>
    op.options.auth !== 'none' &&
    paramsOf(op).some((name) => name === 'roomId' || name === 'roomIdOrAlias') &&
    !/^\/_(?:synapse|hearth)\//.test(op.path),
)

/** What is somebody's own, whatever the room. */
const ones = new Set([
  'setAccountDataPerRoom',
  'getAccountDataPerRoom',
  'deleteAccountDataPerRoom',
  'getRoomTags',
  'setRoomTag',
  'deleteRoomTag',
  'putRoomKeysByRoomId',
  'putRoomKeyBySessionId',
  'getRoomKeysByRoomId',
  'getRoomKeyBySessionId',
  'deleteRoomKeysByRoomId',
  'deleteRoomKeyBySessionId',
])
/** "If the user has left the room then …": the past is theirs to read, and to forget. */
const past = new Set([
  'getRoomState',
  'getMembersByRoom',
  'getRoomEvents',
  'roomInitialSync',
  'getThreadRoots',
  'forgetRoom',
])
/** Of rooms that anybody may enter, anybody may know that. */
const open = new Set(['getSpaceHierarchy', 'getRoomSummary', 'joinRoom', 'joinRoomById', 'reportRoom'])

const bodies: Readonly<Record<string, (target: string) => JsonObject>> = {
  setReadMarker: () => ({ 'm.fully_read': '$nothing' }),
  setTyping: () => ({ typing: true, timeout: 1000 }),
  upgradeRoom: () => ({ new_version: '11' }),
  sendDelayedEvent: () => ({ delay: 1000, content: {} }),
  inviteUser: (user_id) => ({ user_id }),
  kick: (user_id) => ({ user_id }),
  ban: (user_id) => ({ user_id }),
  unban: (user_id) => ({ user_id }),
  reportRoom: () => ({ reason: 'none' }),
}

let names = 0
let alice: User
let mallory: User
const rooms: Record<string, { readonly roomId: string; readonly eventId: string }> = {}
beforeAll(async () => {
  const name = `rooms-${(names += 1)}`
  ;[alice, mallory] = [await registerUser(`${name}-alice`), await registerUser(`${name}-mallory`)]
  const secret = 'unheard-of words'
  for (const kind of ['others', 'left', 'banned']) {
    const preset = kind === 'others' ? 'private_chat' : 'public_chat'
    const visibility = { type: 'm.room.history_visibility', content: { history_visibility: 'joined' } }
    const roomId = await createRoom(alice, { preset, initial_state: [visibility] })
    if (kind !== 'others') await join(mallory, roomId)
    if (kind === 'left') await ok(mallory.post(at(roomId, '/leave')))
    if (kind === 'banned') await ok(alice.post(at(roomId, '/ban'), { user_id: mallory.userId }))
    rooms[kind] = { roomId, eventId: await say(alice, roomId, secret) }
  }
  rooms['unknown'] = { roomId: '!nowhere:test.local', eventId: '$nothing' }
})

function asked(kind: string, all: readonly Operation[], isRight: (answer: Answer, op: Operation) => boolean) {
  const { roomId = '', eventId = '' } = rooms[kind] ?? {}
  const params = { roomId, roomIdOrAlias: roomId, eventId, userId: mallory.userId }
  const body = (op: Operation) => bodies[op.options.id]?.(alice.userId)
  const token = mallory.accessToken
  return differing(
    all,
    nameOf,
    (op) => ask(op, { token, params, query: '?ts=1&dir=b', body: body(op) }),
    (answer, op) => !answer.text.includes('unheard-of') && isRight(answer, op),
  )
}
const isRefused = (answer: Answer) => ['403 M_FORBIDDEN', '404 M_NOT_FOUND'].includes(verdict(answer))
const isTheirs = ({ options: { id } }: Operation) => ones.has(id)

test('there are many, and every exception is one of them', () => {
  expect(about.length).toBeGreaterThan(50)
  const ids = new Set(about.map(({ options }) => options.id))
  expect([...ones, ...past, ...open, ...Object.keys(bodies)].filter((id) => !ids.has(id))).toEqual([])
})

describe('is refused', () => {
  test.each(['unknown', 'others'])('in a room that is %s', async (kind) => {
    const refused = about.filter((op) => !isTheirs(op) && op.options.id !== 'reportRoom')
    expect(await asked(kind, refused, isRefused)).toEqual({})
  })

  test.each(['left', 'banned'])('in a room that they %s, but for what is past', async (kind) => {
    const refused = about.filter(
      (op) => !isTheirs(op) && !past.has(op.options.id) && !open.has(op.options.id) && op.options.id !== 'leaveRoom',
    )
    expect(await asked(kind, refused, isRefused)).toEqual({})
  })
})

test.each(['unknown', 'others', 'left', 'banned'])('what is their own, or past, does no harm: %s', async (kind) => {
  const theirs = about.filter((op) => isTheirs(op) || past.has(op.options.id))
  expect(await asked(kind, theirs, ({ status }) => status < 500)).toEqual({})
})

test('a room that is not known is like one they are not in, for who reads', async () => {
  const reading = about.filter(({ method, path }) => method === 'GET' && path.includes('/rooms/:roomId'))
  const [unknown, others] = [new Map<string, string>(), new Map<string, string>()]
  await asked('unknown', reading, (answer, op) => Boolean(unknown.set(nameOf(op), verdict(answer))))
  await asked('others', reading, (answer, op) => Boolean(others.set(nameOf(op), verdict(answer))))
  expect(reading.length).toBeGreaterThan(15)
  expect(others).toEqual(unknown)
})

test('who is banned does not come in, by no way', async () => {
  const { roomId = '' } = rooms['banned'] ?? {}
  const room = encodeURIComponent(roomId)
  for (const answer of [
    mallory.post(`/join/${room}`),
    mallory.post(at(roomId, '/join')),
    mallory.post(`/knock/${room}`),
    mallory.put(at(roomId, `/state/m.room.member/${encodeURIComponent(mallory.userId)}`), { membership: 'join' }),
    mallory.post(at(roomId, '/invite'), { user_id: mallory.userId }),
    mallory.post(at(roomId, '/unban'), { user_id: mallory.userId }),
    mallory.post(at(roomId, '/leave')),
  ]) {
    expect(verdict(await answer)).toBe('403 M_FORBIDDEN')
  }
})
