/** Looking for people: who finds whom, by which name. Spec: #user-directory. */
import type { JsonObject } from '#protocol/json/json.ts'
import { env } from 'cloudflare:workers'
import { beforeAll, expect, test } from 'vitest'

import { searchProfiles } from '../../../worker/accounts/profile-search.ts'
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

test('words of a name find, in any order, without accents, and until the name is another', async () => {
  await createRoom(alice, { preset: 'public_chat' })
  const name = (displayname: string) =>
    ok(alice.put(`/profile/${encodeURIComponent(alice.userId)}/displayname`, { displayname }))
  await name('Ål-ice Éluard 田中')
  const found = { results: [{ user_id: alice.userId, display_name: 'Ål-ice Éluard 田中' }], limited: false }
  for (const term of ['eluard', 'ÉLU al', 'ice', '田', `@directory-alice`, '@directory-alice:test']) {
    expect(await search(eve, term)).toEqual(found)
  }
  for (const term of ['cooper', 'uard', 'eluard bob', '@directory-alice:elsewhere']) {
    expect(await search(eve, term)).toEqual(nobody)
  }
  await ok(alice.delete(`/profile/${encodeURIComponent(alice.userId)}/displayname`))
  expect(await search(eve, 'eluard')).toEqual(nobody)
  await name('Alice Cooper')
  expect(await search(eve, 'cooper')).toEqual(justAlice())
})

test('looking for somebody reads the rows of those who are found, not of everybody', async () => {
  const people = JSON.stringify(Array.from({ length: 3000 }, (_, n) => ({ id: `@person${n}:test.local`, n })))
  const from = 'FROM json_each(?), (SELECT 1)'
  await env.DB.batch([
    env.DB.prepare(`INSERT INTO users(user_id, created_at) SELECT value ->> 'id', 0 ${from}`).bind(people),
    env.DB.prepare(
      `INSERT INTO profiles(user_id, fields) SELECT value ->> 'id', '{"displayname":"Person"}' ${from}`,
    ).bind(people),
    env.DB.prepare(
      `INSERT INTO profile_words(word, user_id) SELECT 'person' || (value ->> 'n'), value ->> 'id' ${from}`,
    ).bind(people),
  ])
  let read = 0
  const counted = (statement: D1PreparedStatement): D1PreparedStatement =>
    new Proxy(statement, {
      get: (of, name) => {
        if (name === 'bind') return (...values: unknown[]) => counted(of.bind(...values))
        if (name !== 'all') return Reflect.get(of, name, of)
        return async () => {
          const answer = await of.all()
          read += answer.meta.rows_read
          return answer
        }
      },
    })
  const DB = new Proxy(env.DB, {
    get: (of, name) => (name === 'prepare' ? (text: string) => counted(of.prepare(text)) : Reflect.get(of, name, of)),
  })
  expect([...(await searchProfiles({ ...env, DB }, ['person2999'])).keys()]).toEqual(['@person2999:test.local'])
  expect(read).toBeLessThan(10)
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
