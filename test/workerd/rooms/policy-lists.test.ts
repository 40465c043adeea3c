/** Policy lists that the server follows: whom and what they keep away, and what an administrator does with them. */
import type { JsonObject } from '#protocol/json/json.ts'
import { beforeAll, describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { registerAdmin } from '../people/admins.ts'
import { at, createRoom, invite, join, ok, refused, setState, stateOf } from './rooms.ts'

const lists = '/_hearth/admin/policy_lists'
const one = (roomId: string) => `${lists}/${encodeURIComponent(roomId)}`
let names = 0
const person = (word = 'policed') => registerUser(`${word}-${(names += 1)}`)
const forbidden = refused(403, 'M_FORBIDDEN')

let admin: User
let listId: string
beforeAll(async () => {
  admin = await registerAdmin('policy-admin')
  listId = await createRoom(admin, { name: 'Nobody wants these', preset: 'private_chat' })
  expect(await ok(admin.post(lists, { room: listId }))).toEqual({ room_id: listId })
})

const ban = (kind: string, entity: unknown, key = `rule ${(names += 1)}`) => {
  const content: JsonObject = JSON.parse(JSON.stringify({ entity, recommendation: 'm.ban', reason: 'tested' }))
  return ok(setState(admin, listId, kind.includes('.') ? kind : `m.policy.rule.${kind}`, content, key))
}

describe('who is banned', () => {
  test('by name invites nobody, is invited by nobody and joins nothing, until the rule is taken back', async () => {
    const [bad, good] = [await person(), await person()]
    const [theirs, ours] = [await createRoom(bad), await createRoom(good, { preset: 'public_chat' })]
    await ban('user', bad.userId, 'one')
    expect(await bad.post(at(theirs, '/invite'), { user_id: good.userId })).toMatchObject(forbidden)
    expect(await bad.post('/createRoom', { invite: [good.userId] })).toMatchObject(forbidden)
    const member = { membership: 'invite' }
    expect(await setState(bad, theirs, 'm.room.member', member, good.userId)).toMatchObject(forbidden)
    expect(await good.post(at(ours, '/invite'), { user_id: bad.userId })).toMatchObject(forbidden)
    expect(await bad.post(`/join/${encodeURIComponent(ours)}`)).toMatchObject(forbidden)
    expect(await bad.post(at(ours, '/join'))).toMatchObject(forbidden)
    expect(await setState(bad, ours, 'm.room.member', { membership: 'join' }, bad.userId)).toMatchObject(forbidden)
    expect(await bad.post(`/knock/${encodeURIComponent(ours)}`)).toMatchObject(forbidden)
    expect(await setState(bad, ours, 'm.room.member', { membership: 'knock' }, bad.userId)).toMatchObject(forbidden)
    // Their own room is theirs to make and to leave.
    await ok(bad.post(at(theirs, '/leave')))
    await ok(setState(admin, listId, 'm.policy.rule.user', {}, 'one'))
    await join(bad, ours)
  })

  test('by a redacted rule no more', async () => {
    const [bad, good] = [await person(), await person()]
    const ours = await createRoom(good, { preset: 'public_chat' })
    const { event_id: eventId } = await ban('user', bad.userId)
    expect(await bad.post(at(ours, '/join'))).toMatchObject(forbidden)
    await ok(admin.put(at(listId, `/redact/${encodeURIComponent(eventId)}/redaction`)))
    await join(bad, ours)
  })

  test.each(['org.matrix.mjolnir.rule.user', 'm.room.rule.user'])('by a glob, in a rule of type %s', async (type) => {
    const [bad, good] = [await person('globbed'), await person()]
    const ours = await createRoom(good, { preset: 'public_chat' })
    const key = `glob ${type}`
    await ban(type, '@glob?ed-*:test.local', key)
    expect(await bad.post(at(ours, '/join'))).toMatchObject(forbidden)
    await ok(setState(admin, listId, type, {}, key))
    await join(bad, ours)
  })
})

describe('what is banned', () => {
  test('a room: nobody joins it or invites to it', async () => {
    const [host, guest] = [await person(), await person()]
    const banned = await createRoom(host, { preset: 'public_chat' })
    await ban('room', banned)
    expect(await guest.post(at(banned, '/join'))).toMatchObject(forbidden)
    expect(await host.post(at(banned, '/invite'), { user_id: guest.userId })).toMatchObject(forbidden)
    await ok(guest.get('/joined_rooms'))
  })

  test('an alias: nobody joins by it', async () => {
    const [host, guest] = [await person(), await person()]
    const roomId = await createRoom(host, { preset: 'public_chat', room_alias_name: 'banned-alias' })
    await ban('room', '#banned-*:*')
    const alias = encodeURIComponent('#banned-alias:test.local')
    expect(await guest.post(`/join/${alias}`)).toMatchObject(forbidden)
    expect(await guest.post(`/knock/${alias}`)).toMatchObject(forbidden)
    await join(guest, roomId)
  })

  test('not this server, nor the list itself: rules that would end everything do not count', async () => {
    const [host, guest] = [await person(), await person()]
    await ban('server', 'test.local', 'own')
    await ban('room', listId, 'self')
    const roomId = await createRoom(host)
    await invite(host, roomId, guest)
    await join(guest, roomId)
    await invite(admin, listId, guest)
    await join(guest, listId)
    await ok(setState(admin, listId, 'm.policy.rule.server', {}, 'own'))
  })
})

test('hostile rules ban nobody', async () => {
  const [host, guest] = [await person(), await person()]
  const roomId = await createRoom(host)
  for (const entity of [7, null, [], { a: 1 }, '', '*'.repeat(300), '*'.repeat(60_000)]) await ban('user', entity)
  await ok(setState(admin, listId, 'm.policy.rule.user', { entity: '*', recommendation: 'm.takedown' }, 'other'))
  await ok(setState(admin, listId, 'm.policy.rule.user', { entity: '*', recommendation: 7 }, 'none'))
  await invite(host, roomId, guest)
  await join(guest, roomId)
})

describe('an administrator', () => {
  test('sees lists and rules, and asks who is banned', async () => {
    await ban('server', '*.asked.example', 'asked')
    const { policy_lists: all } = await ok(admin.get<{ policy_lists: JsonObject[] }>(lists))
    expect(all).toEqual([
      {
        room_id: listId,
        name: 'Nobody wants these',
        added_by: admin.userId,
        added_ts: expect.any(Number),
        followed: true,
        rules: { user: expect.any(Number), room: expect.any(Number), server: 1 },
      },
    ])
    const page = await ok(admin.get<{ rules: JsonObject[]; total: number }>(`${one(listId)}/rules`))
    expect(page.rules).toHaveLength(page.total)
    expect(page.rules).toContainEqual({ kind: 'server', entity: '*.asked.example', reason: 'tested' })
    expect(await ok(admin.get(`${one(listId)}/rules?limit=1&from=1`))).toMatchObject({
      rules: [page.rules[1]],
      next_token: 2,
    })
    const asked = (entity: string) => ok(admin.get(`${lists}/check?entity=${encodeURIComponent(entity)}`))
    const rule = { kind: 'server', entity: '*.asked.example', reason: 'tested' }
    expect(await asked('@any:deep.asked.example:8448')).toEqual({ banned: true, room_id: listId, rule })
    expect(await asked('deep.asked.example')).toEqual({ banned: true, room_id: listId, rule })
    expect(await asked('#room:test.local')).toEqual({ banned: false })
    expect(await asked('!room:test.local')).toEqual({ banned: false })
    expect(await admin.get(`${lists}/check?entity=%20`)).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await admin.get(`${lists}/check`)).toMatchObject(refused(400, 'M_MISSING_PARAM'))
  })

  test('follows a list in which nobody is: the server joins itself, and leaves at the end', async () => {
    const [host, victim] = [await person(), await person()]
    const alias = `bans-${(names += 1)}`
    const other = await createRoom(host, { preset: 'public_chat', room_alias_name: alias })
    const content = { entity: victim.userId, recommendation: 'm.ban' }
    await ok(setState(host, other, 'm.policy.rule.user', content, 'x'))
    await ok(host.post(at(other, '/leave')))
    await ok(admin.post(lists, { room: `#${alias}:test.local`, via: ['test.local', 'not a server'] }))
    // Followed twice is followed once.
    await ok(admin.post(lists, { room: other }))
    const roomId = await createRoom(host, { preset: 'public_chat' })
    expect(await victim.post(at(roomId, '/join'))).toMatchObject(forbidden)
    expect(await ok(admin.delete(one(other)))).toEqual({})
    await join(victim, roomId)
    expect(await admin.delete(one(other))).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await admin.get(`${one(other)}/rules`)).toMatchObject(refused(404, 'M_NOT_FOUND'))
  })

  test('is the only one who may', async () => {
    const user = await person()
    for (const answer of [
      user.get(lists),
      user.post(lists, { room: listId }),
      user.delete(one(listId)),
      user.get(`${one(listId)}/rules`),
      user.get(`${lists}/check?entity=${user.userId}`),
    ]) {
      expect(await answer).toMatchObject(forbidden)
    }
    expect(await admin.post(lists, { room: 'nothing' })).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await admin.post(lists, {})).toMatchObject(refused(400, 'M_MISSING_PARAM'))
    expect(await admin.post(lists, { room: '#nobody-has:test.local' })).toMatchObject(refused(404, 'M_NOT_FOUND'))
  })
})

test('a list is only read when it was followed, and its rules stand in it alone', async () => {
  const host = await person()
  const unfollowed = await createRoom(host)
  const guest = await person()
  await ok(setState(host, unfollowed, 'm.policy.rule.user', { entity: guest.userId, recommendation: 'm.ban' }, 'x'))
  const roomId = await createRoom(host)
  await invite(host, roomId, guest)
  expect(await stateOf(host, roomId, 'm.room.member', guest.userId)).toMatchObject({ membership: 'invite' })
})
