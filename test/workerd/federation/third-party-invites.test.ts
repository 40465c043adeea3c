/** Invites by third-party identifiers, redeemed between servers. Spec: server-server-api/#third-party-invites. */
import { encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import { parsePdu } from '#protocol/events/event-format.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import { signingKeyOf } from '#protocol/signing/keys.ts'
import { signEvent } from '#protocol/signing/event-signatures.ts'
import { signJson } from '#protocol/signing/sign-json.ts'
import { rulesOf } from '#protocol/room-versions/rules.ts'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'

import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { anonymous, registerUser, type User } from '../client.ts'
import { at, createRoom, join, ok, refused, setState, stateOf } from '../rooms/rooms.ts'
import { FarRoom } from './far-room.ts'
import { type Asked, otherServer, type OtherServer, serversAnswer } from './other-server.ts'

const identityKey = signingKeyOf('ed25519:0', new Uint8Array(32).fill(9))
const publicKey = encodeBase64Unpadded(identityKey.publicKey)
const invitation = { display_name: 'b…@e…', public_key: publicKey, key_validity_url: 'https://id.test:8448/valid' }
/** What the identity server says once it knows who the invited person is. */
const proof = (mxid: string, token: string, key = identityKey) => signJson({ mxid, token }, 'id.test', key, nodeCrypto)
const isValid = ({ query }: Asked) => ({ valid: query.get('public_key') === publicKey })

let alice: User
let bob: User
let other: OtherServer
const visitor = '@visitor:third.test:8448'

beforeAll(async () => {
  alice = await registerUser('tpi-alice')
  bob = await registerUser('tpi-bob')
  other = await otherServer('third.test:8448')
})
afterEach(() => {
  vi.restoreAllMocks()
})

async function invitingRoom(more: JsonObject = {}, token = 'token'): Promise<string> {
  const roomId = await createRoom(alice)
  await ok(setState(alice, roomId, 'm.room.third_party_invite', { ...invitation, ...more }, token))
  return roomId
}
const membershipOf = async (roomId: string, who: string) =>
  own((await alice.get(at(roomId, `/state/m.room.member/${encodeURIComponent(who)}`))).body, 'membership')

function exchange(roomId: string, signed: JsonObject, more: JsonObject = {}) {
  const content = { membership: 'invite', third_party_invite: { display_name: 'me', signed } }
  const event = { type: 'm.room.member', room_id: roomId, sender: alice.userId, state_key: visitor, content, ...more }
  return other.ask('PUT', `/exchange_third_party_invite/${encodeURIComponent(roomId)}`, event)
}
const onBind = (mxid: string, invites: JsonObject[]) =>
  anonymous.put('/_matrix/federation/v1/3pid/onbind', { medium: 'email', address: 'b@e.test', mxid, invites })

describe('the server of who was invited', () => {
  /** Signs the invites it gets, as it should. */
  const signing = ({ path, body = {} }: Asked) => {
    const [event, rules] = [own(body, 'event'), rulesOf(own(body, 'room_version'))]
    if (!path.includes('/v2/invite/') || !isObject(event) || !rules) return undefined
    return { event: signEvent(rules, event, other.name, other.identity.key, nodeCrypto) }
  }

  test('shows a proof, and gets the invite', async () => {
    const roomId = await invitingRoom()
    const asked = serversAnswer({ 'id.test:8448': isValid, [other.name]: signing })
    await ok(exchange(roomId, proof(visitor, 'token')))
    expect(asked.map((each) => each.split('/').slice(0, 5).join('/'))).toEqual([
      'GET id.test:8448/valid',
      'PUT third.test:8448/_matrix/federation/v2/invite',
    ])
    const member = await stateOf(alice, roomId, 'm.room.member', visitor)
    expect(member).toEqual({
      membership: 'invite',
      third_party_invite: { display_name: invitation.display_name, signed: proof(visitor, 'token') },
    })
  })

  test.each([
    ['signed by another key', () => proof(visitor, 'token', other.identity.key), {}],
    ['unsigned', () => ({ mxid: visitor, token: 'token' }), {}],
    ['of another token', () => proof(visitor, 'other'), {}],
    ['for another user', () => proof('@else:third.test:8448', 'token'), {}],
    ['for who invited somebody else', () => proof(visitor, 'token'), { sender: '@nobody:test.local' }],
    ['for a sender of another server', () => proof(visitor, 'token'), { sender: '@x:third.test:8448' }],
    ['for a user of another server', () => proof('@x:y.test', 'token'), { state_key: '@x:y.test' }],
  ])('is refused a proof %s', async (_, signed, more) => {
    const roomId = await invitingRoom()
    const asked = serversAnswer({ 'id.test:8448': isValid, [other.name]: signing })
    expect(await exchange(roomId, signed(), more)).toMatchObject(refused(403, 'M_FORBIDDEN'))
    expect(asked.filter((each) => each.includes('/invite/'))).toEqual([])
  })

  test('is refused a proof whose key does not count any more, or of which that is not known', async () => {
    for (const answer of [() => ({ valid: false }), () => ({ valid: 'yes' }), () => undefined, undefined]) {
      const roomId = await invitingRoom()
      serversAnswer({ ...(answer ? { 'id.test:8448': answer } : {}), [other.name]: signing })
      expect(await exchange(roomId, proof(visitor, 'token'))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    }
    const plain = await invitingRoom({ key_validity_url: 'http://id.test:8448/valid' })
    expect(await exchange(plain, proof(visitor, 'token'))).toMatchObject(refused(403, 'M_FORBIDDEN'))
  })

  test('is refused in rooms that shut it out or are not here, and what is no invite', async () => {
    const roomId = await invitingRoom()
    serversAnswer({ 'id.test:8448': isValid, [other.name]: signing })
    const signed = proof(visitor, 'token')
    expect(await exchange(roomId, signed, { room_id: '!x:test.local' })).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await exchange(roomId, signed, { type: 'm.room.topic' })).toMatchObject(refused(400, 'M_BAD_JSON'))
    expect(await exchange('!nowhere:test.local', signed)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    await ok(setState(alice, roomId, 'm.room.server_acl', { allow: ['*'], deny: ['third.test'] }))
    expect(await exchange(roomId, signed)).toMatchObject(refused(403, 'M_FORBIDDEN'))
  })
})

describe('one of our users, of whom an identity server tells,', () => {
  const told = (roomId: string, sender = alice.userId, token = 'token'): JsonObject => ({
    medium: 'email',
    address: 'b@e.test',
    mxid: bob.userId,
    room_id: roomId,
    sender,
    signed: proof(bob.userId, token),
  })

  test('is invited to our rooms; what does not hold is passed over', async () => {
    const [first, second, wrong] = [await invitingRoom(), await invitingRoom(), await invitingRoom({}, 'another')]
    serversAnswer({ 'id.test:8448': isValid })
    await ok(onBind(bob.userId, [told(first), told(wrong), { ...told(first), room_id: 'x' }, told(second)]))
    expect(await membershipOf(first, bob.userId)).toBe('invite')
    expect(await membershipOf(second, bob.userId)).toBe('invite')
    expect(await membershipOf(wrong, bob.userId)).toBeUndefined()
    await join(bob, first)
    // The same proof once more makes no member an invited one.
    await ok(onBind(bob.userId, [told(first)]))
    expect(await membershipOf(first, bob.userId)).toBe('join')
  })

  test('is invited over the server of who invited', async () => {
    const sender = `@inviter:${other.name}`
    const bodies: unknown[] = []
    serversAnswer({
      [other.name]: ({ body }) => {
        bodies.push(body)
        return {}
      },
    })
    await ok(onBind(bob.userId, [told(`!elsewhere:${other.name}`, sender)]))
    const signed = proof(bob.userId, 'token')
    const content = { membership: 'invite', third_party_invite: { display_name: '', signed } }
    const event = { type: 'm.room.member', room_id: `!elsewhere:${other.name}`, sender, state_key: bob.userId, content }
    expect(bodies).toEqual([event])
  })

  test('is invited in the name of another server’s user where we are in the room, and the others are told', async () => {
    const room = new FarRoom(other)
    const { key_validity_url: _, ...content } = invitation
    room.add({ type: 'm.room.third_party_invite', stateKey: 'token', content })
    const sent: JsonObject[] = []
    serversAnswer({
      [other.name]: (asked) => {
        if (!asked.path.includes('/send/')) return room.answer(asked)
        const pdus = own(asked.body ?? {}, 'pdus')
        sent.push(...(Array.isArray(pdus) ? pdus.filter(isObject) : []))
        return { pdus: {} }
      },
    })
    await ok(alice.post(`/join/${encodeURIComponent(room.roomId)}?via=${other.name}`))
    await ok(onBind(bob.userId, [told(room.roomId, room.creator)]))
    expect(await membershipOf(room.roomId, bob.userId)).toBe('invite')
    const invites = () => sent.filter((event) => event['state_key'] === bob.userId)
    await vi.waitFor(() => expect(invites()).toHaveLength(1), 10_000)
    expect(invites()[0]).toMatchObject({ sender: room.creator, type: 'm.room.member' })
    expect(parsePdu(room.rules, invites()[0], nodeCrypto)).toMatchObject({ ok: true })
    await join(bob, room.roomId)
  })

  test('must be one of ours', async () => {
    expect(await onBind(visitor, [])).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await onBind('@tpi-nobody:test.local', [])).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect((await anonymous.put('/_matrix/federation/v1/3pid/onbind', { invites: 1 })).status).toBe(400)
  })

  test('joins with the proof in hand', async () => {
    const roomId = await invitingRoom()
    serversAnswer({ 'id.test:8448': isValid })
    const joining = (signed: JsonObject) => bob.post(at(roomId, '/join'), { third_party_signed: signed })
    expect(await joining(proof(alice.userId, 'token'))).toMatchObject(refused(400, 'M_INVALID_PARAM'))
    expect(await joining(proof(bob.userId, 'other'))).toMatchObject(refused(403, 'M_FORBIDDEN'))
    await ok(joining(proof(bob.userId, 'token')))
    expect(await membershipOf(roomId, bob.userId)).toBe('join')
  })
})

test('our users get nobody invited by address, since no identity server is asked', async () => {
  const roomId = await createRoom(alice)
  const body = { id_server: 'id.test', id_access_token: 'x', medium: 'email', address: 'b@e.test' }
  expect(await alice.post(at(roomId, '/invite'), body)).toMatchObject(refused(403, 'M_SERVER_NOT_TRUSTED'))
})

test('a query that nobody specified is not recognised', async () => {
  expect(await other.ask('GET', '/query/everything')).toMatchObject(refused(404, 'M_UNRECOGNIZED'))
  expect((await anonymous.get('/_matrix/federation/v1/query/everything')).status).toBe(401)
})
