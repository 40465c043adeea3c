/**
 * Encryption over two servers with the client library of Element: verification by emoji, messages, an attachment, devices
 * that are added while the wire is cut, an avatar.
 */
import { webcrypto } from 'node:crypto'
import { EventType, type MatrixClient, type MatrixEvent, MsgType, Preset } from 'matrix-js-sdk'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'

import { decrypted, encrypted } from '../dsl/encrypted-file.ts'
import {
  bodiesOf,
  cryptoOf,
  decryptAgain,
  newDevice,
  type Person,
  register,
  setUpKeys,
  verify,
} from '../dsl/encrypting-client.ts'
import { patience, server, text, whileCut } from './people.ts'

const sides = [
  { one: 'Hearth', other: 'Synapse' },
  { one: 'Synapse', other: 'Hearth' },
] as const

describe.each(sides)('Alice on $one and Bob on $other', ({ one, other }) => {
  const clients: MatrixClient[] = []
  let alice: MatrixClient
  let bob: MatrixClient
  let roomId: string
  const run = Date.now().toString(36)
  const people = {
    alice: { base: server(one).base, name: `alice-${run}`, paper: {} },
    bob: { base: server(other).base, name: `bob-${run}`, paper: {} },
  }

  beforeAll(async () => {
    // The library tells of each request.
    for (const level of ['trace', 'debug', 'info', 'log', 'warn', 'error'] as const)
      vi.spyOn(console, level).mockReturnValue()
    for (const person of [people.alice, people.bob]) await register(person)
    ;[alice, bob] = [await device(people.alice), await device(people.bob)]
    await setUpKeys(alice, people.alice)
    await setUpKeys(bob, people.bob)
  }, 60_000)
  afterAll(() => {
    for (const client of clients) client.stopClient()
  })

  async function device(person: Person): Promise<MatrixClient> {
    const client = await newDevice(person)
    clients.push(client)
    return client
  }

  async function reads(client: MatrixClient, word: string): Promise<void> {
    await vi.waitFor(async () => {
      await decryptAgain(client, roomId)
      expect(bodiesOf(client, roomId)).toContain(word)
    }, patience)
  }

  test('they meet in an encrypted room and read each other', async () => {
    const made = await alice.createRoom({
      preset: Preset.TrustedPrivateChat,
      invite: [bob.getSafeUserId()],
      is_direct: true,
      initial_state: [
        { type: EventType.RoomEncryption, state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
      ],
    })
    roomId = made.room_id
    await vi.waitFor(() => expect(bob.getRoom(roomId)?.getMyMembership()).toBe('invite'), patience)
    await bob.joinRoom(roomId)
    for (const client of [alice, bob]) {
      await vi.waitFor(() => expect(client.getRoom(roomId)?.getJoinedMemberCount()).toBe(2), patience)
    }
    await alice.sendTextMessage(roomId, 'hello Bob')
    await reads(bob, 'hello Bob')
    await bob.sendTextMessage(roomId, 'hello Alice')
    await reads(alice, 'hello Alice')
  })

  test('they verify each other by emoji', async () => {
    await verify(bob, () => cryptoOf(alice).requestVerificationDM(bob.getSafeUserId(), roomId))
    for (const [client, whom] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      await vi.waitFor(async () => {
        const status = await cryptoOf(client).getUserVerificationStatus(whom.getSafeUserId())
        expect(status.isCrossSigningVerified()).toBe(true)
      }, patience)
    }
  })

  test('an attachment that only they can read', async () => {
    const plain = webcrypto.getRandomValues(new Uint8Array(50_000))
    const { cipher, file } = await encrypted(plain)
    const { content_uri: url } = await alice.uploadContent(new Blob([cipher]), { type: 'application/octet-stream' })
    const content = { msgtype: MsgType.File, body: 'plans.bin', file: { ...file, url }, info: { size: plain.length } }
    await alice.sendMessage(roomId, Object(content))
    await reads(bob, 'plans.bin')
    const event = eventsOf(bob).find((each) => each.getContent()['body'] === 'plans.bin')
    const got: unknown = event?.getContent()['file']
    const answer = await media(bob, text(got, 'url'))
    expect(answer.status).toBe(200)
    expect(await decrypted(await answer.arrayBuffer(), got)).toEqual(plain)
  })

  test('a device that comes while the wire is cut reads what is said after', async () => {
    const bobAgain = await whileCut(async () => {
      await alice.sendTextMessage(roomId, 'into the dark')
      const again = await device(people.bob)
      await verify(bob, () => cryptoOf(again).requestOwnUserVerification())
      await bob.sendTextMessage(roomId, 'in the dark too')
      return again
    })
    // Each says something from time to time; that is how servers find each other again.
    await vi.waitFor(
      async () => {
        await alice.sendTextMessage(roomId, 'is there light?')
        await bob.sendTextMessage(roomId, 'light')
        await decryptAgain(bob, roomId)
        expect(bodiesOf(bob, roomId)).toContain('is there light?')
        expect(bodiesOf(alice, roomId)).toContain('light')
      },
      { ...patience, interval: 300 },
    )
    await reads(bob, 'into the dark')
    await reads(alice, 'in the dark too')
    await vi.waitFor(async () => {
      const devices = await cryptoOf(alice).getUserDeviceInfo([bob.getSafeUserId()])
      expect(devices.get(bob.getSafeUserId())?.size).toBe(2)
    }, patience)
    await alice.sendTextMessage(roomId, 'to both of you')
    await reads(bobAgain, 'to both of you')
    await bobAgain.sendTextMessage(roomId, 'from the new one')
    await reads(alice, 'from the new one')
  })

  test('an avatar', async () => {
    const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
    const bytes = Buffer.from(png, 'base64')
    const { content_uri: url } = await bob.uploadContent(new Blob([bytes]), { type: 'image/png' })
    await bob.setAvatarUrl(url)
    expect((await alice.getProfileInfo(bob.getSafeUserId())).avatar_url).toBe(url)
    await vi.waitFor(() => {
      expect(alice.getRoom(roomId)?.getMember(bob.getSafeUserId())?.getMxcAvatarUrl()).toBe(url)
    }, patience)
    const answer = await media(alice, url, 32)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('Content-Type')).toBe('image/png')
  })

  function eventsOf(client: MatrixClient): MatrixEvent[] {
    return client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? []
  }

  function media(client: MatrixClient, uri: string, size?: number): Promise<Response> {
    const url = client.mxcUrlToHttp(uri, size, size, size ? 'scale' : undefined, false, true, true) ?? ''
    return fetch(url, { headers: { Authorization: `Bearer ${client.getAccessToken()}` } })
  }
})
