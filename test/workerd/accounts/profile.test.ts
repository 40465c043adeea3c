/** Profiles over HTTP, and how a change of name reaches the rooms. Spec: client-server-api/#profiles. */
import { beforeAll, describe, expect, test } from 'vitest'

import { anonymous, registerUser, type User } from '../client.ts'

let alice: User
let bob: User

beforeAll(async () => {
  alice = await registerUser('profile-alice')
  bob = await registerUser('profile-bob')
})

const profile = (user: User, field = '') => `/profile/${encodeURIComponent(user.userId)}${field && `/${field}`}`
const set = (field: string, value: unknown) => alice.put(profile(alice, field), { [field]: value })
const notFound = { status: 404, body: { errcode: 'M_NOT_FOUND' } }

describe('a profile', () => {
  test('is read by anyone, whole or by field', async () => {
    await set('displayname', 'Alice A.')
    await set('avatar_url', 'mxc://test.local/picture')
    const whole = { displayname: 'Alice A.', avatar_url: 'mxc://test.local/picture' }
    expect(await anonymous.get(profile(alice))).toMatchObject({ status: 200, body: whole })
    expect((await anonymous.get(profile(alice, 'displayname'))).body).toEqual({ displayname: 'Alice A.' })
    expect((await anonymous.get(profile(alice, 'avatar_url'))).body).toEqual({ avatar_url: whole.avatar_url })
    expect((await anonymous.get(`/_matrix/client/r0${profile(alice, 'displayname')}`)).status).toBe(200)
  })

  test('of nobody is not there', async () => {
    expect(await anonymous.get('/profile/@nobody:test.local')).toMatchObject(notFound)
    expect(await anonymous.get('/profile/@nobody:test.local/displayname')).toMatchObject(notFound)
  })

  test('of a user whose server is away cannot be had', async () => {
    expect(await anonymous.get('/profile/@someone:127.0.0.1:1')).toMatchObject({ status: 404 })
  })

  test('of what is no user is a bad parameter', async () => {
    const refused = { status: 400, body: { errcode: 'M_INVALID_PARAM' } }
    expect(await anonymous.get('/profile/alice')).toMatchObject(refused)
    expect(await alice.put('/profile/alice/displayname', { displayname: 'x' })).toMatchObject(refused)
  })

  test('keeps its other fields when one is taken away', async () => {
    await set('displayname', 'Gone soon')
    await set('m.tz', 'Europe/London')
    expect(await alice.delete(profile(alice, 'displayname'))).toMatchObject({ status: 200, body: {} })
    expect(await anonymous.get(profile(alice, 'displayname'))).toMatchObject(notFound)
    expect((await anonymous.get(profile(alice))).body).toMatchObject({ 'm.tz': 'Europe/London' })
    expect(await alice.delete(profile(alice, 'displayname'))).toMatchObject({ status: 200 })
  })

  test.each(['displayname', 'avatar_url'])('loses %s when it is set to nothing', async (field) => {
    await set(field, 'mxc://test.local/x')
    expect(await set(field, '')).toMatchObject({ status: 200 })
    expect(await anonymous.get(profile(alice, field))).toMatchObject(notFound)
  })

  test.each([
    ['a string', 'x'],
    ['nothing', null],
    ['a number', 1.5],
    ['false', false],
    ['an array', [1, { a: [null] }]],
    ['an object', { 'a.b': { '$."c"': "it's" }, '\u{1f600}': '\u0000' }],
  ])('holds %s in a field of its own', async (_, value) => {
    expect(await set('org.example.field-1', value)).toMatchObject({ status: 200 })
    expect((await anonymous.get(profile(alice, 'org.example.field-1'))).body).toEqual({ 'org.example.field-1': value })
    const unstable = `/_matrix/client/unstable/uk.tcpip.msc4133${profile(alice, 'org.example.field-1')}`
    expect((await anonymous.get(unstable)).body).toEqual({ 'org.example.field-1': value })
  })

  test('keeps both of two fields that are set at once', async () => {
    const names = Array.from({ length: 10 }, (_, n) => `org.example.at_once_${n}`)
    await Promise.all(names.map((name) => set(name, name)))
    const { body } = await anonymous.get(profile(alice))
    expect(body).toMatchObject(Object.fromEntries(names.map((name) => [name, name])))
  })

  test('stays under 64 KiB in all', async () => {
    const carol = await registerUser('profile-carol')
    const setHers = (field: string, value: string) => carol.put(profile(carol, field), { [field]: value })
    expect(await setHers('org.example.a', 'x'.repeat(40_000))).toMatchObject({ status: 200 })
    const refused = { status: 400, body: { errcode: 'M_PROFILE_TOO_LARGE' } }
    expect(await setHers('org.example.b', 'x'.repeat(30_000))).toMatchObject(refused)
    // Bytes count, not letters.
    expect(await setHers('org.example.b', 'é'.repeat(15_000))).toMatchObject(refused)
    expect(await setHers('org.example.a', 'x')).toMatchObject({ status: 200 })
    expect(await setHers('org.example.b', 'x'.repeat(30_000))).toMatchObject({ status: 200 })
  })
})

describe('a change is refused', () => {
  test("in somebody else's profile", async () => {
    const refused = { status: 403, body: { errcode: 'M_FORBIDDEN' } }
    expect(await bob.put(profile(alice, 'displayname'), { displayname: 'Bob' })).toMatchObject(refused)
    expect(await bob.delete(profile(alice, 'displayname'))).toMatchObject(refused)
    expect(await bob.put('/profile/@nobody:test.local/displayname', { displayname: 'x' })).toMatchObject(refused)
    expect(await bob.put('/profile/@a:elsewhere.example/displayname', { displayname: 'x' })).toMatchObject(refused)
  })

  test.each<[string, unknown, string]>([
    ['displayname', {}, 'M_MISSING_PARAM'],
    ['displayname', { avatar_url: 'mxc://a/b' }, 'M_MISSING_PARAM'],
    ['displayname', { displayname: 1 }, 'M_BAD_JSON'],
    ['displayname', { displayname: null }, 'M_BAD_JSON'],
    ['displayname', { displayname: {} }, 'M_BAD_JSON'],
    ['displayname', { displayname: 'x'.repeat(257) }, 'M_INVALID_PARAM'],
    ['displayname', '{', 'M_NOT_JSON'],
    ['displayname', '"name"', 'M_BAD_JSON'],
    ['avatar_url', { avatar_url: 1 }, 'M_BAD_JSON'],
    ['avatar_url', { avatar_url: 'mxc://test.local/../../etc' }, 'M_INVALID_PARAM'],
    ['m.tz', { 'm.tz': 1 }, 'M_BAD_JSON'],
    ['nickname', { nickname: 'x' }, 'M_INVALID_PARAM'],
    ['__proto__', '{"__proto__": {"polluted": true}}', 'M_INVALID_PARAM'],
    ['Org.Example', { 'Org.Example': 1 }, 'M_INVALID_PARAM'],
    ['a."b', { 'a."b': 1 }, 'M_INVALID_PARAM'],
    ["a.b'", { "a.b'": 1 }, 'M_INVALID_PARAM'],
    ['a..b', { 'a..b': 1 }, 'M_INVALID_PARAM'],
    [`a.${'b'.repeat(254)}`, { [`a.${'b'.repeat(254)}`]: 1 }, 'M_KEY_TOO_LARGE'],
  ])('for %s: %j as %s', async (field, body, errcode) => {
    const answer = await alice.put(profile(alice, encodeURIComponent(field)), body)
    expect(answer).toMatchObject({ status: 400, body: { errcode } })
  })
})

describe('a change of name or picture', () => {
  interface Member {
    displayname?: string
    avatar_url?: string
    membership: string
  }
  async function makeRoom(user: User): Promise<string> {
    const { status, body } = await user.post<{ room_id: string }>('/createRoom', { preset: 'public_chat' })
    expect({ status, body }).toMatchObject({ status: 200 })
    return body.room_id
  }
  const memberOf = async (roomId: string, user: User) =>
    (await user.get<Member>(`/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${user.userId}`)).body

  test('reaches every room one is joined to before it is answered', async () => {
    const rooms = [await makeRoom(alice), await makeRoom(alice), await makeRoom(bob)]
    await alice.post(`/join/${encodeURIComponent(rooms[2] ?? '')}`)
    await set('displayname', 'Everywhere')
    await set('avatar_url', 'mxc://test.local/everywhere')
    for (const room of rooms) {
      expect(await memberOf(room, alice)).toEqual({
        displayname: 'Everywhere',
        avatar_url: 'mxc://test.local/everywhere',
        membership: 'join',
      })
    }
    await alice.delete(profile(alice, 'avatar_url'))
    expect(await memberOf(rooms[0] ?? '', alice)).toEqual({ displayname: 'Everywhere', membership: 'join' })
  })

  test('does not bring one back into a room', async () => {
    const room = await makeRoom(bob)
    await alice.post(`/join/${encodeURIComponent(room)}`)
    await alice.post(`/rooms/${encodeURIComponent(room)}/leave`)
    await set('displayname', 'Elsewhere')
    expect(await memberOf(room, alice)).toMatchObject({ membership: 'leave' })
  })

  test('touches no room when the client asks so', async () => {
    const room = await makeRoom(alice)
    const before = await memberOf(room, alice)
    const quietly = `${profile(alice, 'displayname')}?org.matrix.msc4069.propagate=false`
    await alice.put(quietly, { displayname: 'Quietly' })
    expect(await memberOf(room, alice)).toEqual(before)
  })

  test('of which ten come at once leaves every room with the name that stands in the profile', async () => {
    const rooms = await Promise.all(Array.from({ length: 5 }, () => makeRoom(alice)))
    await Promise.all(Array.from({ length: 10 }, (_, n) => set('displayname', `Name ${n}`)))
    const { body } = await anonymous.get(profile(alice, 'displayname'))
    for (const room of rooms) expect(await memberOf(room, alice)).toMatchObject(body)
  })
})
