/** People, their devices and settings, with the client library that Element is made of: each method that no other story uses. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  AuthType,
  ClientEvent,
  ConditionKind,
  createClient,
  EventType,
  type MatrixClient,
  MsgType,
  Preset,
  PushRuleActionName,
  PushRuleKind,
  RuleId,
  SetPresence,
  SyncState,
} from 'matrix-js-sdk'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const password = 'correct horse battery staple'
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
    '--server-name=people.example',
    '--rate-limits=off',
    '--presence=on',
  ]
  server = await startInBackground('scripts/serve.ts', options)
  alice = await person('alice')
  bob = await person('bob')
}, 60_000)
afterAll(async () => {
  for (const client of [alice, bob]) client.stopClient()
  await server.end('SIGTERM')
  rmSync(folder, { recursive: true })
})

const anybody = () => createClient({ baseUrl })
async function person(username: string): Promise<MatrixClient> {
  const auth = { type: AuthType.Dummy } as const
  await anybody().registerRequest({ username, password, auth })
  return signIn(username)
}
async function signIn(username: string): Promise<MatrixClient> {
  const login = await anybody().loginWithPassword(username, password)
  const { user_id: userId, access_token: accessToken, device_id: deviceId } = login
  return createClient({ baseUrl, userId, accessToken, deviceId })
}
const idOf = (client: MatrixClient) => client.getUserId() ?? expect.fail()
const patience = { timeout: 30_000, interval: 50 }

test('what the server says of itself', async () => {
  const stranger = anybody()
  expect(await stranger.isUsernameAvailable('nobody-yet')).toBe(true)
  expect(await stranger.isUsernameAvailable('alice').catch(() => false)).toBe(false)
  expect((await stranger.loginFlows()).flows.map(({ type }) => type)).toContain('m.login.password')
  expect((await alice.getVersions()).versions).toContain('v1.11')
  expect(await alice.isVersionSupported('v1.11')).toBe(true)
  expect(await alice.doesServerSupportUnstableFeature('org.matrix.msc4140')).toBe(true)
  expect(await alice.doesServerSupportExtendedProfiles()).toBe(true)
  expect(await alice.fetchCapabilities()).toMatchObject({ 'm.room_versions': { default: '12' } })
  expect(await alice.getCapabilities()).toEqual(alice.getCachedCapabilities())
  expect(await alice.getMediaConfig(true)).toEqual({ 'm.upload.size': 50_000_000 })
  expect(await alice.getThirdpartyProtocols()).toEqual({})
  expect(await alice.turnServer()).toEqual({})
  const fallback = await fetch(alice.getFallbackAuthUrl('m.login.dummy', 'none'))
  expect(fallback.status).toBeLessThan(500)
  await expect(alice.getAuthMetadata()).rejects.toMatchObject({ errcode: 'M_UNRECOGNIZED' })
})

test('names, fields of the profile, and finding people', async () => {
  await alice.setDisplayName('Alice Ärmel')
  await alice.setProfileInfo('avatar_url', { avatar_url: 'mxc://people.example/alice' })
  await alice.setExtendedProfileProperty('m.tz', 'Europe/Vienna')
  expect(await bob.getExtendedProfileProperty(idOf(alice), 'm.tz')).toBe('Europe/Vienna')
  expect(await bob.getExtendedProfile(idOf(alice))).toMatchObject({
    displayname: 'Alice Ärmel',
    'm.tz': 'Europe/Vienna',
  })
  await alice.deleteExtendedProfileProperty('m.tz')
  expect(await bob.getExtendedProfile(idOf(alice))).not.toHaveProperty('m.tz')
  const { room_id: roomId } = await alice.createRoom({ preset: Preset.PublicChat })
  await bob.joinRoom(roomId)
  const { results } = await bob.searchUserDirectory({ term: 'ärmel', limit: 5 })
  expect(results.map(({ user_id: user }) => user)).toEqual([idOf(alice)])
})

test('who one is elsewhere, and another device by a token', async () => {
  const { access_token: token, matrix_server_name: name } = await alice.getOpenIdToken()
  const asked = await fetch(`${baseUrl}/_matrix/federation/v1/openid/userinfo?access_token=${token}`)
  expect([name, await asked.json()]).toEqual(['people.example', { sub: idOf(alice) }])
  const auth = { type: AuthType.Password, identifier: { type: 'm.id.user', user: 'alice' }, password } as const
  const { login_token: loginToken } = await alice.requestLoginToken(auth)
  const login = await anybody().loginWithToken(loginToken)
  expect(login.user_id).toBe(idOf(alice))
  const { devices } = await alice.getDevices()
  expect(devices.map(({ device_id: id }) => id)).toContain(login.device_id)
  await alice.setDeviceDetails(login.device_id, { display_name: 'Kitchen' })
  expect(await alice.getDevice(login.device_id)).toMatchObject({ display_name: 'Kitchen' })
  await alice.deleteMultipleDevices([login.device_id], auth)
  const another = await signIn('alice')
  await alice.deleteDevice(another.getDeviceId() ?? expect.fail(), auth)
  expect((await alice.getDevices()).devices).toHaveLength(2)
})

test('rules for what rings, and pushers', async () => {
  const rule = {
    actions: [PushRuleActionName.Notify],
    conditions: [{ kind: ConditionKind.ContainsDisplayName } as const],
  }
  await alice.addPushRule('global', PushRuleKind.Override, 'garden', rule)
  await alice.setPushRuleEnabled('global', PushRuleKind.Override, 'garden', false)
  await alice.setPushRuleActions('global', PushRuleKind.Underride, RuleId.Message, [])
  const { global: rules } = await alice.getPushRules()
  expect(rules.override?.find(({ rule_id: id }) => id === 'garden')).toMatchObject({ enabled: false, ...rule })
  expect(rules.underride?.find(({ rule_id: id }) => id.startsWith(RuleId.Message))).toMatchObject({ actions: [] })
  await alice.deletePushRule('global', PushRuleKind.Override, 'garden')
  const pusher = { app_id: 'app', pushkey: 'key', app_display_name: 'App', device_display_name: 'Phone', lang: 'en' }
  await alice.setPusher({ ...pusher, kind: 'http', data: { url: 'https://push.example/_matrix/push/v1/notify' } })
  expect((await alice.getPushers()).pushers).toMatchObject([pusher])
  await alice.removePusher('key', 'app')
  expect((await alice.getPushers()).pushers).toEqual([])
})

test('tags, filters, account data', async () => {
  const { room_id: roomId } = await alice.createRoom({})
  await alice.setRoomTag(roomId, 'm.favourite', { order: 0.5 })
  expect(await alice.getRoomTags(roomId)).toEqual({ tags: { 'm.favourite': { order: 0.5 } } })
  await alice.deleteRoomTag(roomId, 'm.favourite')
  expect(await alice.getRoomTags(roomId)).toEqual({ tags: {} })
  const { filterId } = await alice.createFilter({ room: { timeline: { limit: 3 } } })
  const filter = await alice.getFilter(idOf(alice), filterId ?? expect.fail(), false)
  expect(filter.getDefinition()).toEqual({ room: { timeline: { limit: 3 } } })
  await alice.setAccountDataRaw(EventType.Direct, { [idOf(bob)]: [roomId] })
  expect(await alice.getAccountDataFromServer(EventType.Direct)).toEqual({ [idOf(bob)]: [roomId] })
  await alice.deleteAccountData(EventType.Direct)
  expect(await alice.getAccountDataFromServer(EventType.Direct)).toBeNull()
  expect(await alice.whoisSynapseUser(idOf(alice))).toMatchObject({ user_id: idOf(alice) })
})

test('keys are asked for, and messages go from device to device', async () => {
  const answer = await bob.downloadKeysForUsers([idOf(alice)])
  expect(answer).toMatchObject({ device_keys: { [idOf(alice)]: {} }, failures: {} })
  const device = alice.getDeviceId() ?? expect.fail()
  expect(await bob.claimOneTimeKeys([[idOf(alice), device]])).toMatchObject({ one_time_keys: {} })
  const content = new Map([[idOf(alice), new Map([[device, { word: 'hello' }]])]])
  await bob.sendToDevice('org.example.hello', content)
  const heard = new Promise<unknown>((resolve) => {
    alice.on(ClientEvent.ToDeviceEvent, (event) => resolve([event.getSender(), event.getContent()]))
  })
  await listening(alice)
  expect(await heard).toEqual([idOf(bob), { word: 'hello' }])
})

async function listening(client: MatrixClient): Promise<void> {
  const prepared = new Promise<void>((resolve) => {
    client.on(ClientEvent.Sync, (state) => state === SyncState.Prepared && resolve())
  })
  await client.startClient({ initialSyncLimit: 5 })
  await prepared
}

test('who is there', async () => {
  await bob.setPresence({ presence: 'online', status_msg: 'In the garden' })
  await expect.poll(() => alice.getPresence(idOf(bob)), patience).toMatchObject({ status_msg: 'In the garden' })
  await alice.setSyncPresence(SetPresence.Unavailable)
  await expect.poll(() => bob.getPresence(idOf(alice)), patience).toMatchObject({ presence: 'unavailable' })
})

test('somebody is ignored, a room is muted, and what is read is read', async () => {
  const { room_id: roomId } = await alice.createRoom({ preset: Preset.PublicChat })
  await bob.joinRoom(roomId)
  await expect.poll(() => alice.getRoom(roomId)?.getJoinedMemberCount(), patience).toBe(2)
  await alice.setIgnoredUsers([idOf(bob)])
  await expect.poll(() => alice.isUserIgnored(idOf(bob)), patience).toBe(true)
  await bob.sendMessage(roomId, { msgtype: MsgType.Text, body: 'Can you hear me?' })
  await alice.setIgnoredUsers([])
  await expect.poll(() => alice.getIgnoredUsers(), patience).toEqual([])
  await bob.sendMessage(roomId, { msgtype: MsgType.Text, body: 'And now?' })
  const bodies = () =>
    alice
      .getRoom(roomId)
      ?.getLiveTimeline()
      .getEvents()
      .map((event) => event.getContent()['body'])
  await expect.poll(bodies, patience).toContain('And now?')
  expect(bodies()).not.toContain('Can you hear me?')
  await alice.setRoomMutePushRule('global', roomId, true)
  await expect.poll(() => alice.getRoomPushRule('global', roomId)?.enabled, patience).toBe(true)
  const last = alice.getRoom(roomId)?.getLiveTimeline().getEvents().at(-1) ?? expect.fail()
  await alice.setRoomReadMarkers(roomId, last.getId() ?? '', last)
  await expect
    .poll(() => alice.getRoom(roomId)?.getAccountData('m.fully_read')?.getContent()['event_id'], patience)
    .toBe(last.getId())
  const history = (await alice.upgradeRoom(roomId, '12')).replacement_room
  await expect.poll(() => alice.getRoomUpgradeHistory(roomId).map((room) => room.roomId), patience).toContain(history)
})
