/** Looking for people: who finds whom, by which name. Spec: #user-directory. */
import type { JsonObject } from '#protocol/json/json.ts'
import { beforeAll, expect, test } from 'vitest'

import { anonymous, registerUser, type User } from '../client.ts'
import { createRoom, invite, join, ok, refused, setState } from '../rooms/rooms.ts'

let alice: User
let bob: User
let eve: User

beforeAll(async () => {
  alice = await registerUser('directory-alice')
  bob = await registerUser('directory-bob')
  eve = await registerUser('directory-eve')
  await ok(alice.put(`/profile/${encodeURIComponent(alice.userId)}/displayname`, { displayname: 'Alice Cooper' }))
})

const search = (user: User, term: string, more: JsonObject = {}) =>
  ok(user.post('/user_directory/search', { search_term: term, ...more }))
const justAlice = () => ({ results: [{ user_id: alice.userId, display_name: 'Alice Cooper' }], limited: false })
const nobody = { results: [], limited: false }

test('people are found in rooms one shares, by the name in their profile, whatever the case', async () => {
  const roomId = await createRoom(bob, { preset: 'private_chat' })
  await invite(bob, roomId, alice)
  expect(await search(bob, 'cooper')).toEqual(nobody)
  await join(alice, roomId)
  await ok(setState(alice, roomId, 'm.room.member', { membership: 'join', displayname: 'Freddy' }, alice.userId))
  for (const term of ['cooper', 'ALICE C', ' directory-ALICE', alice.userId]) {
    expect(await search(bob, term)).toEqual(justAlice())
  }
  expect(await search(bob, 'freddy')).toEqual(nobody)
  expect(await search(eve, 'cooper')).toEqual(nobody)
  expect(await search(alice, 'cooper')).toEqual(nobody)
})

test('and in rooms that are open to all', async () => {
  const roomId = await createRoom(alice, { preset: 'public_chat' })
  expect(await search(eve, 'cooper')).toEqual(justAlice())
  await join(bob, roomId)
  const one = await search(eve, 'directory-', { limit: 1 })
  expect(one).toMatchObject({ results: [{}], limited: true })
  expect(await search(eve, 'directory-', { limit: 2 })).toMatchObject({ results: [{}, {}], limited: false })
})

test('nobody is found by nothing, and bad searches are refused', async () => {
  expect(await search(eve, ' ')).toEqual(nobody)
  expect(await search(eve, '%')).toEqual(nobody)
  expect(await eve.post('/user_directory/search', {})).toMatchObject(refused(400, 'M_MISSING_PARAM'))
  expect(await eve.post('/user_directory/search', { search_term: 7 })).toMatchObject(refused(400, 'M_BAD_JSON'))
  const negative = await eve.post('/user_directory/search', { search_term: 'a', limit: -1 })
  expect(negative).toMatchObject(refused(400, 'M_BAD_JSON'))
  expect(await anonymous.post('/user_directory/search', { search_term: 'a' })).toMatchObject(
    refused(401, 'M_MISSING_TOKEN'),
  )
})
