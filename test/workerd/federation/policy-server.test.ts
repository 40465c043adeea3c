/** Rooms with a policy server. Spec: server-server-api/#policy-servers, client-server-api/#mroompolicy. */
import type { JsonObject } from '#protocol/json/json.ts'
import { isObject } from '#protocol/json/json.ts'
import { parsePdu } from '#protocol/events/event-format.ts'
import type { Pdu } from '#protocol/events/pdu.ts'
import { rulesOf } from '#protocol/room-versions/rules.ts'
import { encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import { verifyEventSignature } from '#protocol/signing/event-signatures.ts'
import { signingKeyOf } from '#protocol/signing/keys.ts'
import { signEvent } from '#protocol/signing/event-signatures.ts'
import { signatureOf } from '#protocol/signing/sign-json.ts'
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'

import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { registerUser, type User } from '../client.ts'
import { at, createRoom, join, ok, refused, say, setState } from '../rooms/rooms.ts'
import { type Asked, joinOver, otherServer, type OtherServer, serversAnswer, signedBy } from './other-server.ts'

const policyKey = signingKeyOf('ed25519:policy_server', new Uint8Array(32).fill(3))
const otherKey = signingKeyOf('ed25519:policy_server', new Uint8Array(32).fill(4))

let alice: User
let bob: User
let number = 0
beforeAll(async () => {
  alice = await registerUser('policy-alice')
  bob = await registerUser('policy-bob')
})
afterEach(() => {
  vi.restoreAllMocks()
})

const policy = (server: string, more: JsonObject = {}): JsonObject => ({
  via: server,
  public_keys: { ed25519: encodeBase64Unpadded(policyKey.publicKey) },
  ...more,
})

/** A signature of the policy server, of an event as it is sent to be signed. */
function signature(server: OtherServer, body: JsonObject = {}, key = policyKey): JsonObject {
  const rules = rulesOf('12')
  if (!rules) throw new TypeError('12')
  const bytes = signatureOf(signEvent(rules, body, server.name, key, nodeCrypto), server.name, key.keyId)
  return bytes ? { [server.name]: { [key.keyId]: encodeBase64Unpadded(bytes) } } : {}
}
/** Answers questions for signatures, and takes everything else. */
const signs =
  (answer: (body: JsonObject) => object | undefined, seen: JsonObject[] = []) =>
  ({ path, body = {} }: Asked) => {
    if (path !== '/_matrix/policy/v1/sign') return { pdus: {} }
    seen.push(body)
    return answer(body)
  }

/** A room of alice's that uses a policy server of its own, which has joined. */
async function guardedRoom(content: JsonObject = {}): Promise<{ roomId: string; server: OtherServer }> {
  const server = await otherServer(`policy${++number}.test:8448`)
  const roomId = await createRoom(alice, { preset: 'public_chat' })
  serversAnswer({ [server.name]: () => ({ pdus: {} }) })
  await joinOver(server, `@policy:${server.name}`, roomId)
  // "Because the Policy Server is not asked to sign m.room.policy state events".
  await ok(setState(alice, roomId, 'm.room.policy', policy(server.name, content)))
  vi.restoreAllMocks()
  return { roomId, server }
}

/** The event as other servers get it. */
async function stored(server: OtherServer, roomId: string, eventId: string): Promise<Pdu> {
  const rules = rulesOf('12')
  const answer = await server.ask<{ pdus: JsonObject[] }>('GET', `/event/${encodeURIComponent(eventId)}`)
  const parsed = rules && parsePdu(rules, answer.body.pdus[0], nodeCrypto)
  if (!parsed?.ok || parsed.pdu.room_id !== roomId) throw new Error('no such event')
  return parsed.pdu
}
function isSigned(pdu: Pdu, server: OtherServer): boolean {
  const rules = rulesOf('12')
  return (
    rules !== undefined &&
    verifyEventSignature(rules, pdu.json, server.name, policyKey.keyId, policyKey.publicKey, nodeCrypto)
  )
}

describe('an event of one of our users', () => {
  test('is signed by the policy server before it is sent', async () => {
    const { roomId, server } = await guardedRoom()
    const seen: JsonObject[] = []
    serversAnswer({ [server.name]: signs((body) => signature(server, body), seen) })
    const eventId = await say(alice, roomId, 'hello')
    expect(seen).toMatchObject([{ type: 'm.room.message', content: { body: 'hello' }, room_id: roomId }])
    expect(isSigned(await stored(server, roomId, eventId), server)).toBe(true)
    // State, memberships and redactions as well; a transaction once only.
    await ok(setState(alice, roomId, 'm.room.topic', { topic: 'x' }))
    await ok(setState(alice, roomId, 'm.room.policy', {}, 'elsewhere'))
    await join(bob, roomId)
    await ok(alice.put(at(roomId, `/redact/${encodeURIComponent(eventId)}/t1`)))
    const path = at(roomId, '/send/m.room.message/same')
    const sent = await ok(alice.put(path, { body: 'x', msgtype: 'm.text' }))
    expect(await ok(alice.put(path, { body: 'x', msgtype: 'm.text' }))).toEqual(sent)
    expect(seen.map(({ type }) => type)).toEqual([
      'm.room.message',
      'm.room.topic',
      'm.room.policy',
      'm.room.member',
      'm.room.redaction',
      'm.room.message',
    ])
  })

  test('takes its place in the room when others were sent while it was being signed', async () => {
    const { roomId, server } = await guardedRoom()
    serversAnswer({
      [server.name]: signs(async (body) => {
        await new Promise((resolve) => setTimeout(resolve, 20))
        return signature(server, body)
      }),
    })
    const sent = await Promise.all(['a', 'b', 'c', 'd'].map((text) => say(alice, roomId, text)))
    const last = await say(alice, roomId, 'after all')
    const { prev_events } = await stored(server, roomId, last)
    expect([...prev_events].sort()).toEqual([...sent].sort())
  })

  test('is not sent when the policy server refuses, and the client reads why', async () => {
    const { roomId, server } = await guardedRoom()
    const error = { errcode: 'M_FORBIDDEN', error: 'The message appears to contain possible spam' }
    serversAnswer({ [server.name]: signs(() => Response.json(error, { status: 400 })) })
    const path = at(roomId, '/send/m.room.message/spam')
    expect(await alice.put(path, { body: 'buy', msgtype: 'm.text' })).toMatchObject({ status: 400, body: error })
    expect(await bob.post(at(roomId, '/join'))).toMatchObject({ status: 400, body: error })
    const { chunk } = await ok(alice.get<{ chunk: JsonObject[] }>(at(roomId, '/messages?dir=b')))
    expect(chunk[0]).toMatchObject({ type: 'm.room.policy' })
    // The room may always do without it.
    await ok(setState(alice, roomId, 'm.room.policy', {}))
    await say(alice, roomId, 'free')
  })

  test.each([
    ['nobody answers', undefined, 502, 'M_UNKNOWN'],
    [
      'the signature is by another key',
      (server: OtherServer, body: JsonObject) => signature(server, body, otherKey),
      502,
      'M_UNKNOWN',
    ],
    ['there is no signature', () => ({}), 502, 'M_UNKNOWN'],
    ['the answer is odd', () => ({ signatures: [] }), 502, 'M_UNKNOWN'],
    [
      'it is busy',
      () => Response.json({ errcode: 'M_LIMIT_EXCEEDED', error: 'later' }, { status: 429 }),
      429,
      'M_LIMIT_EXCEEDED',
    ],
  ] as const)('is not sent when %s', async (_, answer, status, errcode) => {
    const { roomId, server } = await guardedRoom()
    serversAnswer(answer ? { [server.name]: signs((body) => answer(server, body)) } : {})
    const sent = await alice.put(at(roomId, '/send/m.room.message/x'), { body: 'x', msgtype: 'm.text' })
    expect(sent).toMatchObject(refused(status, errcode))
  })

  test('is sent without where the room uses none: it has not joined, or the state is no policy', async () => {
    const asked = serversAnswer({})
    for (const content of [
      policy('absent.test'),
      policy(env.SERVER_NAME),
      { via: 'absent.test' },
      { via: 7, public_keys: { ed25519: 'x' } },
      { via: env.SERVER_NAME, public_keys: [] },
    ]) {
      const roomId = await createRoom(alice)
      await ok(setState(alice, roomId, 'm.room.policy', content))
      await say(alice, roomId, 'free')
    }
    expect(asked.filter((each) => each.includes('/policy/'))).toEqual([])
  })
})

test('this server is no policy server itself', async () => {
  const server = await otherServer('asking.test:8448')
  expect(await server.ask('POST', '/_matrix/policy/v1/sign', {})).toMatchObject(refused(404, 'M_NOT_FOUND'))
})

describe('an event of another server', () => {
  let guest: OtherServer
  beforeAll(async () => {
    guest = await otherServer('guest.test:8448')
  })

  async function withGuest() {
    const { roomId, server } = await guardedRoom()
    serversAnswer({ [server.name]: signs((body) => signature(server, body)), [guest.name]: () => ({ pdus: {} }) })
    // The join over us is signed at our request.
    const joined = await joinOver(guest, `@guest:${guest.name}`, roomId)
    expect(isSigned(await stored(guest, roomId, joined.event_id), server)).toBe(true)
    vi.restoreAllMocks()
    return { roomId, server, joined }
  }
  let ids = 0
  function message(roomId: string, joined: Pdu, body: string, prev = joined): Pdu {
    const sender = `@guest:${guest.name}`
    const event = {
      type: 'm.room.message',
      room_id: roomId,
      sender,
      content: { body, msgtype: 'm.text' },
      origin_server_ts: Date.now(),
      depth: prev.depth + 1,
      prev_events: [prev.event_id],
      auth_events: [...joined.auth_events.slice(0, 1), joined.event_id],
    }
    return signedBy(guest, '12', event)
  }
  const deliver = (event: JsonObject) =>
    ok(guest.ask('PUT', `/send/p${++ids}`, { origin: guest.name, origin_server_ts: 1, pdus: [event], edus: [] }))
  const seenBy = async (user: User, roomId: string) =>
    (await ok(user.get<{ chunk: { event_id: string }[] }>(at(roomId, '/messages?dir=b')))).chunk.map((e) => e.event_id)
  test('is taken with the signature, which is passed on, and asked for where it lacks it', async () => {
    const { roomId, server, joined } = await withGuest()
    const seen: JsonObject[] = []
    serversAnswer({ [server.name]: signs((body) => signature(server, body), seen), [guest.name]: () => ({ pdus: {} }) })
    const bare = message(roomId, joined, 'bare')
    await deliver(bare.json)
    expect(seen).toEqual([bare.json])
    expect(await seenBy(alice, roomId)).toContain(bare.event_id)
    expect(isSigned(await stored(guest, roomId, bare.event_id), server)).toBe(true)
    const signed = message(roomId, joined, 'signed', bare)
    const own = signed.json['signatures']
    const signatures = { ...(isObject(own) ? own : {}), ...signature(server, signed.json) }
    await deliver({ ...signed.json, signatures })
    expect(seen).toHaveLength(1)
    expect(await seenBy(alice, roomId)).toContain(signed.event_id)
  })

  test('is soft-failed without: nobody is shown it, and nothing of ours builds on it', async () => {
    const { roomId, server, joined } = await withGuest()
    const spam = message(roomId, joined, 'spam')
    const error = { errcode: 'M_FORBIDDEN', error: 'spam' }
    const seen: JsonObject[] = []
    serversAnswer({
      [server.name]: signs(
        (body) =>
          isObject(body['content']) && body['content']['body'] === 'ours'
            ? signature(server, body)
            : Response.json(error, { status: 400 }),
        seen,
      ),
      [guest.name]: () => ({ pdus: {} }),
    })
    await deliver(spam.json)
    expect(await seenBy(alice, roomId)).not.toContain(spam.event_id)
    expect((await stored(guest, roomId, spam.event_id)).event_id).toBe(spam.event_id)
    // Not asked again for the same event.
    await deliver(spam.json)
    expect(seen).toHaveLength(1)
    const mine = await say(alice, roomId, 'ours')
    expect((await stored(guest, roomId, mine)).prev_events).toEqual([joined.event_id])
  })

  test('is soft-failed while the policy server is away, which is not asked for each', async () => {
    const { roomId, joined } = await withGuest()
    const asked = serversAnswer({ [guest.name]: () => ({ pdus: {} }) })
    const [one, two] = [message(roomId, joined, 'one'), message(roomId, joined, 'two')]
    await deliver(one.json)
    await deliver(two.json)
    const seen = await seenBy(alice, roomId)
    expect(seen).not.toContain(one.event_id)
    expect(seen).not.toContain(two.event_id)
    expect(asked.filter((each) => each.includes('/policy/'))).toHaveLength(1)
  })

  test('is subject to the rules of the room all the same', async () => {
    const { roomId, joined } = await withGuest()
    serversAnswer({ [guest.name]: () => ({ pdus: {} }) })
    const event = message(roomId, joined, 'x').json
    const { content: _, signatures: __, hashes: ___, ...rest } = event
    await deliver(signedBy(guest, '12', { ...rest, type: 'm.room.policy', state_key: '', content: {} }).json)
    // Not allowed by the power levels: recommended is not authorised.
    const found = await ok(alice.get(at(roomId, '/state/m.room.policy/')))
    expect(found).toHaveProperty('via')
  })
})
