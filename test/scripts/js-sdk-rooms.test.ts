/** Rooms with the client library that Element is made of: each method that it has for them, and that no other story uses. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createClient,
  Direction,
  EventType,
  GuestAccess,
  HistoryVisibility,
  JoinRule,
  KnownMembership,
  type MatrixClient,
  MsgType,
  Preset,
  ReceiptType,
  RelationType,
  RoomType,
  ThreadFilterType,
  UpdateDelayedEventAction,
  Visibility,
} from 'matrix-js-sdk'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { newClient } from '../../scripts/bench/client.ts'
import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
let baseUrl: string
let server: BackgroundServer
let alice: MatrixClient
let bob: MatrixClient

// The machine may be busy with much else.
vi.setConfig({ testTimeout: 60_000 })

beforeAll(async () => {
  for (const level of ['trace', 'debug', 'info', 'log', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockReturnValue()
  const port = await freePort()
  baseUrl = `http://127.0.0.1:${port}`
  const options = [
    `--port=${port}`,
    `--data=${join(folder, 'data')}`,
    '--server-name=rooms.example',
    '--rate-limits=off',
  ]
  server = await startInBackground('scripts/serve.ts', options)
  alice = await person('alice')
  bob = await person('bob')
}, 60_000)
afterAll(async () => {
  await server.end('SIGTERM')
  rmSync(folder, { recursive: true })
})

async function person(name: string): Promise<MatrixClient> {
  const { userId, accessToken } = await newClient(baseUrl, name)
  return createClient({ baseUrl, userId, accessToken, deviceId: name })
}
const idOf = (client: MatrixClient) => client.getUserId() ?? expect.fail()
const errorOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => expect.fail('it was not refused'),
    (error: { errcode?: unknown }) => error.errcode,
  )
async function publicRoom(more: object = {}): Promise<string> {
  const { room_id: roomId } = await alice.createRoom({ preset: Preset.PublicChat, ...more })
  await bob.joinRoom(roomId)
  return roomId
}

test('a room has a name, a topic, state, members', async () => {
  const roomId = await publicRoom()
  await alice.setRoomName(roomId, 'The pond')
  await alice.setRoomTopic(roomId, 'Ducks', '<b>Ducks</b>')
  await alice.sendStateEvent(roomId, EventType.RoomAvatar, { url: 'mxc://rooms.example/pond' })
  expect(await bob.getStateEvent(roomId, EventType.RoomName, '')).toMatchObject({ name: 'The pond' })
  expect(await bob.getStateEvent(roomId, EventType.RoomTopic, '')).toMatchObject({ topic: 'Ducks' })
  const types = (await bob.roomState(roomId)).map(({ type }) => type)
  expect(types).toEqual(expect.arrayContaining([EventType.RoomAvatar, EventType.RoomCreate]))
  const { chunk } = await bob.members(roomId, KnownMembership.Join)
  expect(chunk?.map(({ state_key: user }) => user)).toEqual([idOf(alice), idOf(bob)])
  expect(Object.keys((await bob.getJoinedRoomMembers(roomId)).joined)).toEqual([idOf(alice), idOf(bob)])
  expect((await bob.getJoinedRooms()).joined_rooms).toContain(roomId)
  expect(await bob.roomInitialSync(roomId, 3)).toMatchObject({ room_id: roomId, membership: 'join' })
})

test('aliases, the directory, and what a room looks like from outside', async () => {
  const roomId = await publicRoom({ name: 'Open garden' })
  const alias = '#open:rooms.example'
  await alice.createAlias(alias, roomId)
  expect(await bob.getRoomIdForAlias(alias)).toEqual({ room_id: roomId, servers: ['rooms.example'] })
  expect(await bob.getLocalAliases(roomId)).toEqual({ aliases: [alias] })
  await alice.setRoomDirectoryVisibility(roomId, Visibility.Public)
  expect(await bob.getRoomDirectoryVisibility(roomId)).toEqual({ visibility: 'public' })
  const { chunk } = await bob.publicRooms({ limit: 5, filter: { generic_search_term: 'open garden' } })
  expect(chunk.map(({ room_id: found }) => found)).toEqual([roomId])
  const carol = await person('carol')
  expect(await carol.getRoomSummary(alias)).toMatchObject({
    room_id: roomId,
    name: 'Open garden',
    num_joined_members: 2,
  })
  await alice.setGuestAccess(roomId, { allowJoin: true, allowRead: true })
  expect(await bob.getStateEvent(roomId, EventType.RoomGuestAccess, '')).toEqual({ guest_access: GuestAccess.CanJoin })
  expect(await bob.getStateEvent(roomId, EventType.RoomHistoryVisibility, '')).toEqual({
    history_visibility: HistoryVisibility.WorldReadable,
  })
  expect((await carol.peekInRoom(roomId)).name).toBe('Open garden')
  carol.stopPeeking()
  await alice.deleteAlias(alias)
  expect(await errorOf(bob.getRoomIdForAlias(alias))).toBe('M_NOT_FOUND')
})

test('people are let in, put out, banned; they knock, leave and forget', async () => {
  const { room_id: roomId } = await alice.createRoom({ preset: Preset.PrivateChat, room_version: '11' })
  await alice.sendStateEvent(roomId, EventType.RoomJoinRules, { join_rule: JoinRule.Knock })
  expect(await bob.knockRoom(roomId, { reason: 'May I?' })).toEqual({ room_id: roomId })
  await alice.invite(roomId, idOf(bob))
  await bob.joinRoom(roomId)
  await alice.setPowerLevel(roomId, idOf(bob), 50)
  expect(await bob.getStateEvent(roomId, EventType.RoomPowerLevels, '')).toMatchObject({ users: { [idOf(bob)]: 50 } })
  await alice.kick(roomId, idOf(bob), 'Out')
  await alice.ban(roomId, idOf(bob), 'For good')
  expect(await errorOf(bob.joinRoom(roomId))).toBe('M_FORBIDDEN')
  await alice.unban(roomId, idOf(bob))
  await alice.invite(roomId, idOf(bob))
  await bob.leave(roomId)
  await bob.forget(roomId)
  expect((await bob.getJoinedRooms()).joined_rooms).not.toContain(roomId)
})

test('all kinds of messages, found again by ID and by time', async () => {
  const roomId = await publicRoom()
  const before = Date.now() - 1000
  const sent = [
    await alice.sendNotice(roomId, 'a notice'),
    await alice.sendEmoteMessage(roomId, 'waves'),
    await alice.sendHtmlMessage(roomId, 'bold', '<b>bold</b>'),
    await alice.sendHtmlNotice(roomId, 'bold notice', '<b>bold</b> notice'),
    await alice.sendHtmlEmote(roomId, 'bolds', '<b>bolds</b>'),
    await alice.sendImageMessage(roomId, 'mxc://rooms.example/duck', { mimetype: 'image/png' }, 'duck.png'),
    await alice.sendStickerMessage(roomId, 'mxc://rooms.example/duck', { w: 1, h: 1 }, 'duck'),
  ]
  const events = await Promise.all(sent.map(({ event_id: eventId }) => bob.fetchRoomEvent(roomId, eventId)))
  expect(events.map(({ content }) => content?.['msgtype'])).toEqual([
    MsgType.Notice,
    MsgType.Emote,
    MsgType.Text,
    MsgType.Notice,
    MsgType.Emote,
    MsgType.Image,
    undefined,
  ])
  expect((await bob.timestampToEvent(roomId, before, Direction.Forward)).event_id).toMatch(/^\$/)
  expect((await bob.timestampToEvent(roomId, Date.now() + 1000, Direction.Backward)).event_id).toBe(
    sent.at(-1)?.event_id,
  )
})

test('relations, a thread, and the list of threads', async () => {
  const roomId = await publicRoom()
  const { event_id: root } = await alice.sendTextMessage(roomId, 'Ducks or geese?')
  await bob.sendTextMessage(roomId, root, 'Geese')
  const relatesTo = { rel_type: RelationType.Annotation, event_id: root, key: '🦆' } as const
  await bob.sendEvent(roomId, EventType.Reaction, { 'm.relates_to': relatesTo })
  const { chunk } = await alice.fetchRelations(roomId, root, RelationType.Thread, null, { dir: Direction.Forward })
  expect(chunk.map(({ content }) => content['body'])).toEqual(['Geese'])
  const reactions = await alice.fetchRelations(roomId, root, RelationType.Annotation, EventType.Reaction)
  expect(reactions.chunk).toHaveLength(1)
  const { events, originalEvent } = await alice.relations(roomId, root, RelationType.Thread, null)
  expect([originalEvent?.getId(), events.length]).toEqual([root, 1])
  for (const which of [ThreadFilterType.All, ThreadFilterType.My]) {
    const threads = await bob.createThreadListMessagesRequest(roomId, null, 10, Direction.Backward, which)
    expect(threads.chunk.map(({ event_id: id }) => id)).toEqual([root])
  }
  await bob.setRoomReadMarkersHttpRequest(roomId, root, root)
  await bob.setRoomReadMarkersHttpRequest(roomId, root, undefined, root)
  expect(ReceiptType.ReadPrivate).toBe('m.read.private')
})

test('a space and what is in it', async () => {
  const { room_id: space } = await alice.createRoom({ name: 'Garden', creation_content: { type: RoomType.Space } })
  const child = await publicRoom({ name: 'Bed of roses' })
  await alice.sendStateEvent(space, EventType.SpaceChild, { via: ['rooms.example'], suggested: true }, child)
  const { rooms } = await alice.getRoomHierarchy(space, 10, 2, true)
  expect(rooms.map(({ name }) => name)).toEqual(['Garden', 'Bed of roses'])
  const first = await alice.getRoomHierarchy(space, 1)
  const next = await alice.getRoomHierarchy(space, 1, undefined, undefined, first.next_batch)
  expect([...first.rooms, ...next.rooms].map(({ name }) => name)).toEqual(['Garden', 'Bed of roses'])
})

test('a room is upgraded', async () => {
  const roomId = await publicRoom({ name: 'Old', room_version: '11' })
  const { replacement_room: next } = await alice.upgradeRoom(roomId, '12', [idOf(bob)])
  expect(await bob.getStateEvent(roomId, 'm.room.tombstone', '')).toMatchObject({ replacement_room: next })
  await bob.joinRoom(next)
  expect(await bob.getStateEvent(next, EventType.RoomCreate, '')).toMatchObject({
    room_version: '12',
    predecessor: { room_id: roomId },
    additional_creators: [idOf(bob)],
  })
})

test('what is wrong is reported', async () => {
  const roomId = await publicRoom()
  const { event_id: eventId } = await bob.sendTextMessage(roomId, 'Rude')
  expect(await alice.reportEvent(roomId, eventId, -100, 'Rude')).toEqual({})
  expect(await alice.reportRoom(roomId, 'Rude people')).toEqual({})
})

test('events are sent later, or not', async () => {
  const roomId = await publicRoom()
  const delay = { delay: 60_000 }
  const content = { msgtype: MsgType.Text, body: 'later' } as const
  const message = await alice._unstable_sendDelayedEvent(roomId, delay, null, EventType.RoomMessage, content)
  const name = await alice._unstable_sendDelayedStateEvent(roomId, delay, EventType.RoomName, { name: 'Later' })
  const { delay_id: sent } = message
  const { delay_id: cancelled } = name
  await alice._unstable_updateDelayedEvent(sent, UpdateDelayedEventAction.Restart)
  await alice._unstable_sendScheduledDelayedEvent(sent)
  await alice._unstable_restartScheduledDelayedEvent(cancelled)
  await alice._unstable_cancelScheduledDelayedEvent(cancelled)
  const { chunk } = await bob.createMessagesRequest(roomId, null, 5, Direction.Backward)
  expect(chunk.map(({ content: { body } }) => body)).toContain('later')
  expect(await errorOf(bob.getStateEvent(roomId, EventType.RoomName, ''))).toBe('M_NOT_FOUND')
})
