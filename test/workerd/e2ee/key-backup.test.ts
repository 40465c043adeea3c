/** Backups of room keys. Spec: client-server-api/#server-side-key-backups. */
import { describe, expect, test } from 'vitest'

import { registerUser, type User } from '../client.ts'
import { ok, refused } from '../rooms/rooms.ts'

const backup = { algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2', auth_data: { public_key: 'abc' } }
const key = (more: object = {}) => ({
  first_message_index: 5,
  forwarded_count: 5,
  is_verified: false,
  session_data: { ciphertext: 'x' },
  ...more,
})
const newBackup = async (user: User) => (await ok(user.post<{ version: string }>('/room_keys/version', backup))).version
const at = (version: string, room = '', session = '') =>
  `/room_keys/keys${room && `/${encodeURIComponent(room)}`}${session && `/${session}`}?version=${version}`

describe('a backup', () => {
  test('has versions: the newest is told, older ones stay until they are deleted', async () => {
    const alice = await registerUser('bv_alice')
    expect(await alice.get('/room_keys/version')).toMatchObject(refused(404, 'M_NOT_FOUND'))
    const first = await newBackup(alice)
    const second = await newBackup(alice)
    expect(second).not.toBe(first)
    const info = { ...backup, count: 0, etag: '0' }
    expect(await ok(alice.get('/room_keys/version'))).toEqual({ ...info, version: second })
    expect(await ok(alice.get(`/room_keys/version/${first}`))).toEqual({ ...info, version: first })
    const changed = { ...backup, auth_data: { public_key: 'def' } }
    await ok(alice.put(`/room_keys/version/${second}`, { ...changed, version: second }))
    expect(await ok(alice.get('/room_keys/version'))).toMatchObject({ auth_data: changed.auth_data })
    expect(await alice.put(`/room_keys/version/${second}`, { ...changed, version: first })).toMatchObject(
      refused(400, 'M_INVALID_PARAM'),
    )
    expect(await alice.put(`/room_keys/version/${second}`, { ...changed, algorithm: 'other' })).toMatchObject(
      refused(400, 'M_INVALID_PARAM'),
    )
    await ok(alice.delete(`/room_keys/version/${second}`))
    expect(await ok(alice.get('/room_keys/version'))).toMatchObject({ version: first })
    expect(await newBackup(alice)).not.toBe(second)
    for (const wrong of ['99', '0', 'x', '1e3', '-1']) {
      expect(await alice.get(`/room_keys/version/${wrong}`)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    }
  })

  test('keeps keys of rooms and sessions, counts them, and names each change by an etag', async () => {
    const alice = await registerUser('bk_alice')
    const version = await newBackup(alice)
    const rooms = {
      '!one:x': { sessions: { a: key(), b: key() } },
      '!two:x': { sessions: { 'a/b+c=': key({ session_data: { text: 'ü' } }) } },
    }
    const stored = await ok(alice.put<{ etag: string; count: number }>(at(version), { rooms }))
    expect(stored.count).toBe(3)
    expect(await ok(alice.put(at(version), { rooms }))).toEqual(stored)
    expect(await ok(alice.get(at(version)))).toEqual({ rooms })
    expect(await ok(alice.get(at(version, '!one:x')))).toEqual(rooms['!one:x'])
    expect(await ok(alice.get(at(version, '!one:x', 'a')))).toEqual(key())
    expect(await ok(alice.get(at(version, '!none:x')))).toEqual({ sessions: {} })
    expect(await alice.get(at(version, '!one:x', 'none'))).toMatchObject(refused(404, 'M_NOT_FOUND'))
    await ok(alice.put(at(version, '!two:x'), { sessions: { d: key() } }))
    const one = await ok(alice.put<{ etag: string; count: number }>(at(version, '!three:x', 'e'), key()))
    expect(one.count).toBe(5)
    expect(one.etag).not.toBe(stored.etag)
    expect(await ok(alice.delete(at(version, '!one:x', 'a')))).toMatchObject({ count: 4 })
    expect(await ok(alice.delete(at(version, '!two:x')))).toMatchObject({ count: 2 })
    expect(await ok(alice.get('/room_keys/version'))).toMatchObject({ count: 2 })
    expect(await ok(alice.delete(at(version)))).toMatchObject({ count: 0 })
    expect(await ok(alice.get(at(version)))).toEqual({ rooms: {} })
  })

  test('gives out any number of keys', async () => {
    const alice = await registerUser('bn_alice')
    const version = await newBackup(alice)
    const sessions = Object.fromEntries(Array.from({ length: 700 }, (_, index) => [`s${index}`, key()]))
    const rooms = { '!one:x': { sessions }, '!two:x': { sessions } }
    await ok(alice.put(at(version), { rooms }))
    expect(await ok(alice.get(at(version)))).toEqual({ rooms })
    expect(await ok(alice.get(at(version, '!two:x')))).toEqual({ sessions })
  })

  const better: readonly [string, object, object][] = [
    ['verified before unverified', { is_verified: true, first_message_index: 9, forwarded_count: 9 }, {}],
    ['a lower index', { first_message_index: 4, forwarded_count: 9 }, {}],
    ['a lower count', { forwarded_count: 4 }, {}],
  ]
  test.each(better)('keeps the better key: %s', async (name, good, bad) => {
    const alice = await registerUser(`bb_${name.replaceAll(' ', '_')}`)
    const version = await newBackup(alice)
    const path = at(version, '!r:x', 's')
    for (const order of [
      [good, bad],
      [bad, good],
    ]) {
      for (const one of order) await ok(alice.put(path, key(one)))
      expect(await ok(alice.get(path))).toEqual(key(good))
      await ok(alice.delete(path))
    }
  })

  test('takes keys in its newest version only, and says which that is', async () => {
    const alice = await registerUser('bw_alice')
    const first = await newBackup(alice)
    await ok(alice.put(at(first, '!r:x', 's'), key()))
    const second = await newBackup(alice)
    expect(await alice.put(at(first, '!r:x', 's'), key())).toMatchObject({
      status: 403,
      body: { errcode: 'M_WRONG_ROOM_KEYS_VERSION', current_version: second },
    })
    expect(await ok(alice.get(at(first, '!r:x', 's')))).toEqual(key())
    expect(await alice.get(at('77'))).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await alice.get('/room_keys/keys')).toMatchObject(refused(400, 'M_MISSING_PARAM'))
  })

  test('takes nothing without form, and is nobody else’s', async () => {
    const alice = await registerUser('bf_alice')
    const bob = await registerUser('bf_bob')
    const version = await newBackup(alice)
    const path = at(version, '!r:x', 's')
    const wrong = [{ is_verified: 1 }, { first_message_index: -1 }, { forwarded_count: 0.5 }, { session_data: [] }]
    for (const each of wrong) expect(await alice.put(path, key(each))).toMatchObject(refused(400, 'M_BAD_JSON'))
    const large = { session_data: { text: 'x'.repeat(70_000) } }
    expect(await alice.put(path, key(large))).toMatchObject(refused(413, 'M_TOO_LARGE'))
    expect(await alice.put(at(version), { rooms: { '!r:x': { sessions: [] } } })).toMatchObject(
      refused(400, 'M_BAD_JSON'),
    )
    expect(await alice.put(at(version), { rooms: 1 })).toMatchObject(refused(400, 'M_BAD_JSON'))
    await ok(alice.put(path, key()))
    expect(await bob.get(path)).toMatchObject(refused(404, 'M_NOT_FOUND'))
    expect(await bob.put(path, key())).toMatchObject(refused(404, 'M_NOT_FOUND'))
  })
})
