/**
 * Who is ignored: by no way does what they do reach the one who ignores them, but for state. Spec: client-server-api/#ignoring-
 * users. Carol is in the same room and ignores nobody: what she gets shows that there is something to be kept away.
 */
import type { JsonObject } from '#protocol/json/json.ts'
import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { openGateway, openNetwork } from '../push/gateway.ts'
import { ignore, relate } from '../relations/relating.ts'
import { slide } from '../sliding-sync/sliding.ts'
import { type SyncBody, sync } from '../sync/syncing.ts'
import { at, createRoom, invite, join, ok, refused, say, setState } from './rooms.ts'

let names = 0
const person = (word: string) => registerUser(`ignoring-${word}-${(names += 1)}`)
let alice: User
let mallory: User
let carol: User
let roomId: string
beforeAll(async () => {
  ;[alice, mallory, carol] = [await person('alice'), await person('mallory'), await person('carol')]
})
beforeEach(async () => {
  roomId = await createRoom(carol, { preset: 'public_chat' })
  await join(alice, roomId)
  await join(mallory, roomId)
  await ignore(alice, mallory)
})

const encoded = encodeURIComponent
const text = (body: unknown) => JSON.stringify(body)

describe('what is said', () => {
  test('comes by no sync, and what they do to the state does', async () => {
    const [before, carols] = [await sync(alice), await sync(carol)]
    await say(mallory, roomId, 'unwanted words')
    await ok(
      setState(mallory, roomId, 'm.room.member', { membership: 'join', displayname: 'New name' }, mallory.userId),
    )
    const after = await sync(alice, { since: before.next_batch })
    expect(text(after)).not.toContain('unwanted words')
    expect(text(after)).toContain('New name')
    expect(text(await sync(carol, { since: carols.next_batch }))).toContain('unwanted words')
    const lists = { all: { ranges: [[0, 9]], timeline_limit: 20, required_state: [['*', '*']] } }
    expect(text(await slide(alice, { lists }))).not.toContain('unwanted words')
    expect(text(await slide(carol, { lists }))).toContain('unwanted words')
  })

  test.each(['/messages?dir=b&limit=50', '/initialSync'])('is not in %s', async (path) => {
    await say(mallory, roomId, 'unwanted words')
    expect((await alice.get(at(roomId, path))).text).not.toContain('unwanted words')
    expect((await carol.get(at(roomId, path))).text).toContain('unwanted words')
  })

  test('is not in the old streams', async () => {
    const { end } = await ok(alice.get<{ end: string }>('/initialSync?limit=1'))
    await say(mallory, roomId, 'unwanted words')
    expect((await alice.get(`/events?from=${encoded(end)}&timeout=0`)).text).not.toContain('unwanted words')
    expect((await alice.get('/initialSync?limit=20')).text).not.toContain('unwanted words')
  })

  test('is not found by its ID, as event or context, and not around others', async () => {
    const theirs = await say(mallory, roomId, 'unwanted words')
    const next = await say(carol, roomId, 'welcome')
    for (const path of [
      at(roomId, `/event/${encoded(theirs)}`),
      at(roomId, `/context/${encoded(theirs)}`),
      `/events/${encoded(theirs)}`,
    ]) {
      expect(await alice.get(path)).toMatchObject(refused(404, 'M_NOT_FOUND'))
      expect((await carol.get(path)).status).toBe(200)
    }
    expect((await alice.get(at(roomId, `/context/${encoded(next)}`))).text).not.toContain('unwanted words')
    // Their state is there.
    const { chunk } = await ok(alice.get<{ chunk: { event_id: string; sender: string }[] }>(at(roomId, '/members')))
    const member = chunk.find(({ sender }) => sender === mallory.userId)
    expect((await alice.get(at(roomId, `/event/${encoded(member?.event_id ?? '')}`))).status).toBe(200)
  })

  test('is not found by a search', async () => {
    await say(mallory, roomId, 'unwanted cheese')
    const search = { search_categories: { room_events: { search_term: 'cheese', filter: { rooms: [roomId] } } } }
    const found = async (user: User) => (await user.post('/search', search)).text
    expect(await found(alice)).not.toContain('unwanted')
    expect(await found(carol)).toContain('unwanted')
  })

  test('is in no relation, thread or bundle', async () => {
    const root = await say(carol, roomId, 'root')
    await relate(carol, roomId, root, 'm.thread', { body: 'welcome reply' })
    await relate(mallory, roomId, root, 'm.thread', { body: 'unwanted reply' })
    const reference = await relate(mallory, roomId, root, 'm.reference', { body: 'unwanted reference' })
    const theirRoot = await say(mallory, roomId, 'unwanted root')
    await relate(mallory, roomId, theirRoot, 'm.replace', { body: '*', 'm.new_content': { body: 'unwanted edit' } })
    await relate(carol, roomId, theirRoot, 'm.thread', { body: 'welcome answer' })
    const v1 = (path: string) => `/_matrix/client/v1${at(roomId, path)}`
    for (const path of [
      v1(`/relations/${encoded(root)}`),
      v1(`/relations/${encoded(theirRoot)}?recurse=true`),
      v1('/threads'),
      at(roomId, `/event/${encoded(root)}`),
    ]) {
      const { status, text: body } = await alice.get(path)
      expect(status).toBe(200)
      expect(body).not.toMatch(/unwanted/)
      expect(body).not.toContain(reference)
    }
    const { unsigned } = await ok(alice.get<{ unsigned: JsonObject }>(at(roomId, `/event/${encoded(root)}`)))
    expect(unsigned).toMatchObject({ 'm.relations': { 'm.thread': { count: 1 } } })
    expect((await carol.get(v1('/threads'))).text).toContain('unwanted edit')
  })

  test('neither counts nor rings, nor stands in the list of notifications', async () => {
    const { next_batch: since } = await sync(alice)
    await say(mallory, roomId, `unwanted ${alice.userId}`)
    await ok(
      mallory.put(at(roomId, '/send/m.room.message/mention'), {
        msgtype: 'm.text',
        body: 'you',
        'm.mentions': { user_ids: [alice.userId] },
      }),
    )
    const { rooms } = await sync(alice)
    expect(rooms?.join?.[roomId]?.unread_notifications).toEqual({ notification_count: 0, highlight_count: 0 })
    expect((await alice.get('/notifications')).text).not.toContain(mallory.userId)
    expect((await sync(alice, { since })).rooms?.join?.[roomId]?.timeline?.events ?? []).toEqual([])
  })
})

describe('what passes', () => {
  const ephemeral = (body: SyncBody) => text(body.rooms?.join?.[roomId]?.ephemeral?.events ?? [])
  const extensions = { typing: { enabled: true }, receipts: { enabled: true } }
  const lists = { all: { ranges: [[0, 9]], timeline_limit: 20, required_state: [] } }

  test('that they type, or have read, is not told', async () => {
    const said = await say(carol, roomId, 'hello')
    await ok(mallory.put(at(roomId, `/typing/${encoded(mallory.userId)}`), { typing: true, timeout: 30_000 }))
    await ok(carol.put(at(roomId, `/typing/${encoded(carol.userId)}`), { typing: true, timeout: 30_000 }))
    await ok(mallory.post(at(roomId, `/receipt/m.read/${encoded(said)}`)))
    expect(ephemeral(await sync(alice))).not.toContain(mallory.userId)
    expect(ephemeral(await sync(alice))).toContain(carol.userId)
    expect(ephemeral(await sync(carol))).toContain(mallory.userId)
    const told = async (user: User) => {
      const { extensions: found } = await slide(user, { lists, extensions })
      return text([found.typing?.rooms[roomId], found.receipts?.rooms[roomId]])
    }
    expect(await told(alice)).not.toContain(mallory.userId)
    expect(await told(alice)).toContain(carol.userId)
    expect(await told(carol)).toContain(mallory.userId)
  })

  test('they cannot ask for verification, but keys come, for when they are ignored no longer', async () => {
    const send = (type: string, to: User, from = mallory) =>
      ok(from.put(`/sendToDevice/${type}/${(names += 1)}`, { messages: { [to.userId]: { '*': { from: type } } } }))
    const types = async (user: User) => ((await sync(user)).to_device?.events ?? []).map(({ type }) => type)
    await send('m.key.verification.request', alice)
    await send('m.room.encrypted', alice)
    await send('m.key.verification.request', carol)
    expect(await types(alice)).toEqual(['m.room.encrypted'])
    expect(await types(carol)).toEqual(['m.key.verification.request'])
  })
})

describe('invites', () => {
  test('are not shown, do not ring and do not count, also those of lists', async () => {
    openNetwork()
    const gateway = openGateway('ignoring.example')
    const user = await person('invited')
    await ignore(user, mallory)
    const listed = { ignored_users: [carol.userId] }
    const type = 'org.matrix.msc4155.invite_permission_config'
    await ok(user.put(`/user/${encoded(user.userId)}/account_data/${type}`, listed))
    const pusher = {
      app_id: 'a',
      pushkey: 'b',
      kind: 'http',
      app_display_name: 'A',
      device_display_name: 'D',
      lang: 'en',
      data: { url: gateway.url },
    }
    await ok(user.post('/pushers/set', pusher))
    for (const [inviter, its] of [
      [mallory, await createRoom(mallory)],
      [carol, await createRoom(carol)],
    ] as const) {
      await invite(inviter, its, user)
    }
    const wanted = await createRoom(alice)
    await invite(alice, wanted, user)
    expect(Object.keys((await sync(user)).rooms?.invite ?? {})).toEqual([wanted])
    const heard = await vi.waitFor(() => gateway.taken.find(({ room_id: its }) => its === wanted) ?? expect.fail(), {
      timeout: 30_000,
      interval: 20,
    })
    expect(heard.counts).toEqual({ unread: 1 })
    expect(gateway.taken.filter(({ sender }) => sender !== alice.userId)).toEqual([])
  })
})

test('nobody ignores themselves', async () => {
  await ignore(alice, alice, mallory)
  const mine = await say(alice, roomId, 'my own words')
  const { next_batch: since } = await sync(alice)
  await say(alice, roomId, 'more of them')
  expect(text(await sync(alice, { since }))).toContain('more of them')
  expect(
    text(await slide(alice, { lists: { all: { ranges: [[0, 9]], timeline_limit: 20, required_state: [] } } })),
  ).toContain('my own words')
  expect((await alice.get(at(roomId, '/messages?dir=b'))).text).toContain('my own words')
  expect((await alice.get(at(roomId, `/event/${encoded(mine)}`))).status).toBe(200)
  await ok(
    alice.put(`/sendToDevice/m.key.verification.request/own${mine}`.replaceAll('$', ''), {
      messages: { [alice.userId]: { '*': {} } },
    }),
  )
  expect((await sync(alice)).to_device?.events.map(({ type }) => type)).toContain('m.key.verification.request')
})

test('who is ignored no longer is heard again, from then on', async () => {
  await say(mallory, roomId, 'while ignored')
  const { next_batch: since } = await sync(alice)
  await ignore(alice)
  await say(mallory, roomId, 'afterwards')
  const after = text(await sync(alice, { since }))
  expect(after).toContain('afterwards')
  expect(after).not.toContain('while ignored')
  expect(text(await sync(alice))).toContain('while ignored')
})
