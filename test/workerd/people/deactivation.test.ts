/** What ends with an account, and what goes on by itself. Spec: client-server-api/#account-deactivation. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'

import { passwordAuth, registerUser, type User } from '../client.ts'
import { joinOver, otherServer } from '../federation/other-server.ts'
import { download, upload } from '../media/media.ts'
import { at, createRoom, invite, join, ok, say } from '../rooms/rooms.ts'

const deactivate = (user: User, more: object = {}) =>
  ok(user.post('/account/deactivate', { auth: passwordAuth(user), ...more }))
const objectOf = ({ userId }: { userId: string }) => env.USER_SYNC.get(env.USER_SYNC.idFromName(userId))
const membership = async (owner: User, roomId: string, { userId }: { userId: string }) =>
  (await owner.get<{ membership: string }>(at(roomId, `/state/m.room.member/${encodeURIComponent(userId)}`))).body
    .membership

/** Rows of every table of a user's object. */
const rowsOf = (user: User) =>
  runInDurableObject(objectOf(user), (_, { storage: { sql } }) => {
    const tables = sql
      .exec<{ name: string }>(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'",
      )
      .toArray()
    const counts = tables
      .filter(({ name }) => !name.startsWith('sqlite_'))
      .map(
        ({ name }) => [name, sql.exec<{ rows: number }>(`SELECT count(*) AS rows FROM "${name}"`).one().rows] as const,
      )
    return Object.fromEntries(counts.filter(([, rows]) => rows > 0))
  })

describe('an account that ends', () => {
  test('leaves nothing of the person in their object, nor in the database but the name', async () => {
    const owner = await registerUser('gone-owner')
    const user = await registerUser('gone-user')
    const me = encodeURIComponent(user.userId)
    const roomId = await createRoom(owner, { preset: 'public_chat' })
    await join(user, roomId)
    await ok(user.put(`/user/${me}/account_data/m.secret`, { secret: 'x' }))
    await ok(user.put(`/user/${me}/rooms/${encodeURIComponent(roomId)}/tags/m.favourite`, {}))
    await ok(user.post(`/user/${me}/filter`, { room: {} }))
    await ok(user.put('/pushrules/global/content/word', { pattern: 'word', actions: ['notify'] }))
    const { version } = await ok(
      user.post<{ version: string }>('/room_keys/version', { algorithm: 'm.megolm_backup.v1', auth_data: {} }),
    )
    const session = { first_message_index: 0, forwarded_count: 0, is_verified: true, session_data: {} }
    await ok(user.put(`/room_keys/keys/${encodeURIComponent(roomId)}/s?version=${version}`, session))
    await ok(user.post(`/user/${me}/openid/request_token`))
    await ok(user.get('/sync'))
    expect(Object.keys(await rowsOf(user))).toEqual(
      expect.arrayContaining(['account_data', 'backups', 'backup_keys', 'filters', 'rooms', 'marks']),
    )
    await deactivate(user)
    expect(await membership(owner, roomId, user)).toBe('leave')
    const system = ['alarms', 'days', 'devices', 'migrations', 'stream', 'device_list_stream']
    const left = async () => Object.keys(await rowsOf(user)).filter((name) => !system.includes(name))
    // What the room tells of the leaving may come a moment later; it says nothing of the person.
    const late = ['rooms', 'marks', 'device_changes', 'device_list_changes']
    expect((await left()).filter((name) => !late.includes(name))).toEqual([])
    for (const table of ['devices', 'profiles', 'threepids', 'openid_tokens', 'login_tokens', 'cross_signing_keys']) {
      const { results } = await env.DB.prepare(`SELECT * FROM ${table} WHERE user_id = ?`).bind(user.userId).all()
      expect({ table, results }).toEqual({ table, results: [] })
    }
  })

  test('what was cut off in the middle is taken up again', async () => {
    const owner = await registerUser('cut-owner')
    const user = await registerUser('cut-user')
    const roomId = await createRoom(owner, { preset: 'public_chat' })
    const asked = await createRoom(owner)
    await join(user, roomId)
    await invite(owner, asked, user)
    await ok(user.put(`/user/${encodeURIComponent(user.userId)}/account_data/m.secret`, { secret: 'x' }))
    // The Worker died after it closed the account.
    await objectOf(user).planDeparture({ erase: false })
    await env.DB.prepare('UPDATE users SET deactivated_at = 1 WHERE user_id = ?').bind(user.userId).run()
    expect(await membership(owner, roomId, user)).toBe('join')
    await ringDepart(user)
    expect(await membership(owner, roomId, user)).toBe('leave')
    expect(await membership(owner, asked, user)).toBe('leave')
    expect(await rowsOf(user)).not.toHaveProperty('account_data')
    expect(await rowsOf(user)).not.toHaveProperty('departure')
  })

  test('a plan that was not carried out does nothing', async () => {
    const owner = await registerUser('plan-owner')
    const user = await registerUser('plan-user')
    const roomId = await createRoom(owner, { preset: 'public_chat' })
    await join(user, roomId)
    await ok(user.put(`/user/${encodeURIComponent(user.userId)}/account_data/m.secret`, { secret: 'x' }))
    await objectOf(user).planDeparture({ erase: true })
    await ringDepart(user)
    expect(await membership(owner, roomId, user)).toBe('join')
    expect(await rowsOf(user)).toHaveProperty('account_data')
    expect(await rowsOf(user)).not.toHaveProperty('departure')
    expect(await user.get('/sync')).toMatchObject({ status: 200 })
  })

  test('a waiting sync ends with it', async () => {
    const user = await registerUser('gone-waiting')
    const { next_batch } = await ok(user.get<{ next_batch: string }>('/sync'))
    const waiting = user.get(`/sync?timeout=60000&since=${next_batch}`)
    await deactivate(user)
    expect(await waiting).toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } })
  })
})

/** Lets the alarm that takes a departure up again ring now. */
async function ringDepart(user: User): Promise<void> {
  await runInDurableObject(objectOf(user), (_, { storage }) => {
    storage.sql.exec("UPDATE alarms SET at = 1 WHERE name = 'depart'")
  })
  // What the object remembers of its alarms is from before.
  await evictDurableObject(objectOf(user))
  expect(await runDurableObjectAlarm(objectOf(user))).toBe(true)
}

describe('an account that is erased', () => {
  interface Event {
    type: string
    event_id: string
    sender: string
    state_key?: string
    content: Record<string, unknown>
  }
  const seenBy = async (reader: User, roomId: string) =>
    (await ok(reader.get<{ chunk: Event[] }>(at(roomId, '/messages?dir=b&limit=100')))).chunk

  test.each([true, false])('erase: %j', async (erase) => {
    const owner = await registerUser(`erase-owner-${erase}`)
    const early = await registerUser(`erase-early-${erase}`)
    const late = await registerUser(`erase-late-${erase}`)
    const user = await registerUser(`erase-user-${erase}`)
    const roomId = await createRoom(owner, { preset: 'public_chat' })
    await join(user, roomId)
    const eventId = await say(user, roomId, 'the secret plan')
    await ok(owner.put(at(roomId, '/state/m.room.power_levels'), { users: { [user.userId]: 100 } }))
    await ok(user.put(at(roomId, '/state/m.room.topic'), { topic: 'set by them' }))
    const remote = await otherServer(`127.0.0.1:${erase ? 11 : 12}`)
    // After the message, before the end: they could read it.
    await join(early, roomId)
    await deactivate(user, { erase })
    await join(late, roomId)

    for (const reader of [owner, early]) {
      const event = (await seenBy(reader, roomId)).find(({ event_id }) => event_id === eventId)
      expect(event?.content).toMatchObject({ body: 'the secret plan' })
    }
    const whole = { body: 'the secret plan', msgtype: 'm.text' }
    const events = await seenBy(late, roomId)
    expect(events.find(({ event_id }) => event_id === eventId)?.content).toEqual(erase ? {} : whole)
    const memberships = events.filter(({ state_key }) => state_key === user.userId)
    expect(memberships).toHaveLength(2)
    expect(memberships.map(({ content }) => Object.keys(content).includes('displayname')).includes(true)).toBe(!erase)
    expect(JSON.stringify(events).includes('the secret plan')).toBe(!erase)
    // What they did for the room stays.
    expect((await late.get(at(roomId, '/state/m.room.topic'))).body).toMatchObject({ topic: 'set by them' })

    const one = await late.get<Event>(at(roomId, `/event/${encodeURIComponent(eventId)}`))
    expect(one.body.content).toEqual(erase ? {} : whole)
    const context = await late.get(at(roomId, `/context/${encodeURIComponent(eventId)}`))
    expect(context.text.includes('the secret plan')).toBe(!erase)
    const sync = await late.get('/sync')
    expect(sync.text.includes('the secret plan')).toBe(!erase)
    const search = (reader: User) =>
      reader.post('/search', { search_categories: { room_events: { search_term: 'secret' } } })
    expect((await search(late)).text.includes(eventId)).toBe(!erase)
    expect((await search(owner)).text.includes(eventId)).toBe(true)

    await joinOver(remote, `@zoe:${remote.name}`, roomId)
    const given = await remote.ask('GET', `/event/${encodeURIComponent(eventId)}`)
    expect(given.status).toBe(200)
    expect(given.text.includes('the secret plan')).toBe(!erase)
  })

  test.each([true, false])(
    'is not seen any more, while what was sent stays for those who saw it: %j',
    async (erase) => {
      const owner = await registerUser(`face-owner-${erase}`)
      const user = await registerUser(`face-user-${erase}`)
      const face = await upload(user.accessToken, `the face of one, ${erase}`, { type: 'image/png' })
      const photo = await upload(user.accessToken, `a photo of theirs, ${erase}`, { type: 'image/png' })
      const others = await upload(owner.accessToken, `the face of another, ${erase}`, { type: 'image/png' })
      await ok(user.put(`/profile/${encodeURIComponent(user.userId)}/avatar_url`, { avatar_url: `mxc://${face}` }))
      // Only a file of their own goes with them.
      const second = await registerUser(`face-second-${erase}`)
      await ok(
        second.put(`/profile/${encodeURIComponent(second.userId)}/avatar_url`, { avatar_url: `mxc://${others}` }),
      )
      for (const gone of [user, second]) await deactivate(gone, { erase })
      const statuses = await Promise.all(
        [face, photo, others].map(async (file) => (await download(owner.accessToken, file)).status),
      )
      expect(statuses).toEqual([erase ? 404 : 200, 200, 200])
      expect((await owner.get(`/profile/${encodeURIComponent(user.userId)}`)).status).toBe(404)
    },
  )
})
