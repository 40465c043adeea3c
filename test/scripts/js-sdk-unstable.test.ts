/** What is not in the specification yet, with the client library that Element is made of: each thing that it looks for. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AuthType, createClient, type MatrixClient, Method, Preset, PushRuleKind } from 'matrix-js-sdk'
import { computeRtcIdentityRaw } from 'matrix-js-sdk/lib/matrixrtc/membershipData/index.js'
import {
  ClientRendezvousFailureReason,
  MSC4108FailureReason,
  MSC4108RendezvousSession,
} from 'matrix-js-sdk/lib/rendezvous/index.js'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { type BackgroundServer, freePort, startInBackground } from '../../scripts/serve/start-in-background.ts'

const folder = mkdtempSync(join(tmpdir(), 'hearth-test-'))
const password = 'correct horse battery staple'
let baseUrl: string
let server: BackgroundServer
let alice: MatrixClient
let bob: MatrixClient

/** What Cloudflare was asked for credentials, and what it says. */
const askedOfCloudflare: { path: string; authorization: string | undefined; body: string }[] = []
const urls = ['turn:turn.cloudflare.com:3478?transport=udp', 'turns:turn.cloudflare.com:5349?transport=tcp']
const cloudflare = createServer((request, response) => {
  let body = ''
  request.on('data', (chunk: Buffer) => (body += chunk.toString()))
  request.on('end', () => {
    askedOfCloudflare.push({
      path: `${request.method} ${request.url}`,
      authorization: request.headers.authorization,
      body,
    })
    response.writeHead(201, { 'Content-Type': 'application/json' })
    const iceServers = [{ urls: ['stun:stun.cloudflare.com:3478'] }, { urls, username: 'name', credential: 'secret' }]
    response.end(JSON.stringify({ iceServers }))
  })
})

// The machine may be busy with much else.
vi.setConfig({ testTimeout: 60_000 })

beforeAll(async () => {
  for (const level of ['trace', 'debug', 'info', 'log', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockReturnValue()
  const [port, turnPort] = [await freePort(), await freePort()]
  cloudflare.listen(turnPort, '127.0.0.1')
  await once(cloudflare, 'listening')
  baseUrl = `http://127.0.0.1:${port}`
  const options = [
    `--port=${port}`,
    `--data=${join(folder, 'data')}`,
    '--server-name=unstable.example',
    '--allow-private-addresses=on',
    '--push-encrypted-events=on',
    '--presence=on',
    '--livekit-url=wss://sfu.unstable.example',
    '--livekit-api-key=key',
    '--livekit-api-secret=secret',
    '--retention=on',
    '--retention-max-lifetime=30d',
    '--retention-allowed-max=1y',
    '--turn-key-id=the-key',
    '--turn-key-api-token=the-token',
    `--turn-service-url=http://127.0.0.1:${turnPort}`,
  ]
  server = await startInBackground('scripts/serve.ts', options)
  alice = await person('alice')
  bob = await person('bob')
}, 60_000)
afterAll(async () => {
  for (const client of [alice, bob]) client.stopClient()
  await server.end('SIGTERM')
  cloudflare.close()
  rmSync(folder, { recursive: true })
})

async function person(username: string): Promise<MatrixClient> {
  const auth = { type: AuthType.Dummy } as const
  const made = await createClient({ baseUrl }).registerRequest({ username, password, auth })
  const { user_id: userId, access_token: accessToken, device_id: deviceId } = made
  if (accessToken === undefined || deviceId === undefined) throw new Error('not signed in')
  return createClient({ baseUrl, userId, accessToken, deviceId })
}

test("Cloudflare's TURN servers", async () => {
  const given = await alice.turnServer()
  expect(given).toMatchObject({ username: 'name', password: 'secret', uris: urls })
  expect(await alice.turnServer()).toMatchObject({ username: 'name' })
  const path = 'POST /v1/turn/keys/the-key/credentials/generate-ice-servers'
  expect(askedOfCloudflare).toEqual([{ path, authorization: 'Bearer the-token', body: '{"ttl":86400}' }])
})

test('two devices that meet to sign one of them in', async () => {
  // No flag leads there until signing in with a QR code works as a whole: the address is given.
  const fallbackRzServer = `${baseUrl}/_matrix/client/unstable/org.matrix.msc4108/rendezvous`
  expect(await alice.doesServerSupportUnstableFeature('org.matrix.msc4108')).toBe(false)
  const ends: string[] = []
  const onFailure = (reason: string) => void ends.push(reason)
  const showing = new MSC4108RendezvousSession({ client: alice, fallbackRzServer, onFailure })
  await showing.send('')
  expect(showing.ready).toBe(true)
  const { url = expect.fail('no address') } = showing
  expect(url.startsWith(`${fallbackRzServer}/`)).toBe(true)
  const scanning = new MSC4108RendezvousSession({ url, onFailure })
  await scanning.send('hello')
  expect(await showing.receive()).toBe('hello')
  await showing.send('hello yourself')
  expect(await scanning.receive()).toBe('hello yourself')
  await scanning.cancel(MSC4108FailureReason.UserCancelled)
  expect(await showing.receive()).toBeUndefined()
  expect(showing.cancelled).toBe(true)
  expect(ends).toEqual([MSC4108FailureReason.UserCancelled, ClientRendezvousFailureReason.Unknown])
})

test('encrypted messages count where only mentions are wanted, for the device to look at', async () => {
  expect(await bob.doesServerSupportUnstableFeature('org.matrix.msc4028')).toBe(true)
  const { room_id: roomId } = await alice.createRoom({ preset: Preset.PublicChat })
  await bob.joinRoom(roomId)
  await bob.addPushRule('global', PushRuleKind.RoomSpecific, roomId, { actions: [] })
  const { global: rules } = await bob.getPushRules()
  expect(rules.override?.[1]?.rule_id).toBe('.org.matrix.msc4028.encrypted_event')
  const send = (type: string, content: object) =>
    fetch(`${baseUrl}/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/send/${type}/${type}`, {
      method: 'PUT',
      headers: { Authorization: `Bearer ${alice.getAccessToken()}` },
      body: JSON.stringify(content),
    })
  await send('m.room.message', { msgtype: 'm.text', body: 'nobody is meant' })
  await send('m.room.encrypted', { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: 'x', session_id: 's' })
  const unread = async () => {
    const asked = await fetch(`${baseUrl}/_matrix/client/v3/sync?filter={"presence":{"types":[]}}`, {
      headers: { Authorization: `Bearer ${bob.getAccessToken()}` },
    })
    const body: { rooms: { join: Record<string, { unread_notifications: object }> } } = await asked.json()
    return body.rooms.join[roomId]?.unread_notifications
  }
  expect(await unread()).toEqual({ notification_count: 1, highlight_count: 0 })
  await bob.setPushRuleEnabled('global', PushRuleKind.Override, '.org.matrix.msc4028.encrypted_event', false)
  expect(await unread()).toEqual({ notification_count: 0, highlight_count: 0 })
})

test('how long messages are kept, by the server and by a room', async () => {
  expect(await alice.doesServerSupportUnstableFeature('org.matrix.msc1763')).toBe(true)
  const day = 86_400_000
  expect(await alice.retentionPolicyService.fetch()).toEqual({
    policies: { '*': { max_lifetime: 30 * day } },
    limits: { max_lifetime: { max: 365 * day } },
  })
  const { room_id: roomId } = await alice.createRoom({ preset: Preset.PublicChat })
  const { event_id: eventId } = await alice.sendTextMessage(roomId, 'soon over')
  expect(await alice.fetchRoomEvent(roomId, eventId)).toMatchObject({ content: { body: 'soon over' } })
  const set = await fetch(`${baseUrl}/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.retention/`, {
    method: 'PUT',
    headers: { Authorization: `Bearer ${alice.getAccessToken()}` },
    body: '{"max_lifetime":100}',
  })
  expect(set.status).toBe(200)
  const gone = () => expect(alice.fetchRoomEvent(roomId, eventId)).rejects.toMatchObject({ errcode: 'M_NOT_FOUND' })
  await vi.waitFor(gone, { timeout: 30_000, interval: 50 })
})

test('places in calls of many', async () => {
  const { room_id: roomId } = await alice.createRoom({ preset: Preset.PrivateChat })
  const [transport] = await alice._unstable_getRTCTransports()
  expect(transport).toEqual({ type: 'livekit', url: 'wss://sfu.unstable.example' })
  const wanted = { url: 'wss://sfu.unstable.example', room_id: roomId, slot_id: 'm.call#ROOM' }
  const [userId, device] = [alice.getUserId() ?? '', alice.getDeviceId() ?? '']
  const member = { id: 'member', claimed_device_id: device }
  const { jwt } = await alice._unstable_getLivekitToken({ ...wanted, member })
  const claims: { sub: string } = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
  // Clients find a member at the SFU by what they compute themselves.
  expect(claims.sub).toBe(await computeRtcIdentityRaw(userId, device, 'member'))
  const stranger = bob._unstable_getLivekitToken({ ...wanted, member })
  await expect(stranger).rejects.toMatchObject({ httpStatus: 403, errcode: 'M_FORBIDDEN' })
  // Not here: clients then keep their delayed events alive themselves.
  const handedOver = alice._unstable_delegateDelayedLeave({ ...wanted, member, delay_id: 'x' })
  await expect(handedOver).rejects.toMatchObject({ httpStatus: 404, errcode: 'M_UNRECOGNIZED' })
})

test('who is busy', async () => {
  expect(await alice.doesServerSupportUnstableFeature('org.matrix.msc3026.busy_presence')).toBe(true)
  const path = `/presence/${encodeURIComponent(alice.getUserId() ?? '')}/status`
  const busy = { presence: 'org.matrix.msc3026.busy', status_msg: 'in a call' }
  await alice.http.authedRequest(Method.Put, path, undefined, busy)
  expect(await alice.getPresence(alice.getUserId() ?? '')).toMatchObject(busy)
})
